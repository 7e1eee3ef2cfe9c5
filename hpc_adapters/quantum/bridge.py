"""A vendor's SDK in a process of its own: spoken to in JSON, one line a message, over its standard streams.

The process starts with an environment built from nothing, and is told its credentials by its first line of input, so
they are in no environment, no command line and no file of ours. What it prints to stderr is thrown away: an SDK may
print what it sent. It ends when its input does, so it never outlives us.

Its answers are `{"id": n, "result": …}` or `{"id": n, "error": {"kind": …, …}}`, where the kind is one of the port's
families: "unavailable" (detail, maybe_done), "rejected" (code, facts).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from hpc_adapters.errors import BackendError, Rejected, Unavailable
from hpc_adapters.quantum.refusing import facts_in

LINE_BYTES: Final = 64 * 2**20
"""A longer message is not read, and ends the process."""
_PACKAGES: Final = str(Path(__file__).resolve().parents[2])
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to start: a module with `main()`, in an environment that has the SDK.

    `python` None: our own. `environment`: further variables; nothing secret, for every user of the machine may see it.
    """

    module: str
    python: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 60.0
    """So long may the SDK take to load."""

    def argv(self) -> Sequence[str]:
        """Isolated (-I): no variable and no working folder decides what is loaded, and our own code comes last."""
        boot = f"import sys; sys.path.append({_PACKAGES!r}); from {self.module} import main; main()"
        return [self.python or sys.executable, "-I", "-B", "-c", boot]


class Bridge:
    """One process, started when it is first needed and again after it has died. Use within one event loop."""

    def __init__(
        self,
        program: Program,
        *,
        hello: Callable[[], Mapping[str, Any]],
        deadline_s: float,
        line_bytes: int = LINE_BYTES,
    ) -> None:
        """`hello` gives the first message, the secrets included. It is asked at each start, so that they may change.

        `deadline_s`: of a call. Whoever misses it is not asked again: the process is ended, and the next call starts
        another. It must be longer than all the time limits that the process itself has.
        """
        self._program = program
        self._hello = hello
        self._deadline_s = deadline_s
        self._line_bytes = line_bytes
        self._life: _Life | None = None
        self._starting = asyncio.Lock()

    async def call(self, method: str, params: Mapping[str, Any], *, deadline_s: float | None = None) -> Any:
        """The answer. Rejected, Unavailable as the process says.

        Unavailable, maybe_done False: it could not be started, or the message is too long. True: it has the message,
        and died or kept silent.
        """
        life = await self._alive()
        limit = deadline_s or self._deadline_s
        try:
            async with asyncio.timeout(limit):
                return await life.ask(method, params)
        except TimeoutError:
            life.kill()
            raise Unavailable("bridge-silent", maybe_done=True) from None

    async def close(self) -> None:
        """End the process. What it was asked stays unanswered."""
        life, self._life = self._life, None
        if life is not None:
            await life.end()

    async def _alive(self) -> _Life:
        async with self._starting:
            if self._life is None or self._life.is_over:
                if self._life is not None:
                    await self._life.end()
                self._life = await self._start()
            return self._life

    async def _start(self) -> _Life:
        try:
            hello = dict(self._hello())
        except (OSError, ValueError) as wrong:
            raise Unavailable(f"credentials-unreadable-{type(wrong).__name__}", maybe_done=False) from None
        try:
            process = await asyncio.create_subprocess_exec(
                *self._program.argv(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent", **self._program.environment},
                cwd="/",
                limit=self._line_bytes,
                start_new_session=True,  # a terminal's Ctrl-C is ours to handle
            )
        except OSError as error:
            raise Unavailable(f"bridge-not-started-{error.errno}", maybe_done=False) from error
        life = _Life(process, self._line_bytes)
        try:
            async with asyncio.timeout(self._program.start_s):
                await life.ask("hello", hello)
        except (TimeoutError, BackendError) as problem:
            life.kill()
            await life.end()
            detail = problem.detail if isinstance(problem, Unavailable) else "bridge-not-ready"
            raise Unavailable(detail, maybe_done=False) from None
        except BaseException:
            life.kill()
            raise
        return life


class _Life:
    """One run of the process."""

    def __init__(self, process: asyncio.subprocess.Process, line_bytes: int) -> None:
        self._process = process
        self._line_bytes = line_bytes
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._gone = False
        self._reader = asyncio.create_task(self._read())

    @property
    def is_over(self) -> bool:
        return self._gone or self._process.returncode is not None

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        number = next(self._ids)
        line = json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n"
        if len(line) > self._line_bytes:
            raise Unavailable("message-too-long", maybe_done=False)
        assert self._process.stdin is not None
        if self.is_over:
            raise Unavailable("bridge-died", maybe_done=False)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
            return await answer
        except (BrokenPipeError, ConnectionResetError):
            raise Unavailable("bridge-died", maybe_done=True) from None
        finally:
            self._waiting.pop(number, None)

    def kill(self) -> None:
        self._gone = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Its input ends, then it does; who lingers is killed. Everything of it is given back."""
        self._gone = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(2):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._heed(line)
        except ValueError:  # longer than the limit: what follows would be read from its middle
            self.kill()
        self._gone = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Unavailable("bridge-died", maybe_done=True))

    def _heed(self, line: bytes) -> None:
        try:
            told = json.loads(line)
            answer = self._waiting.get(told["id"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # an SDK printed something of its own
        if answer is None or answer.done():
            return  # nobody waits for it any more
        problem = told.get("error")
        if problem is None:
            answer.set_result(told.get("result"))
        else:
            answer.set_exception(_family(problem))


def _family(problem: Mapping[str, Any]) -> BackendError:
    if problem.get("kind") == "rejected":
        return Rejected(str(problem.get("code")), **facts_in(problem.get("facts")))
    return Unavailable(str(problem.get("detail")), maybe_done=bool(problem.get("maybe_done", True)))
