"""Confined runs in one folder: start, look, cancel, read."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.confined import folder, reading, request, sandbox, vanished
from hpc_adapters.confined.leaving import remove_runs
from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.times import to_us
from hpc_adapters.contract import Isolation, LogChunk, Stream
from hpc_adapters.keeping import Freed

_PACKAGES: Final = str(Path(__file__).resolve().parents[2])
_BOOT: Final = (
    f"import sys; sys.path.insert(0, {_PACKAGES!r}); from hpc_adapters.confined.supervisor import main; main()"
)
_STAGING_LIFE: Final = timedelta(hours=1)


class StartInterrupted(Exception):
    """The run is accepted, but its supervisor could not be started now. `states` tries again."""


def ids_in(root: Path) -> list[UUID]:
    """Of every folder of an attempt in it, in their order; whatever else lies there is none. OSError."""
    found = []
    for name in os.listdir(root):  # noqa: PTH208  only names
        with suppress(ValueError):
            found.append(UUID(name))
    return sorted(found)


class ConfinedRuns:
    """Every run under `root`, of this process and of all before it. Safe to use from many processes at once."""

    def __init__(
        self, root: Path, *, clock: Callable[[], datetime], kind: str | None = None, control_groups: bool = True
    ) -> None:
        """Finds what isolation works here by trying it (once a process, some 20 ms), or takes `kind` of `sandbox`.

        `control_groups` False: memory is limited by watching the processes even where the kernel would do it.
        """
        self.root = root.resolve()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clock = clock
        self._kind = kind or sandbox.detect()
        self._control_groups = control_groups
        self._over: dict[UUID, RunState] = {}
        request.sweep_staging(self.root, older_than=clock() - _STAGING_LIFE)

    @property
    def isolation(self) -> Isolation:
        """What the walls are good for."""
        return Isolation.SINGLE_TENANT if self._kind == sandbox.NONE else Isolation.PER_ATTEMPT

    async def start(self, spec: RunSpec) -> None:
        """Accept the run durably and set it going. Again with the same attempt id: harmless.

        OSError: nothing was accepted. `StartInterrupted`: accepted, but not going yet; the next `states` sees to it.
        """
        await asyncio.to_thread(self.start_now, spec)

    def start_now(self, spec: RunSpec) -> None:
        """`start` for a caller that is in a thread already."""
        self.accept_now(spec)
        self.set_going_now(spec.attempt_id)

    def accept_now(self, spec: RunSpec) -> None:
        """The first half of `start`: durable, quick, and the point from which the run exists."""
        means = request.Means(kind=self._kind, control_groups=self._control_groups)
        request.accept(self.root, spec, means=means, now=self._clock())

    def set_going_now(self, attempt_id: UUID) -> None:
        """The second half of `start`, for an accepted run; harmless when it is going or over."""
        place = self._place(attempt_id)
        if not folder.exists(place, folder.END) and not folder.is_alive(place, folder.SUPERVISOR):
            self._supervise(place)

    async def state(self, attempt_id: UUID) -> RunState | None:
        """None: no such run here."""
        return (await self.states([attempt_id]))[0]

    async def states(self, attempt_ids: Sequence[UUID]) -> list[RunState | None]:
        """In the order asked. Sets going what was accepted by a process that died at once, and buries the vanished."""
        return await asyncio.to_thread(self.states_now, attempt_ids)

    def states_now(self, attempt_ids: Sequence[UUID], *, resume: bool = True) -> list[RunState | None]:
        """`states` for a caller that is in a thread already. Without `resume` nothing is set going by looking."""
        return [self._look(attempt_id, resume=resume) for attempt_id in attempt_ids]

    async def all_ids(self) -> list[UUID]:
        """Every accepted run, over or not, in the order of their ids."""
        return await asyncio.to_thread(self.all_ids_now)

    def all_ids_now(self) -> list[UUID]:
        """`all_ids` for a caller that is in a thread already."""
        return ids_in(self.root)

    async def cancel(self, attempt_id: UUID) -> bool:
        """Note the wish. False: no such run here. The end is known by `state`: CANCELLED, unless it ended before."""
        return await asyncio.to_thread(self._cancel, attempt_id)

    def forget_now(self, attempt_id: UUID) -> None:
        """Remove a run that is over and all that it left, for a caller in a thread: its id may be used again.

        Another process may remember its end, and must `look_again`.
        """
        shutil.rmtree(self._place(attempt_id), ignore_errors=True)
        self._over.pop(attempt_id, None)

    def ended_before_now(self, moment: datetime) -> list[RunState]:
        """Runs that were over before then, in the order of their ends, for a caller in a thread."""
        states = self.states_now(self.all_ids_now(), resume=False)
        over = [(state.ended_at, state) for state in states if state and state.is_over and state.ended_at is not None]
        return [state for ended_at, state in sorted(over, key=lambda each: each[0]) if ended_at < moment]

    def leave_now(self, attempt_ids: Sequence[UUID]) -> Freed:
        """Remove runs that are over, whole or not at all, with what only they had; for a caller in a thread."""
        freed = remove_runs(self.root, attempt_ids)
        for attempt_id in attempt_ids:
            self._over.pop(attempt_id, None)
        return freed

    def look_again(self, attempt_id: UUID) -> None:
        """Remember nothing of a run: another process may have removed it."""
        self._over.pop(attempt_id, None)

    async def read(self, attempt_id: UUID, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk | None:
        """A piece of a stream; the result only once the run is over. None: no such run here."""
        return await asyncio.to_thread(self._read, attempt_id, stream, offset, limit)

    # ---- in a thread

    def _place(self, attempt_id: UUID) -> str:
        return str(self.root / str(attempt_id))

    def _look(self, attempt_id: UUID, *, resume: bool) -> RunState | None:
        known = self._over.get(attempt_id)
        if known is not None:
            return known
        place = self._place(attempt_id)
        alive = folder.is_alive(
            place, folder.SUPERVISOR
        )  # asked first: what dies after the question has written its end before
        state = reading.state_of(place)
        if state is None:
            return None
        if not alive and not state.is_over:
            state = self._attend(place, state, resume=resume)
        if state.is_over:
            self._over[attempt_id] = state
        return state

    def _attend(self, place: str, state: RunState, *, resume: bool) -> RunState:
        """A run that is not over and had no living supervisor: bury it when it had passed the gate, or start it."""
        if folder.exists(place, folder.GATE):
            self._bury(place, state.attempt_id)
        elif resume:
            with suppress(StartInterrupted):
                self._supervise(place)
        return reading.state_of(place) or state

    def _bury(self, place: str, attempt_id: UUID) -> None:
        lock = folder.acquire(place, folder.SUPERVISOR)
        if lock is None:
            return  # it lives: it was on its way when we asked
        try:
            vanished.bury(place, str(attempt_id), now_us=to_us(self._clock()))
        finally:
            os.close(lock)

    def _cancel(self, attempt_id: UUID) -> bool:
        state = self._look(attempt_id, resume=False)
        if state is None:
            return False
        if not state.is_over:
            place = self._place(attempt_id)
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(folder.path(place, folder.CANCEL), flags, 0o600))
            folder.sync(place)
        return True

    def _read(self, attempt_id: UUID, stream: Stream, offset: int, limit: int) -> LogChunk | None:
        state = self._look(attempt_id, resume=False)  # before the bytes: what an ended run printed is complete
        place = self._place(attempt_id)
        if state is None or not folder.exists(place, folder.REQUEST):  # another process may have removed it
            self._over.pop(attempt_id, None)
            return None
        return reading.chunk(place, state, stream, offset, limit)

    def _supervise(self, place: str) -> None:
        """Start a supervisor. It detaches itself, and gives way when another one lives."""
        try:
            with open(folder.path(place, "supervisor.log"), "ab") as log:  # noqa: PTH123  a path of text
                subprocess.run(  # noqa: S603  our own program
                    [sys.executable, "-I", "-S", "-c", _BOOT, place],
                    env=sandbox.CLEAN_ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    timeout=30,
                    check=True,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise StartInterrupted(str(error)) from error
