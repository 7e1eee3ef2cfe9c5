"""Loops with a leader, on a real PostgreSQL. Time runs: pauses are short, and no exact duration is asserted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import pytest

from infra.clock import utc_now
from infra.db.connection import Lease, notify, transaction
from infra.db.leadership import lead
from infra.runner import Loop, Pace, run
from tests.support.database import Database

QUICK = Pace(lease_s=3.0, first_pause_s=0.02, longest_pause_s=0.1)
SOON_S = 10.0
RARELY_S = 600.0
Tick = Callable[[Lease | None, datetime], Awaitable[int]]


class Unavailable(Exception):
    """Stands for what a backend answers when it does not answer."""


@asynccontextmanager
async def running(
    database: Database, *loops: Loop, holder: str = "a", pace: Pace = QUICK
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[None]]]:
    """A runner beside the test; leaving the block stops it, and raises what it raised."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        run(
            loops,
            url=database.url,
            user="kyoyo_worker",
            clock=utc_now,
            stop=stop,
            transient=(Unavailable,),
            pace=pace,
            holder=holder,
        )
    )
    try:
        yield stop, task
    finally:
        stop.set()
        async with asyncio.timeout(SOON_S):
            await task


class Recorder:
    """A tick that remembers its leases, and lets a test wait for each in turn."""

    def __init__(self) -> None:
        self.leases: list[Lease | None] = []
        self._ticks: asyncio.Queue[Lease | None] = asyncio.Queue()

    async def __call__(self, lease: Lease | None, now: datetime) -> int:
        assert now.tzinfo is not None
        self.leases.append(lease)
        self._ticks.put_nowait(lease)
        return 1

    async def next(self) -> Lease | None:
        async with asyncio.timeout(SOON_S):
            return await self._ticks.get()

    async def until(self, lease: Lease) -> None:
        while await self.next() != lease:
            pass


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON_S):
        while not await condition():  # noqa: ASYNC110  the other side is a database
            await asyncio.sleep(0.02)


async def test_of_two_runners_one_leads_and_the_other_follows_when_it_stops(database: Database) -> None:
    first, second = Recorder(), Recorder()
    async with running(database, Loop("dispatch", first, every_s=0.05), holder="a") as (stop_a, a):
        assert await first.next() == Lease("dispatch", 1)
        async with running(database, Loop("dispatch", second, every_s=0.05), holder="b"):
            for _ in range(5):
                await first.next()
            assert second.leases == []
            stop_a.set()
            await a
            assert await second.next() == Lease("dispatch", 2)
    leader = await database.owner.fetchrow("SELECT token, holder FROM infra.leader")
    assert leader is not None
    assert tuple(leader) == (2, "b")


async def test_two_loops_of_one_process_lead_independently(database: Database) -> None:
    one, two = Recorder(), Recorder()
    async with running(database, Loop("one", one, every_s=0.05), Loop("two", two, every_s=0.05)):
        assert (await one.next(), await two.next()) == (Lease("one", 1), Lease("two", 1))


async def test_a_loop_without_leader_runs_in_every_process(database: Database) -> None:
    first, second = Recorder(), Recorder()
    async with (
        running(database, Loop("metrics", first, every_s=0.05, led=False)),
        running(database, Loop("metrics", second, every_s=0.05, led=False)),
    ):
        assert (await first.next(), await second.next()) == (None, None)


async def test_a_leader_that_lost_its_lock_in_the_middle_of_a_tick_cannot_write(database: Database) -> None:
    # 1. a's tick is stalled; 2. its lock's connection dies; 3. b leads; 4. a wakes up and writes: refused, and a goes
    #    on as a follower without stopping the process.
    stalled, wake_up, refusals = asyncio.Event(), asyncio.Event(), []

    async def slow(lease: Lease | None, _now: datetime) -> int:
        stalled.set()
        await wake_up.wait()
        try:
            async with transaction(database.worker, lease=lease):
                pytest.fail("a stale leader wrote")
        except asyncpg.PostgresError as refused:
            refusals.append(refused.sqlstate)
            raise
        return 0

    successor = Recorder()
    async with running(database, Loop("dispatch", slow, every_s=0.05), holder="a") as (_, a):
        await stalled.wait()
        await _stop_leading(database, "dispatch")
        async with running(database, Loop("dispatch", successor, every_s=0.05), holder="b"):
            assert await successor.next() == Lease("dispatch", 2)
            wake_up.set()
            await successor.next()
            await successor.next()
            assert refusals == ["KY002"]
            assert not a.done()


async def test_a_successor_waits_for_a_write_under_the_old_token(database: Database) -> None:
    successor = Recorder()
    async with lead(database.url, user="kyoyo_worker", loop="dispatch", holder="a", lease_s=3) as term:
        assert term is not None
        async with transaction(database.worker, lease=term.lease) as conn:
            await _stop_leading(database, "dispatch")
            async with running(database, Loop("dispatch", successor, every_s=0.05), holder="b"):
                await asyncio.sleep(0.3)
                assert successor.leases == []
                await conn.execute("SELECT pg_notify('x', '')")
                await conn.execute("COMMIT; BEGIN")
                assert await successor.next() == Lease("dispatch", 2)


