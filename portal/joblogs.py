"""Reads what an attempt prints from its backend, as valid text.

Nothing is masked here: this process may not read members' secrets. A backend masks them in what it serves, where it can
(`hpc_adapters/jobhead/streams.py`).
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from hpc_adapters.contract import LogChunk, Stream
from hpc_adapters.errors import Forgotten, Unavailable
from portal.auth.caller import Caller
from portal.errors import BackendAway, LogsGone, NoSuchAttempt
from scheduler import service as scheduler
from scheduler.core.model import State
from scheduler.views import AttemptView

_BEFORE_START = frozenset({State.QUEUED, State.DISPATCHING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text from a byte offset on; read on at next_offset. ended: nothing will follow."""

    text: str
    next_offset: int
    ended: bool
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """One stream of one attempt, looked up with the caller's own rights."""

    caller: Caller
    job_id: UUID
    stream: Stream
    offset: int
    attempt: AttemptView

    @classmethod
    async def of(
        cls, caller: Caller, *, job_id: UUID, stream: Stream, offset: int, ordinal: int | None = None
    ) -> LogSource:
        """JobNotFound, NoSuchAttempt."""
        attempt = await _attempt(caller, job_id, ordinal)
        return cls(caller=caller, job_id=job_id, stream=stream, offset=offset, attempt=attempt)

    async def again(self, offset: int) -> LogSource:
        """The same stream of the same attempt as it is now, further on."""
        return replace(self, offset=offset, attempt=await _attempt(self.caller, self.job_id, self.attempt.ordinal))


async def _attempt(caller: Caller, job_id: UUID, ordinal: int | None) -> AttemptView:
    async with caller.transaction() as conn:
        await scheduler.job(conn, job_id)
        attempts = await scheduler.attempts(conn, job_id)
    if ordinal is None:
        return _newest(attempts)
    found = next((each for each in attempts if each.ordinal == ordinal), None)
    if found is None:
        raise NoSuchAttempt(attempt=ordinal)
    return found


def _newest(attempts: Sequence[AttemptView]) -> AttemptView:
    """Of a job whose last attempt ended without having run, such as one that was done early: the last that ran."""
    newest = max(attempts, key=lambda each: each.ordinal)
    ran = [each for each in attempts if each.ref is not None]
    over = newest.state.is_terminal and newest.ref is None
    return max(ran, key=lambda each: each.ordinal) if over and ran else newest


async def read_log(source: LogSource) -> Piece:
    """The next piece. BackendAway, LogsGone."""
    attempt = source.attempt
    backend = source.caller.deps.backends.get(attempt.backend)
    if attempt.ref is None:
        return Piece(text="", next_offset=source.offset, ended=attempt.state.is_terminal)
    if backend is None:
        raise BackendAway(backend=attempt.backend)
    limit = source.caller.deps.limits.log_chunk_bytes
    try:
        chunk = await backend.logs(attempt.ref, source.stream, source.offset, limit)
    except Forgotten:
        if attempt.state in _BEFORE_START:  # handed over, not there yet
            return Piece(text="", next_offset=source.offset, ended=False)
        raise LogsGone from None
    except Unavailable as away:
        raise BackendAway(backend=attempt.backend) from away
    return as_text(chunk)


def as_text(chunk: LogChunk) -> Piece:
    """Valid UTF-8: a character that is cut at the chunk's end is left for the next one, broken bytes become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(chunk.data, final=chunk.ended)
    pending, _ = decoder.getstate()
    return Piece(text=text, next_offset=chunk.next_offset - len(pending), ended=chunk.ended, truncated=chunk.truncated)


Event = tuple[str, Mapping[str, Any]]


async def log_events(source: LogSource) -> AsyncIterator[Event]:
    """('log', …) for every piece, then ('end', …). A backend that is away for a moment is waited for."""
    streams, poll_s = source.caller.deps.streams, source.caller.deps.limits.live_poll_s
    while True:
        piece = await _patiently(source)
        if piece is not None and piece.text:
            yield "log", {"text": piece.text, "next_offset": piece.next_offset, "truncated": piece.truncated}
        if piece is None or piece.ended:
            yield "end", {"next_offset": piece.next_offset if piece else source.offset}
            return
        if not piece.text and not await streams.pause(poll_s):
            return
        source = await source.again(piece.next_offset)


async def _patiently(source: LogSource) -> Piece | None:
    """None: there is nothing to wait for any more."""
    try:
        return await read_log(source)
    except BackendAway:
        return Piece(text="", next_offset=source.offset, ended=False)
    except LogsGone:
        return None
