"""What a run printed is told without its secrets, wherever it is read from and wherever it was cut."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters import masking
from hpc_adapters.confined import folder, reading
from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.contract import LogChunk, Stream

ATTEMPT = UUID(int=7)
SECRET = b"hunter2-is-secret"
STARS = b"*" * len(SECRET)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    marks = masking.marks_of([SECRET.decode()], salt=ATTEMPT.bytes)
    (tmp_path / folder.MARKS).write_bytes(masking.as_json(marks))
    return tmp_path


def in_phase(phase: Phase, *truncated: str) -> RunState:
    accepted_at = datetime(2026, 1, 1, tzinfo=UTC)
    return RunState(
        attempt_id=ATTEMPT, tenant="t", phase=phase, accepted_at=accepted_at, truncated=frozenset(truncated)
    )


RUNNING, ENDED = in_phase(Phase.RUNNING), in_phase(Phase.ENDED)


def told(place: Path, state: RunState, offset: int = 0, limit: int = 1000) -> LogChunk:
    return reading.chunk(str(place), state, Stream.STDOUT, offset, limit)


@pytest.mark.parametrize("limit", [1, 5, 1000])
def test_a_secret_is_hidden_however_it_is_read(place: Path, limit: int) -> None:
    (place / folder.STDOUT).write_bytes(b"a " + SECRET + b" b\n" + SECRET)
    data, ended = b"", False
    while not ended:
        piece = told(place, ENDED, len(data), limit)
        data, ended = data + piece.data, piece.ended
    assert data == b"a " + STARS + b" b\n" + STARS


def test_a_beginning_waits_for_its_rest_and_is_told_where_none_came(place: Path) -> None:
    (place / folder.STDOUT).write_bytes(b"line\n" + SECRET[:9])
    assert told(place, RUNNING).data == b"line\n"
    whole = told(place, ENDED)
    assert (whole.data, whole.ended, whole.truncated) == (b"line\n" + SECRET[:9], True, False)


def test_a_beginning_before_a_cut_is_never_told(place: Path) -> None:
    (place / folder.STDOUT).write_bytes(b"line\n" + SECRET[:9])
    cut = told(place, in_phase(Phase.ENDED, "stdout"))
    assert (cut.data, cut.next_offset, cut.ended, cut.truncated) == (b"line\n", 5, True, True)
    beyond = told(place, in_phase(Phase.ENDED, "stdout"), 5)
    assert (beyond.data, beyond.ended) == (b"", True)


def test_without_secrets_nothing_waits_and_nothing_is_kept_back(tmp_path: Path) -> None:
    (tmp_path / folder.STDOUT).write_bytes(b"no end of line")
    assert told(tmp_path, RUNNING).data == b"no end of line"
    assert told(tmp_path, in_phase(Phase.ENDED, "stdout")).data == b"no end of line"