async def test_a_leader_not_heard_of_for_a_lease_is_replaced(database: Database) -> None:
    # A stopped process (SIGSTOP) keeps its connection and so its lock: here a connection that never renews.
    frozen = await asyncpg.connect(database.url, user="kyoyo_worker")
    try:
        async with lead(database.url, user="kyoyo_worker", loop="dispatch", holder="x", lease_s=3) as term:
            assert term is not None
        await _lock_by_hand(frozen)
        successor = Recorder()
        async with running(database, Loop("dispatch", successor, every_s=0.05)):
            await asyncio.sleep(0.2)
            assert successor.leases == []
            await database.owner.execute("UPDATE infra.leader SET renewed_at = now() - interval '1 minute'")
            assert await successor.next() == Lease("dispatch", 2)
    finally:
        frozen.terminate()


async def test_a_leader_shows_that_it_is_alive_also_during_a_long_tick(database: Database) -> None:
    done = asyncio.Event()

    async def slow(_lease: Lease | None, _now: datetime) -> int:
        await done.wait()
        return 0

    async with running(database, Loop("dispatch", slow, every_s=1), pace=Pace(lease_s=0.3)):
        renewed = "SELECT count(*) > 0 FROM infra.leader WHERE renewed_at > acquired_at"
        await eventually(lambda: database.owner.fetchval(renewed))
        done.set()


async def test_a_notification_wakes_its_loop_and_no_other(database: Database) -> None:
    wanted, other = Recorder(), Recorder()
    async with running(database, Loop("wanted", wanted, every_s=RARELY_S), Loop("other", other, every_s=RARELY_S)):
        await wanted.next()
        await other.next()
        async with transaction(database.worker) as conn:
            await notify(conn, "wanted")
        await wanted.next()
        assert (len(wanted.leases), len(other.leases)) == (2, 1)


async def test_a_notification_during_a_tick_is_not_lost(database: Database) -> None:
    recorder, entered, go_on = Recorder(), asyncio.Event(), asyncio.Event()

    async def tick(lease: Lease | None, now: datetime) -> int:
        entered.set()
        await go_on.wait()
        return await recorder(lease, now)

    async with running(database, Loop("dispatch", tick, every_s=RARELY_S)):
        await entered.wait()
        async with transaction(database.worker) as conn:
            await notify(conn, "dispatch")
        await asyncio.sleep(0.1)
        go_on.set()
        await recorder.next()
        await recorder.next()


async def test_a_transient_error_pauses_the_loop_and_keeps_it_leading(database: Database) -> None:
    recorder, failures = (
        Recorder(),
        iter([Unavailable("no answer"), ExceptionGroup("both", [Unavailable(), TimeoutError()])]),
    )

    async def tick(lease: Lease | None, now: datetime) -> int:
        for failure in failures:
            raise failure
        return await recorder(lease, now)

    async with running(database, Loop("observe", tick, every_s=RARELY_S)):
        assert await recorder.next() == Lease("observe", 1)


async def test_a_lost_database_connection_is_survived(database: Database) -> None:
    recorder = Recorder()

    async def tick(lease: Lease | None, now: datetime) -> int:
        async with transaction(database.worker, lease=lease) as conn:
            await conn.execute("SELECT 1")
        return await recorder(lease, now)

    async with running(database, Loop("observe", tick, every_s=0.05)):
        assert await recorder.next() == Lease("observe", 1)
        await database.owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'kyoyo_worker' AND datname = current_database()"
        )
        await recorder.until(Lease("observe", 2))


async def test_a_defect_stops_every_loop_after_its_tick_and_is_raised(database: Database) -> None:
    in_transaction, committed = asyncio.Event(), asyncio.Event()

    async def long(lease: Lease | None, _now: datetime) -> int:
        async with transaction(database.worker, lease=lease) as conn:
            in_transaction.set()
            await conn.execute("SELECT pg_sleep(0.3)")
        committed.set()
        return 1

    async def broken(_lease: Lease | None, _now: datetime) -> int:
        await in_transaction.wait()
        raise KeyError("defect")

    stop = asyncio.Event()
    with pytest.raises(ExceptionGroup) as raised:
        await run(
            [Loop("long", long, every_s=RARELY_S), Loop("broken", broken, every_s=1)],
            url=database.url,
            user="kyoyo_worker",
            clock=utc_now,
            stop=stop,
        )
    assert [type(defect) for defect in raised.value.exceptions] == [KeyError]
    assert committed.is_set()
    assert stop.is_set()


async def test_stop_lets_a_running_tick_end(database: Database) -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    async def tick(_lease: Lease | None, _now: datetime) -> int:
        entered.set()
        await asyncio.sleep(0.2)
        ended.set()
        return 1

    async with running(database, Loop("dispatch", tick, every_s=RARELY_S)) as (stop, task):
        await entered.wait()
        stop.set()
        await task
    assert ended.is_set()


async def _stop_leading(database: Database, loop: str) -> None:
    """Ends the connection that holds the loop's lock."""
    await database.owner.execute(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND a.datname = current_database() AND EXISTS "
        "(SELECT FROM infra.leader WHERE loop = $1)",
        loop,
    )


async def _lock_by_hand(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    from infra.db.leadership import _LOCK_CLASS, _key  # noqa: PLC0415  the lock of a process that is not ours to stop

    await eventually(lambda: conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LOCK_CLASS, _key("dispatch")))
