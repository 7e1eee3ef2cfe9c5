"""What jobs print and leave, by byte offset, while they run and after: bytes as they are, text is made where shown."""

from __future__ import annotations

import asyncio
from typing import Final

from hpc_adapters.contract import LogChunk, Ref, Stream
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.slurm import places
from hpc_adapters.slurm.attempts import FOLDER_AWAY, Attempts
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.spool import Read, Spool

_FILES: Final = {Stream.STDOUT: places.STDOUT, Stream.STDERR: places.STDERR, Stream.RESULT: places.RESULT}


class Reading:
    """Safe for concurrent use in one loop."""

    def __init__(self, settings: SlurmSettings, *, spool: Spool, attempts: Attempts) -> None:
        self._settings, self._spool, self._attempts = settings, spool, attempts

    async def chunk(self, ref: Ref, stream: Stream, offset: int, limit: int) -> LogChunk:
        """Forgotten, Unavailable."""
        cap = self._settings.result_cap_bytes if stream is Stream.RESULT else self._settings.stdout_cap_bytes
        offset, limit = max(0, offset), max(0, limit)
        first = await self._read(ref, stream, offset, max(0, min(limit, cap - offset)))
        if first.data and stream is not Stream.RESULT and offset + len(first.data) < min(first.size, cap):
            return _chunk(first, offset, ended=False)
        if not await self._attempts.has_ended(ref):
            return _chunk(first if stream is not Stream.RESULT else Read(b"", 0), offset, ended=False)
        last = await self._read(ref, stream, offset, max(0, min(limit, cap - offset)))  # it may have grown until then
        if stream is Stream.RESULT and not 0 <= last.size <= cap:
            return LogChunk(data=b"", offset=offset, next_offset=offset, ended=True, truncated=True)
        at_end = offset + len(last.data) >= min(last.size, cap)
        return _chunk(last, offset, ended=at_end, truncated=at_end and not 0 <= last.size <= cap)

    async def _read(self, ref: Ref, stream: Stream, offset: int, limit: int) -> Read:
        native = places.native(ref.native_id)
        if native is None or ref.backend != self._settings.name:
            raise Forgotten(ref.attempt_id)
        try:
            found = await asyncio.to_thread(
                self._spool.read, native.user, ref.attempt_id, _FILES[stream], offset=offset, limit=limit
            )
        except OSError as error:
            raise Unavailable(FOLDER_AWAY, maybe_done=False) from error
        if found is None:
            raise Forgotten(ref.attempt_id)
        return found


def _chunk(read: Read, offset: int, *, ended: bool, truncated: bool = False) -> LogChunk:
    return LogChunk(
        data=read.data, offset=offset, next_offset=offset + len(read.data), ended=ended, truncated=truncated
    )
