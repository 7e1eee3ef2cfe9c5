"""A worker that kills itself (-9) at a call to slurmrestd: `python -m tests.support.dying_worker < pickled Order`.

It hands over what waits, as the dispatcher does, and dies at the submission: before it leaves us, or once Slurm has
answered and nothing of that has been written down.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from dataclasses import dataclass

import httpx2

from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.settings import SlurmSettings
from infra.clock import new_id, utc_now
from infra.db.connection import open_pool
from scheduler.loops import dispatch
from scheduler.loops.deps import Deps


@dataclass(frozen=True, slots=True)
class Order:
    """answered: whether it dies after Slurm's answer."""

    database: str
    settings: SlurmSettings
    answered: bool


class Deadly(httpx2.AsyncBaseTransport):
    """The way to slurmrestd; a submission is the end."""

    def __init__(self, url: str, *, answered: bool) -> None:
        self._inner = httpx2.AsyncHTTPTransport(uds=url.removeprefix("unix:"))
        self._answered = answered

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/job/submit"):
            return await self._inner.handle_async_request(request)
        if self._answered:
            answer = await self._inner.handle_async_request(request)
            await answer.aread()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("alive")


async def main(order: Order) -> None:
    transport = Deadly(order.settings.url, answered=order.answered)
    backend = SlurmBackend(order.settings, clock=utc_now, transport=transport)
    async with open_pool(order.database, user="kyoyo_worker", size=2) as pool:
        deps = Deps(pool=pool, lease=None, backends={order.settings.name: backend}, new_id=new_id)
        await dispatch.tick(deps, utc_now())


if __name__ == "__main__":
    asyncio.run(main(pickle.load(sys.stdin.buffer)))
