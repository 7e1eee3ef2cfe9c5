"""From the files of a run to what is known of it."""

from __future__ import annotations

import os
from uuid import UUID

from hpc_adapters import masking
from hpc_adapters.confined import folder, untrusted
from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.confined.times import from_us
from hpc_adapters.contract import LogChunk, Seen, Stream
from hpc_adapters.masking import Read

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
    """A piece of a stream of a run in this state, without the run's secrets."""
    offset, limit = max(0, offset), max(0, limit)
    is_cut = stream.value in state.truncated
    read = Read(b"", 0)
    if stream is not Stream.RESULT or state.is_over:
        read = _told(place, state, stream, offset, limit, is_whole=state.is_over and not is_cut)
    ended = state.is_over and offset + len(read.data) >= read.size
    return LogChunk(
        data=read.data,
        offset=offset,
        next_offset=offset + len(read.data),
        ended=ended,
        truncated=ended and is_cut,
    )


def _told(place: str, state: RunState, stream: Stream, offset: int, limit: int, *, is_whole: bool) -> Read:
    found = masking.read_masked(
        lambda begin, length: _piece(place, _FILE_OF[stream], begin, length),
        masking.from_json(folder.read_bytes(place, folder.MARKS) or b""),
        salt=state.attempt_id.bytes,
        offset=offset,
        limit=limit,
        is_whole=is_whole,
    )
    return found or Read(b"", 0)


def _piece(place: str, name: str, offset: int, limit: int) -> Read | None:
    fd = untrusted.open_regular(place, name)
    if fd is None:
        return None
    try:
        size = os.fstat(fd).st_size  # asked first: what grows meanwhile is not taken for read
        return Read(os.pread(fd, limit, offset), size)
    finally:
        os.close(fd)
