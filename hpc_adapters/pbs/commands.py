"""PBS's commands, run as somebody. The one place that starts a process here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from hpc_adapters.errors import Unavailable

MAX_ANSWER_BYTES = 64 * 2**20
_PIECE_BYTES = 65_536
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    exit_code: int
    out: bytes
    err: str


class Commands(Protocol):
    """Runs a command as a Unix user of the site: on this machine, or by any other way there."""

    async def run(self, argv: Sequence[str], *, user: str, stdin: bytes = b"") -> Done:
        """Unavailable(maybe_done=False): it could not be started; (maybe_done=True): its end is unknown."""


class LocalCommands:
    """On this machine, through the site's `run_as`."""

    def __init__(self, run_as: Sequence[str], *, timeout_s: float) -> None:
        self._run_as = tuple(run_as)
        self._timeout_s = timeout_s
        self._left: set[asyncio.Future[tuple[bytes, bytes]]] = set()
        """Commands that outlived their time and our signal."""

    async def run(self, argv: Sequence[str], *, user: str, stdin: bytes = b"") -> Done:
        command = [*(word.replace("{user}", user) for word in self._run_as), *argv]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_PIECE_BYTES,
                start_new_session=True,
            )
        except OSError as wrong:
            raise Unavailable(f"{argv[0]} could not be started: {wrong.strerror}", maybe_done=False) from wrong
        answer = asyncio.ensure_future(process.communicate(stdin))
        try:
            await asyncio.wait({answer}, timeout=self._timeout_s)
            has_ended = answer.done()
        finally:
            if not answer.done():
                await self._end(process, answer)
        if not has_ended:
            raise Unavailable(f"{argv[0]} did not end in time", maybe_done=True)
        out, err = await answer
        if len(out) > MAX_ANSWER_BYTES:
            raise Unavailable(f"{argv[0]} printed more than can be read", maybe_done=True)
        return Done(process.returncode or 0, out, err.decode(errors="replace").strip())

    async def _end(self, process: asyncio.subprocess.Process, answer: asyncio.Future[tuple[bytes, bytes]]) -> None:
        """Kill `run_as` and the command that it started.

        Where they are root's or another user's we may not: they end by themselves, read out until then.
        """
        self._left.add(answer)
        answer.add_done_callback(self._left.discard)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait({answer}, timeout=_PATIENCE_S)
