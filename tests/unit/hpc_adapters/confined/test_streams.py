from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc_adapters.confined.streams import CappedCopy


def test_after_a_full_disk_a_stream_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, sink = os.pipe()
    copy = CappedCopy(source, str(tmp_path / "stdout"), cap_bytes=100)

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    os.write(sink, b"one ")
    assert copy.pump()
    os.write(sink, b"lost ")
    with monkeypatch.context() as patched:
        patched.setattr("hpc_adapters.confined.streams.os.write", full)
        copy.pump()
    os.write(sink, b"later")
    os.close(sink)
    copy.drain()
    assert (tmp_path / "stdout").read_bytes() == b"one "
    assert copy.truncated
