"""`kyoyod up`: the portal and the worker as two processes, each started again when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from portal.serve import SUPERVISED

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_STABLE_S = 10.0
"""A child that lived so long did not die of its start: the next one is started at once."""
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep alive."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def kyoyod(name: str, environment: Mapping[str, str]) -> Child:
    """A child that runs a command of kyoyod."""
    return Child(name, (sys.executable, "-m", "portal", name), {**os.environ, **environment, SUPERVISED: "1"})


async def supervise(
    children: Sequence[Child], *, stop: asyncio.Event, started: Callable[[str, int], object] = lambda *_: None
) -> None:
    """Keeps the children alive until `stop` is set, then ends them: SIGTERM first, SIGKILL after a while.

    started: hears the name and process id of every start.
    """
    async with asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(_keep(child, stop, started), name=child.name)


async def _keep(child: Child, stop: asyncio.Event, started: Callable[[str, int], object]) -> None:
    log: Any = structlog.get_logger("supervisor")
    loop, pause_s = asyncio.get_running_loop(), _FIRST_PAUSE_S
    while not stop.is_set():
        began_s = loop.time()
        process = await asyncio.create_subprocess_exec(
            *child.command, stdin=asyncio.subprocess.PIPE, env=dict(child.environment)
        )
        log.info("child started", child=child.name, pid=process.pid)
        started(child.name, process.pid)
        if await _until_ended(process, stop):
            log.info("child stopped", child=child.name, pid=process.pid, code=process.returncode)
            return
        log.error("child died", child=child.name, pid=process.pid, code=process.returncode)
        pause_s = _FIRST_PAUSE_S if loop.time() - began_s > _STABLE_S else min(pause_s * 2, _LONGEST_PAUSE_S)
        await _wait(stop, pause_s)


async def _until_ended(process: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """True: ended because it was asked to."""
    ended, asked = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            return False
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await ended
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()
        return True
    finally:
        ended.cancel()
        asked.cancel()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGINT and SIGTERM set the event."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
