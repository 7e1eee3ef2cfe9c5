"""Input and output files of attempts on this machine: inputs beside the runs' folders, outputs out of their hands."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters import staging
from hpc_adapters.confined import folder
from hpc_adapters.contract import Ref
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.job_files import MAILBOX, Desk, Outputs, answer_file, call_file

_INPUTS: Final = ".inputs"
_RESERVE_BYTES: Final = 1024 * 2**20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalFiles:
    """Implements `job_files.Files` and `Mailbox`. root: where the runs are."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def inputs_of(self, attempt_id: UUID) -> Path:
        """Where its inputs are, once they are sealed."""
        return self._root / _INPUTS / str(attempt_id)

    async def put_input(self, desk: Desk, name: str, pieces: AsyncIterable[bytes], *, size: int) -> None:
        await asyncio.to_thread(self._require_room, size)
        await staging.Inputs(self.inputs_of(desk.attempt_id)).put(name, pieces, size=size)

    async def seal_inputs(self, desk: Desk, sizes: Mapping[str, int]) -> None:
        await asyncio.to_thread(staging.Inputs(self.inputs_of(desk.attempt_id)).seal, sizes)

    async def drop_inputs(self, desk: Desk) -> None:
        await asyncio.to_thread(staging.Inputs(self.inputs_of(desk.attempt_id)).drop)

    async def outputs(self, ref: Ref, desk: Desk, patterns: Sequence[str]) -> Outputs:  # noqa: ARG002  one machine
        return await asyncio.to_thread(self._outputs, desk.attempt_id, patterns)

    async def read_output(self, ref: Ref, desk: Desk, path: str, offset: int, limit: int) -> bytes:  # noqa: ARG002
        return await asyncio.to_thread(self._read, desk.attempt_id, path, offset, limit)

    async def read_call(self, ref: Ref, desk: Desk, number: int, limit: int) -> bytes:  # noqa: ARG002
        return await asyncio.to_thread(self._read, desk.attempt_id, call_file(number), 0, limit)

    async def answer_call(self, ref: Ref, desk: Desk, number: int, content: bytes) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._answer, desk.attempt_id, answer_file(number), content)

    def _require_room(self, size: int) -> None:
        home = self._root / _INPUTS
        home.mkdir(mode=0o700, exist_ok=True)
        if shutil.disk_usage(home).free < size + _RESERVE_BYTES:
            raise Unavailable("disk-full", maybe_done=False)

    def _outputs(self, attempt_id: UUID, patterns: Sequence[str]) -> Outputs:
        work = self._work(attempt_id)
        try:
            return staging.collected(work, patterns, owner=os.fstat(work).st_uid)
        finally:
            os.close(work)

    def _read(self, attempt_id: UUID, path: str, offset: int, limit: int) -> bytes:
        work = self._work(attempt_id)
        try:
            return staging.read_piece(work, path, offset, limit, owner=os.fstat(work).st_uid)
        finally:
            os.close(work)

    def _answer(self, attempt_id: UUID, name: str, content: bytes) -> None:
        work = self._work(attempt_id)
        try:
            if not staging.left_in(work, MAILBOX, name, content):
                raise Forgotten(attempt_id)
        finally:
            os.close(work)

    def _work(self, attempt_id: UUID) -> int:
        """A descriptor of the working folder; what is above it is ours. Forgotten."""
        try:
            return os.open(self._root / str(attempt_id) / folder.WORK, _DIRECTORY)
        except OSError:
            raise Forgotten(attempt_id) from None
