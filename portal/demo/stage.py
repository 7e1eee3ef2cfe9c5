"""Child processes of the demo: started with their log in a file, watched, and ended in order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from portal.supervise import Child

STOP_LIMIT_S = 20.0
TAIL_BYTES = 4_000


class ProcessDied(Exception):
    """A child ended that should not have. `tail`: the end of its log."""

    def __init__(self, *, name: str, code: int, tail: str) -> None:
        super().__init__(f"{name} ended with {code}")
        self.name = name
        self.code = code
        self.tail = tail


class OutOfTime(Exception):
    """The whole demo took too long."""

    def __init__(self, limit_s: int) -> None:
        super().__init__(f"{limit_s} s")
        self.limit_s = limit_s


@dataclass(slots=True)
class Children:
    """The demo's child processes. While `watched`, the end of one interrupts whatever the demo waits for."""

    logs: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, child: Child) -> None:
        """Start one in a session of its own, so that Ctrl-C at the terminal reaches the demo alone.

        Its standard input closes when the demo dies in whatever way, which a supervised kyoyod takes as its end too.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log(child.name).open("ab") as log:
            self._running[child.name] = subprocess.Popen(  # noqa: S603  our own program
                child.command,
                env=dict(child.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """ProcessDied when one has ended."""
        for name, child in self._running.items():
            if (code := child.poll()) is not None:
                raise ProcessDied(name=name, code=code, tail=self.tail(name))

    def tail(self, name: str) -> str:
        """The last lines of a child's log."""
        with self._log(name).open("rb") as log:
            log.seek(max(0, self._log(name).stat().st_size - TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace").partition("\n")[2].rstrip()

    def stop(self) -> None:
        """All, the last started first."""
        for name in reversed(list(self._running)):
            self.stop_one(name)

    def stop_one(self, name: str) -> None:
        """SIGTERM; SIGKILL to the whole session when it does not listen."""
        child = self._running.pop(name)
        child.terminate()
        try:
            child.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdin:
            child.stdin.close()

    @contextmanager
    def watched(self, *, limit_s: int) -> Iterator[None]:
        """ProcessDied or OutOfTime out of any call in the block, however long it blocks (main thread only)."""

        def on_child(_number: int, _frame: FrameType | None) -> None:
            self.check()

        def on_alarm(_number: int, _frame: FrameType | None) -> None:
            raise OutOfTime(limit_s)

        before = signal.signal(signal.SIGCHLD, on_child), signal.signal(signal.SIGALRM, on_alarm)
        signal.alarm(limit_s)
        try:
            self.check()  # what ended before the handler was there
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGCHLD, before[0])
            signal.signal(signal.SIGALRM, before[1])

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
