"""What jobs print and leave, by byte offset, while they run and after: bytes as they are, but for members' secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from hpc_adapters import masking
from hpc_adapters.contract import LogChunk, Ref, Script, Stream
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.jobhead import places
from hpc_adapters.jobhead.places import Places
from hpc_adapters.jobhead.spool import FOLDER_AWAY, Spool
from hpc_adapters.jobhead.wrapper import secrets_file
from hpc_adapters.masking import Read

_FILES: Final = {Stream.STDOUT: places.STDOUT, Stream.STDERR: places.STDERR, Stream.RESULT: places.RESULT}


def prepare(spool: Spool, places: Places, script: Script, *, sampler: bytes = b"") -> None:
    """The working folder, and before it the marks of the secrets that lie in it. In a thread. Rejected, OSError."""
    marks = masking.marks_of(script.secrets.values(), salt=places.attempt_id.bytes)
    if marks:
        spool.keep_marks(places.user, places.attempt_id, masking.as_json(marks))
    spool.prepare(places, secrets=secrets_file(script.secrets), sampler=sampler)


def discard(spool: Spool, places: Places) -> None:
    """The working folder of a submission that the site refused for good. In a thread."""
    with suppress(OSError):  # the folder is away: nothing runs there, and only its user can read it
        spool.discard(places)


class Streams:
    """Of one backend's attempts. Safe for concurrent use in one loop.

    `has_ended`: whether nothing of an attempt runs any more; it is asked only where a stream's end may be reached, and
    what it raises is raised.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        backend: str,
        stream_cap_bytes: int,
        result_cap_bytes: int,
        has_ended: Callable[[Ref], Awaitable[bool]],
    ) -> None:
        self._spool, self._backend, self._has_ended = spool, backend, has_ended
        self._stream_cap_bytes, self._result_cap_bytes = stream_cap_bytes, result_cap_bytes

    async def chunk(self, ref: Ref, stream: Stream, offset: int, limit: int) -> LogChunk:
        """Forgotten, Unavailable."""
        cap = self._result_cap_bytes if stream is Stream.RESULT else self._stream_cap_bytes
        offset, limit = max(0, offset), max(0, limit)
        wanted = max(0, min(limit, cap - offset))
        first = await self._read(ref, stream, offset, wanted, is_over=False)
        if first.data and stream is not Stream.RESULT and offset + len(first.data) < min(first.size, cap):
            return _chunk(first, offset, ended=False)
        if not await self._has_ended(ref):
            return _chunk(first if stream is not Stream.RESULT else Read(b"", 0), offset, ended=False)
        last = await self._read(ref, stream, offset, wanted, is_over=True)  # it may have grown until then
        if stream is Stream.RESULT and not 0 <= last.size <= cap:
            return LogChunk(data=b"", offset=offset, next_offset=offset, ended=True, truncated=True)
        at_end = offset + len(last.data) >= min(last.size, cap)
        return _chunk(last, offset, ended=at_end, truncated=at_end and not 0 <= last.size <= cap)

    async def _read(self, ref: Ref, stream: Stream, offset: int, limit: int, *, is_over: bool) -> Read:
        native = places.native(ref.native_id)
        if native is None or ref.backend != self._backend:
            raise Forgotten(ref.attempt_id)
        try:
            found = await asyncio.to_thread(
                self._without_secrets, native.user, ref.attempt_id, _FILES[stream], offset, limit, is_over=is_over
            )
        except OSError as error:
            raise Unavailable(FOLDER_AWAY, maybe_done=False) from error
        if found is None:
            raise Forgotten(ref.attempt_id)
        return found

    def _without_secrets(
        self, user: str, attempt_id: UUID, name: str, offset: int, limit: int, *, is_over: bool
    ) -> Read | None:
        """In a thread. OSError."""
        return masking.read_masked(
            lambda begin, length: self._spool.read(user, attempt_id, name, offset=begin, limit=length),
            masking.from_json(self._spool.marks(user, attempt_id)),
            salt=attempt_id.bytes,
            offset=offset,
            limit=limit,
            is_whole=is_over,
        )


def _chunk(read: Read, offset: int, *, ended: bool, truncated: bool = False) -> LogChunk:
    return LogChunk(
        data=read.data, offset=offset, next_offset=offset + len(read.data), ended=ended, truncated=truncated
    )
