"""From the files of a run to what is known of it."""

from __future__ import annotations

import os
from uuid import UUID

from hpc_adapters.confined import folder, untrusted
from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.confined.times import from_us
from hpc_adapters.contract import LogChunk, Seen, Stream

_FILE_OF = {Stream.STDOUT: folder.STDOUT, Stream.STDERR: folder.STDERR, Stream.RESULT: folder.RESULT}


def state_of(place: str) -> RunState | None:
    """As written; whether anybody lives is not asked here. None: no such run."""
    request = folder.read_json(place, folder.REQUEST)
    if request is None:
        return None
    started, end = folder.read_json(place, folder.STARTED), folder.read_json(place, folder.END)
    if end is not None:
        return _over(request, end)
    started_us = None if started is None else started["started_us"]
    return RunState(
        attempt_id=UUID(request["attempt_id"]),
        tenant=request["tenant"],
        phase=Phase.STARTING if started_us is None else Phase.RUNNING,
        accepted_at=from_us(request["accepted_us"]),
        started_at=None if started_us is None else from_us(started_us),
        facts=request["facts"],
    )


def _over(request: folder.Json, end: folder.Json) -> RunState:
    return RunState(
        attempt_id=UUID(request["attempt_id"]),
        tenant=request["tenant"],
        phase=Phase.VANISHED if end["detail"] == folder.VANISHED else Phase.ENDED,
        accepted_at=from_us(request["accepted_us"]),
        started_at=None if end["started_us"] is None else from_us(end["started_us"]),
        ended_at=from_us(end["ended_us"]),
        exit_code=end.get("exit_code"),
        ending=Seen(end["ending"]),
        detail=end["detail"],
        cpu_used_s=end.get("cpu_used_s"),
        peak_memory_mb=end.get("peak_memory_mb"),
        measured_by=end.get("measured_by", ""),
        truncated=frozenset(end.get("truncated", ())),
        facts=request["facts"],
    )


def chunk(place: str, state: RunState, stream: Stream, offset: int, limit: int) -> LogChunk:
    """A piece of a stream of a run in this state."""
    data, size = b"", 0
    if stream is not Stream.RESULT or state.is_over:
        data, size = _piece(place, _FILE_OF[stream], offset, limit)
    ended = state.is_over and offset + len(data) >= size
    return LogChunk(
        data=data,
        offset=offset,
        next_offset=offset + len(data),
        ended=ended,
        truncated=ended and stream.value in state.truncated,
    )


def _piece(place: str, name: str, offset: int, limit: int) -> tuple[bytes, int]:
    fd = untrusted.open_regular(place, name)
    if fd is None:
        return b"", 0
    try:
        return os.pread(fd, max(0, limit), max(0, offset)), os.fstat(fd).st_size
    finally:
        os.close(fd)
