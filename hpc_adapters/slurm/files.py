"""Input and output files of attempts on the site's shared folder.

    folder/<user>/<attempt id>.input/     ours, read-only for the user: what the job finds as KYOYO_INPUT_DIR
    folder/<user>/<attempt id>/           the user's own working folder, with output/ in it

Inputs are written only in folders of ours, so nobody's link is ever followed; others than the user cannot enter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hpc_adapters import staging
from hpc_adapters.contract import JobRequest, Ref
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.job_files import MAILBOX, Desk, Outputs, answer_file, call_file
from hpc_adapters.jobhead.places import inputs_of, native
from hpc_adapters.jobhead.spool import Spool

_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class SlurmFiles:
    """Implements `job_files.Files` and `Mailbox`."""

    def __init__(self, folder: Path, spool: Spool) -> None:
        self._folder, self._files_spool = folder, spool

    async def put_input(self, desk: Desk, name: str, pieces: AsyncIterable[bytes], *, size: int) -> None:
        inputs = await asyncio.to_thread(self._inputs, desk)
        await inputs.put(name, pieces, size=size)

    async def seal_inputs(self, desk: Desk, sizes: Mapping[str, int]) -> None:
        inputs = await asyncio.to_thread(self._inputs, desk)
        await asyncio.to_thread(inputs.seal, sizes)

    async def drop_inputs(self, desk: Desk) -> None:
        if desk.identity is not None:
            await asyncio.to_thread(staging.Inputs(self._place(desk)).drop)

    async def outputs(self, ref: Ref, desk: Desk, patterns: Sequence[str]) -> Outputs:  # noqa: ARG002  the ref says whose
        return await asyncio.to_thread(self._outputs, ref, patterns)

    async def read_output(self, ref: Ref, desk: Desk, path: str, offset: int, limit: int) -> bytes:  # noqa: ARG002
        return await asyncio.to_thread(self._read, ref, path, offset, limit)

    async def read_call(self, ref: Ref, desk: Desk, number: int, limit: int) -> bytes:  # noqa: ARG002
        return await asyncio.to_thread(self._read, ref, call_file(number), 0, limit)

    async def answer_call(self, ref: Ref, desk: Desk, number: int, content: bytes) -> None:  # noqa: ARG002
        await asyncio.to_thread(self._answer, ref, answer_file(number), content)

    def require_inputs(self, request: JobRequest) -> None:
        """Rejected: its inputs were not brought."""
        identity = request.identity
        desk = Desk(request.attempt_id, request.tenant, identity)
        if request.has_inputs and not self._place(desk).is_dir():
            raise Rejected("inputs-missing")

    def _place(self, desk: Desk) -> Path:
        if desk.identity is None or _USER.fullmatch(desk.identity.user) is None:
            raise Unavailable("no-identity", maybe_done=False)
        return inputs_of(self._folder, desk.identity.user, desk.attempt_id)

    def _inputs(self, desk: Desk) -> staging.Inputs:
        place = self._place(desk)
        try:
            self._files_spool.make_home(place.parent.name)
        except Rejected as unknown:
            raise Unavailable(unknown.code, maybe_done=False) from unknown
        except OSError as error:
            raise Unavailable(f"os-error-{error.errno}", maybe_done=False) from error
        return staging.Inputs(place)

    def _outputs(self, ref: Ref, patterns: Sequence[str]) -> Outputs:
        with self._work(ref) as (work, owner):
            return staging.collected(work, patterns, owner=owner)

    def _read(self, ref: Ref, path: str, offset: int, limit: int) -> bytes:
        with self._work(ref) as (work, owner):
            return staging.read_piece(work, path, offset, limit, owner=owner)

    def _answer(self, ref: Ref, name: str, content: bytes) -> None:
        with self._work(ref) as (work, _):
            if not staging.left_in(work, MAILBOX, name, content):
                raise Forgotten(ref.attempt_id)

    @contextmanager
    def _work(self, ref: Ref) -> Iterator[tuple[int, int]]:
        """The working folder and whose it is. Forgotten, Unavailable."""
        known = native(ref.native_id)
        if known is None:
            raise Forgotten(ref.attempt_id)
        try:
            with self._files_spool.work(known.user, ref.attempt_id) as work:
                if work is None:
                    raise Forgotten(ref.attempt_id)
                yield work
        except OSError as error:
            raise Unavailable(f"os-error-{error.errno}", maybe_done=False) from error
