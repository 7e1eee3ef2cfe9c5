"""A leader that the machine stops and wakes again, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from infra.clock import utc_now
from infra.db.connection import Lease, transaction
from infra.runner import Loop, Pace, run
from tests.support.database import Database

SOON_S = 30.0
LEASE_S = 1.0
WORKER = """
import asyncio, sys
from infra.clock import utc_now
from infra.db.connection import open_pool, transaction
from infra.runner import Loop, Pace, run

async def main(url):
    async with open_pool(url, user="kyoyo_worker", size=2) as pool:
        async def tick(lease, now):
            async with transaction(pool, lease=lease) as conn:
                await conn.execute("INSERT INTO public.written (token) VALUES ($1)", lease.token)
            print("wrote", lease.token, flush=True)
            return 1
        loop = Loop("dispatch", tick, every_s=0.2)
        await run([loop], url=url, user="kyoyo_worker", clock=utc_now, stop=asyncio.Event(), pace=Pace(lease_s=1.0))

asyncio.run(main(sys.argv[1]))
"""


@asynccontextmanager
async def worker_process(database: Database) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, database.url, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def test_a_stopped_leader_is_replaced_and_after_it_wakes_writes_nothing(database: Database) -> None:
    # 1. the process leads and writes; 2. SIGSTOP; 3. another leads; 4. SIGCONT: the first learns it or is refused, and
    #    lives on as a follower; 5. the other stops, and the first leads again.
    await database.owner.execute(
        "CREATE TABLE public.written (id serial PRIMARY KEY, token bigint NOT NULL); "
        "GRANT INSERT, SELECT ON public.written TO kyoyo_worker; GRANT USAGE ON public.written_id_seq TO kyoyo_worker"
    )
    async with asyncio.timeout(SOON_S), worker_process(database) as process:
        await _until(process, "wrote 1")
        os.kill(process.pid, signal.SIGSTOP)
        async with _successor(database) as ticks:
            first = await ticks.get()
            assert first.token == 2
            os.kill(process.pid, signal.SIGCONT)
            for _ in range(5):
                await ticks.get()
        await _until(process, "wrote 3")
    tokens = [row["token"] for row in await database.owner.fetch("SELECT token FROM public.written ORDER BY id")]
    assert tokens == sorted(tokens)
    assert set(tokens) == {1, 2, 3}


async def _until(process: Process, line: str) -> None:
    assert process.stdout is not None
    while said := (await process.stdout.readline()).decode():
        if said.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line!r}")


@asynccontextmanager
async def _successor(database: Database) -> AsyncIterator[asyncio.Queue[Lease]]:
    ticks: asyncio.Queue[Lease] = asyncio.Queue()
    stop = asyncio.Event()

    async def tick(lease: Lease | None, _now: datetime) -> int:
        assert lease is not None
        async with transaction(database.worker, lease=lease) as conn:
            await conn.execute("INSERT INTO public.written (token) VALUES ($1)", lease.token)
        ticks.put_nowait(lease)
        return 1

    running = asyncio.create_task(
        run(
            [Loop("dispatch", tick, every_s=0.1)],
            url=database.url,
            user="kyoyo_worker",
            clock=utc_now,
            stop=stop,
            pace=Pace(lease_s=LEASE_S),
        )
    )
    try:
        yield ticks
    finally:
        stop.set()
        await running
