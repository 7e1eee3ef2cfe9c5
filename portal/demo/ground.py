"""The demo's ground: a folder of its own that is cleared before each run, and the settings for its processes."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import socket
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from portal.demo import world
from portal.demo.leftovers import BACKENDS_FILE, end_all

MARK = ".kyoyo-demo"
"""Only a folder with this file in it is ever cleared."""
_LOCK = ".lock"
_KEPT = {MARK, _LOCK}

LOCAL = f"""\
# A small cluster, played by this machine. Slots, not cores: two jobs may share a core.
[backends.{world.GPU_BACKEND}]
kind = "local"
gpus = 4
cpus = 8
memory_mb = 16384
"""
QUANTUM = f"""\
# A quantum device, played by this machine.
[backends.{world.QPU_BACKEND}]
kind = "aer"
qubits = 12
max_shots = 100000
base_us = 500000
per_kshot_us = 250000
"""


class NotOurs(Exception):
    """The folder holds something else. Its message is the path."""


class InUse(Exception):
    """Another demo runs there. Its message is the path."""


@contextmanager
def cleared(folder: Path) -> Iterator[Path]:
    """The folder, empty and ours until the block ends. NotOurs, InUse."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).exists():
        raise NotOurs(str(folder))
    (folder / MARK).touch()
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise InUse(str(folder)) from taken
        _clear(folder)
        furnish(folder, LOCAL)
        yield folder


def furnish(folder: Path, gpus: str) -> None:
    """The backends of this run: the given one for GPU jobs, and the quantum device."""
    (folder / BACKENDS_FILE).write_text(f"{gpus}\n{QUANTUM}", encoding="utf-8")


def environment(folder: Path, *, port: int) -> Mapping[str, str]:
    """Settings of the demo's processes."""
    return {
        "KYOYO_DATA_DIR": str(folder),
        "KYOYO_BACKENDS_FILE": str(folder / BACKENDS_FILE),
        "KYOYO_HOST": "127.0.0.1",
        "KYOYO_PORT": str(port),
    }


def take_over(environ: MutableMapping[str, str], ours: Mapping[str, str]) -> None:
    """Only our settings count from here on: a demo must never reach the database of somebody's real installation."""
    for name in [name for name in environ if name.startswith("KYOYO_") and name != "KYOYO_LANG"]:
        del environ[name]
    environ.update(ours)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _clear(folder: Path) -> None:
    asyncio.run(end_all(folder))  # a killed demo leaves its database and its jobs running
    for entry in folder.iterdir():
        if entry.name in _KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
