"""Hold, settle and release of jobs through pricing.service, every check on: on one hot wallet, and on many.

Peer: the very rows that this appended, in as many transactions, into copies of the tables that nothing guards.
"""

from __future__ import annotations

from asyncpg import Record

from infra.db.connection import transaction
from pricing import service as pricing
from pricing.units import micro
from tests.bench import _plain
from tests.bench._load import CONNECTIONS, closed_loop, in_turns, sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database
from tests.support.market import Market, an_id, gpu_usage, open_market

_JOBS, _MANY, _WARM_UP = 400, 64, 64
_POSTS_PER_JOB = 3
_CHARGE_YEN = "165"  # half an hour at 330 yen

_OF_JOBS = {
    "pricing.quote": "job_id = ANY($1)",
    "pricing.hold": "job_id = ANY($1)",
    "pricing.billable_attempt": "job_id = ANY($1)",
    "pricing.billable_usage": "attempt_id IN (SELECT attempt_id FROM pricing.billable_attempt WHERE job_id = ANY($1))",
    "pricing.rated_line": "job_id = ANY($1)",
    "pricing.ledger_transaction": "job_id = ANY($1)",
    "pricing.ledger_entry": (
        "transaction_id IN (SELECT id FROM pricing.ledger_transaction WHERE job_id = ANY($1)) ORDER BY line"
    ),
}


async def run() -> Result:
    async with fresh_database() as database:
        market = await open_market(database)
        wallets = [await _wallet(market, number) for number in range(_MANY)]
        async with transaction(database.owner) as conn:
            await _plain.copy_tables(conn, *_OF_JOBS)
        await _Jobs(market, wallets, "warm up").ours(range(_WARM_UP))
        count = sized(_JOBS)
        sides = {"hot": _Jobs(market, wallets[:1], "hot"), "many": _Jobs(market, wallets, "many")}
        spent = {name: await in_turns(database, count, each.ours, each.peer) for name, each in sides.items()}
        await _require_whole(database, 2 * count + _WARM_UP)
    posts = _POSTS_PER_JOB * count
    per_s = {name: (round(posts / ours_s), round(posts / peer_s)) for name, (ours_s, peer_s) in spent.items()}
    ratio = {name: round(peer_s / ours_s, 4) for name, (ours_s, peer_s) in spent.items()}
    return Result(
        name="ledger_posts",
        figure=per_s["hot"][0],
        unit="ledger transactions/s",
        peer=per_s["hot"][1],
        ratio=ratio["hot"],
        facts={
            "jobs": count,
            "connections": CONNECTIONS,
            "many_wallets": {
                "wallets": _MANY,
                "figure": per_s["many"][0],
                "peer": per_s["many"][1],
                "ratio": ratio["many"],
            },
        },
    )


async def _wallet(market: Market, number: int) -> str:
    """An organisation that can pay; its slug."""
    slug = f"bench-{number}"
    organisation = await market.add_organisation(slug)
    await market.grant("10000000", key=("grant", slug), organisation=organisation)
    return slug


class _Jobs:
    """Jobs on some wallets in turn, and the same rows again without the checks."""

    def __init__(self, market: Market, slugs: list[str], name: str) -> None:
        self._market, self._name = market, name
        self._organisations = [an_id("organisation", slug) for slug in slugs]

    async def ours(self, numbers: range) -> float:
        return await closed_loop(numbers, self._life)

    async def _life(self, number: int) -> None:
        """Three transactions: the tenant's hold; its usage; its end, which settles and releases."""
        job = self._job(number)
        await self._market.submit(job, organisation=self._organisations[number % len(self._organisations)])
        await self._market.use(job, gpu_usage(job, 1800))
        await self._market.close(job)

    async def peer(self, numbers: range) -> float:
        written = await self._written(numbers)

        async def again(number: int) -> None:
            for step in written[number]:
                async with transaction(self._market.database.owner) as conn:
                    for table, rows in step.items():
                        await _plain.insert(conn, table, rows)

        return await closed_loop(numbers, again)

    async def _written(self, numbers: range) -> dict[int, list[dict[str, list[Record]]]]:
        """Each job's rows by table, for each of its transactions."""
        owner = self._market.database.owner
        return {
            number: _steps(
                {
                    table: await owner.fetch(f"SELECT * FROM {table} WHERE {where}", [an_id("job", self._job(number))])
                    for table, where in _OF_JOBS.items()
                }
            )
            for number in numbers
        }

    def _job(self, number: int) -> str:
        return f"{self._name} {number}"


def _steps(rows: dict[str, list[Record]]) -> list[dict[str, list[Record]]]:
    posted, entries = rows["pricing.ledger_transaction"], rows["pricing.ledger_entry"]
    assert sorted(each["template"] for each in posted) == ["hold", "release", "settle"]

    def posting(*templates: str) -> dict[str, list[Record]]:
        chosen = [each for each in posted if each["template"] in templates]
        ids = {each["id"] for each in chosen}
        return {
            "pricing.ledger_transaction": chosen,
            "pricing.ledger_entry": [each for each in entries if each["transaction_id"] in ids],
        }

    first = {name: rows[name] for name in ("pricing.quote", "pricing.hold", "pricing.billable_attempt")}
    last = {"pricing.rated_line": rows["pricing.rated_line"]}
    return [
        first | posting("hold"),
        {"pricing.billable_usage": rows["pricing.billable_usage"]},
        last | posting("settle", "release"),
    ]


async def _require_whole(database: Database, jobs: int) -> None:
    """The books balance, nothing is held, each job was charged what it used, balances are the sums of their entries."""
    owner = database.owner
    async with transaction(owner) as conn:
        books = await pricing.books(conn)
    assert (books.imbalance_micro_yen, books.open_holds) == (0, 0)
    assert await owner.fetchval("SELECT sum(charged_micro_yen) FROM pricing.rated_line") == jobs * micro(_CHARGE_YEN)
    wrong = await owner.fetch(
        """SELECT * FROM pricing.ledger_balance b FULL JOIN (
               SELECT organisation_id, bucket, lot_id, sum(amount_micro_yen) AS amount FROM pricing.ledger_entry
               WHERE organisation_id IS NOT NULL GROUP BY 1, 2, 3) e
             ON (b.organisation_id, b.bucket) = (e.organisation_id, e.bucket) AND b.lot_id IS NOT DISTINCT FROM e.lot_id
           WHERE b.amount_micro_yen IS DISTINCT FROM e.amount"""
    )
    assert not wrong, wrong
