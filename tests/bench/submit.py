"""Submissions as tenants, with everything that belongs to one: row-level security, key, quota, quote, hold, story.

Peer: a transaction with one INSERT of the same job row, as superuser, into a copy of the table with its indexes.
"""

from __future__ import annotations

from statistics import quantiles
from time import perf_counter

from accounts.model import Principal
from infra.db.connection import transaction
from pricing import service as pricing
from tests.bench import _plain
from tests.bench._load import CONNECTIONS, closed_loop, in_turns, sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database
from tests.support.market import an_id
from tests.support.scheduled import World, open_world

_SUBMISSIONS, _ORGANISATIONS, _WARM_UP = 1_600, 16, 160
_JOB = "scheduler.job"


async def run() -> Result:
    async with fresh_database() as database:
        world = await open_world(database)
        who = [await world.member(f"bench-{number}") for number in range(_ORGANISATIONS)]
        await closed_loop(range(_WARM_UP), lambda number: world.submit(who[number % len(who)]))
        bench = _Submissions(world, who)
        await bench.prepare_peer()
        count = sized(_SUBMISSIONS)
        ours_s, peer_s = await in_turns(database, count, bench.ours, bench.peer)
        await _require_all(database, count + _WARM_UP)
        p50, p99 = (quantiles(bench.latencies_ms, n=100)[each] for each in (49, 98))
    return Result(
        name="submit",
        figure=round(count / ours_s),
        unit="submissions/s",
        peer=round(count / peer_s),
        ratio=round(peer_s / ours_s, 4),
        facts={
            "submissions": count,
            "connections": CONNECTIONS,
            "organisations": _ORGANISATIONS,
            "p50_ms": round(p50, 1),
            "p99_ms": round(p99, 1),
        },
    )


class _Submissions:
    """Both sides."""

    def __init__(self, world: World, who: list[Principal]) -> None:
        self._world, self._who = world, who
        self._owner = world.market.database.owner
        self._row: dict[str, object] = {}
        self.latencies_ms: list[float] = []

    async def prepare_peer(self) -> None:
        async with transaction(self._owner) as conn:
            await _plain.copy_tables(conn, _JOB, like="INCLUDING ALL")
            self._row = dict(await conn.fetchrow(f"SELECT * FROM {_JOB} LIMIT 1") or {})

    async def ours(self, numbers: range) -> float:
        async def one(number: int) -> None:
            began = perf_counter()
            await self._world.submit(self._who[number % len(self._who)])
            self.latencies_ms.append(1000 * (perf_counter() - began))

        return await closed_loop(numbers, one)

    async def peer(self, numbers: range) -> float:
        async def one(number: int) -> None:
            mine = {
                "id": an_id("bare", number),
                "organisation_id": self._who[number % len(self._who)].organisation_id,
                "idempotency_key": f"bare {number}",
                "number": 1_000_000 + number,
            }
            async with transaction(self._owner) as conn:
                await _plain.insert(conn, _JOB, [self._row | mine])

        return await closed_loop(numbers, one)


async def _require_all(database: Database, count: int) -> None:
    """Every submission is there once, queued, with an open hold; and the books balance."""
    owner = database.owner
    assert await owner.fetchval("SELECT count(*) FROM scheduler.job") == count
    assert await owner.fetchval("SELECT count(*) FROM scheduler.attempt WHERE state = 'QUEUED'") == count
    async with transaction(owner) as conn:
        books = await pricing.books(conn)
    assert (books.imbalance_micro_yen, books.open_holds) == (0, count)
