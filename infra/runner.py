"""Runs the loops of a worker process: leads each, wakes it, backs off, stops it.

A loop is a tick. NOTIFY only wakes it; the interval guarantees that it comes. What a tick may meet (the given transient
errors, a lost database) is a warning and a pause that doubles; anything else is a defect: every loop ends its tick, and
run() raises, so that the process stops loudly and its supervisor starts it afresh.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from infra.clock import Clock
from infra.db.connection import Lease
from infra.db.faults import is_stale_leader, passes
from infra.db.leadership import Term, lead

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loop:
    """tick(lease, now) does one bounded batch, one transaction per item, and returns how many items moved.

    Its name is what infra.db.connection.notify() wakes. With led=False it runs in every process, and lease is None.
    """

    name: str
    tick: Callable[[Lease | None, datetime], Awaitable[int]]
    every_s: float
    led: bool = True


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a runner is. A leader not heard of for lease_s is replaced."""

    lease_s: float = 15.0
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Runner:
    url: str
    user: str | None
    clock: Clock
    stop: asyncio.Event
    transient: tuple[type[Exception], ...]
    pace: Pace
    holder: str


async def run(
    loops: Sequence[Loop],
    *,
    url: str,
    clock: Clock,
    stop: asyncio.Event,
    user: str | None = None,
    transient: tuple[type[Exception], ...] = (),
    pace: Pace = Pace(),
    holder: str | None = None,
) -> None:
    """Runs the loops until `stop` is set and every running tick has ended. Nothing is cancelled.

    url, user: for the leaders' own connections (one per loop). ExceptionGroup: what went wrong in a loop.
    """
    runner = _Runner(
        url=url,
        user=user,
        clock=clock,
        stop=stop,
        transient=transient,
        pace=pace,
        holder=holder or f"{socket.gethostname()}:{os.getpid()}",
    )
    defects: list[Exception] = []
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(_guard(runner, loop, defects), name=f"loop {loop.name}")
    if defects:
        raise ExceptionGroup("a loop met what it cannot handle", defects)


async def _guard(runner: _Runner, loop: Loop, defects: list[Exception]) -> None:
    """A defect in one loop stops all, but lets their ticks end: TaskGroup alone would cancel inside transactions."""
    try:
        await _run_loop(runner, loop)
    except Exception as defect:  # noqa: BLE001  raised again by run(), when all have ended
        _log.critical("loop failed", loop=loop.name, exc_info=defect)
        defects.append(defect)
        runner.stop.set()


async def _run_loop(runner: _Runner, loop: Loop) -> None:
    pauses = _Pauses(runner.pace)
    while not runner.stop.is_set():
        try:
            await _serve(runner, loop, pauses)
        except Exception as error:  # noqa: BLE001  raised again unless it passes by itself
            _pass_over(error, runner, loop)
            await _first_of(runner.stop, timeout_s=pauses.next_s())


async def _serve(runner: _Runner, loop: Loop, pauses: _Pauses) -> None:
    """One term of leading the loop, or one look at who else does."""
    if not loop.led:
        await _tick_on(runner, loop, term=None, pauses=pauses)
        return
    leading = lead(runner.url, user=runner.user, loop=loop.name, holder=runner.holder, lease_s=runner.pace.lease_s)
    async with leading as term:
        if term is None:
            await _first_of(runner.stop, timeout_s=min(loop.every_s, runner.pace.lease_s / 3))
            return
        _log.info("loop led", loop=loop.name, token=term.lease.token)
        pauses.reset()
        await _tick_on(runner, loop, term=term, pauses=pauses)


async def _tick_on(runner: _Runner, loop: Loop, *, term: Term | None, pauses: _Pauses) -> None:
    """Tick after tick, until the term is over or all is to stop."""
    wake, lost = (term.wake, term.lost) if term else (asyncio.Event(), asyncio.Event())
    while not runner.stop.is_set() and not lost.is_set():
        wake.clear()  # before the tick: what is notified while it runs wakes the next one
        try:
            await loop.tick(term.lease if term else None, runner.clock())
        except Exception as error:  # noqa: BLE001  raised again unless it passes by itself
            if is_stale_leader(error):
                _log.warning("loop has another leader", loop=loop.name)
                return
            _pass_over(error, runner, loop)
            await _first_of(runner.stop, lost, timeout_s=pauses.next_s())
        else:
            pauses.reset()
            await _first_of(runner.stop, lost, wake, timeout_s=loop.every_s)


class _Pauses:
    """How long to wait after the next error: each time twice as long, up to a limit."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._next_s = pace.first_pause_s

    def reset(self) -> None:
        self._next_s = self._pace.first_pause_s

    def next_s(self) -> float:
        now_s, self._next_s = self._next_s, min(self._next_s * 2, self._pace.longest_pause_s)
        return now_s


def _pass_over(error: Exception, runner: _Runner, loop: Loop) -> None:
    """Warns of what will pass by itself, and raises what will not."""
    if not _is_transient(error, runner.transient):
        raise error
    _log.warning("loop pauses", loop=loop.name, error=repr(error))


def _is_transient(error: Exception, transient: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, ExceptionGroup):
        return all(_is_transient(part, transient) for part in error.exceptions)
    return isinstance(error, transient) or passes(error)


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    """Returns when one of the events is set, or after the time-out."""
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
