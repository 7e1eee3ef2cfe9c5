"""Collecting a backend's accounting until every job is charged; one row in twenty is said again or comes late.

Peer: COPY of the same rows into a copy of the accounting table with its indexes. Nothing may be charged twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter

import asyncpg

from hpc_adapters.contract import UsageRow, Window
from infra.db.connection import transaction
from pricing.model import JobSize
from pricing.units import micro
from tests.bench import _plain
from tests.bench._load import sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database
from tests.support.market import an_id
from tests.support.metered import NOON, Scripted, World, open_world

_ROWS, _TICKS, _COPIES = 1_000, 4, 5
_STEP = timedelta(hours=20)  # between ticks: what their windows overlap, or comes late, is a twentieth of it
_LATE = timedelta(minutes=15)  # after its end a row is not known for so long
_RAN = timedelta(minutes=10)
_CHARGE_YEN = "55"  # at 330 yen an hour
_TABLE = "metering.accounting_row"


@dataclass
class _Slow(Scripted):
    """Knows a row only some time after its end. Counts how often it tells each."""

    now: datetime = NOON
    told: Counter[str] = field(default_factory=Counter)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        answer = [row for row in await super().accounting(window) if row.ended_at and row.ended_at <= self.now - _LATE]
        self.told.update(row.natural_key for row in answer)
        return answer


async def run() -> Result:
    async with fresh_database() as database:
        backend, count = _Slow(), sized(_ROWS)
        world = await open_world(database)
        world.backend = backend
        await _run_jobs(world, count)
        ours_s = await _collect_s(world, backend)
        charged_twice = await _charged_twice(database, count)
        peer_s = await _copy_s(database)
    return Result(
        name="usage_ingest",
        figure=round(count / ours_s),
        unit="rows/s",
        peer=round(count / peer_s),
        ratio=round(peer_s / ours_s, 5),
        facts={
            "rows": count,
            "said_again": backend.told.total() - len(backend.told),
            "late": sum(_is_late(row) for row in backend.rows),
            "duplicates_charged": charged_twice,
        },
    )


async def _collect_s(world: World, backend: _Slow) -> float:
    spent_s = 0.0
    for number in range(1, _TICKS + 2):  # the last one finds what was late for the one before
        backend.now = NOON + number * _STEP
        await world.database.owner.execute("VACUUM (ANALYZE)")  # the test server has no autovacuum
        began = perf_counter()
        await world.collect(backend.now)
        spent_s += perf_counter() - began
    return spent_s


def _is_late(row: UsageRow) -> bool:
    """Not known yet when the window in which it ended was read."""
    assert row.ended_at
    return (NOON - row.ended_at) % _STEP < _LATE


async def _run_jobs(world: World, count: int) -> None:
    """Jobs that ended one after the other over all ticks. One is submitted; the others are copies of its rows."""
    await world.organisation("bench", grant_yen="1000000000")
    await world.person("aya", "bench")
    names = [f"job {number}" for number in range(count)]
    await world.submit(names[0], person="aya", size=JobSize(gpus=1, walltime_s=1200), now=NOON - timedelta(hours=1))
    every = _TICKS * _STEP / count
    for number, name in enumerate(names, start=1):
        ended_at = NOON + number * every - timedelta(seconds=1)
        world.tells(name, started_at=ended_at - _RAN, ended_at=ended_at)
    async with transaction(world.database.owner) as conn:
        for statement in _COPY_JOB:
            await conn.execute(
                statement,
                an_id("job", names[0]),
                [an_id("job", name) for name in names[1:]],
                [an_id("attempt", name, 1) for name in names[1:]],
            )
        await conn.executemany(
            """UPDATE pricing.billable_attempt SET ending = 'succeeded', closed_at = $2, told_at = $2, last = true
               WHERE attempt_id = $1""",
            [(row.attempt_id, row.ended_at) for row in world.backend.rows],
        )


def _copy(table: str, changed: str, where: str = "old.job_id = $1") -> str:
    """INSERT of one row per new job: the first job's, with its own ids."""
    return f"""INSERT INTO {table}
        SELECT (jsonb_populate_record(old, jsonb_build_object({changed}))).*
        FROM {table} old, unnest($2::uuid[], $3::uuid[]) AS new (job, attempt) WHERE {where}"""


_COPY_JOB = (
    _copy("pricing.quote", "'job_id', new.job, 'id', gen_random_uuid()"),
    _copy("pricing.hold", "'job_id', new.job"),
    _copy("pricing.billable_attempt", "'job_id', new.job, 'attempt_id', new.attempt"),
    # The identity of a copied posting may be the job's: it has only one yet.
    _copy("pricing.ledger_transaction", "'job_id', new.job, 'id', new.job, 'xact', pg_current_xact_id()::text"),
    _copy(
        "pricing.ledger_entry",
        "'transaction_id', new.job",
        "old.transaction_id = (SELECT id FROM pricing.ledger_transaction WHERE job_id = $1)",
    ),
)


async def _charged_twice(database: Database, count: int) -> int:
    """Jobs charged more than they ran: none. Each is charged exactly once, and settled."""
    owner = database.owner
    charged = await owner.fetch("SELECT sum(charged_micro_yen) AS sum FROM pricing.rated_line GROUP BY job_id")
    more: int = sum(row["sum"] > micro(_CHARGE_YEN) for row in charged)
    assert more == 0, f"{more} jobs were charged more than they ran"
    assert [row["sum"] for row in charged] == count * [micro(_CHARGE_YEN)], (
        "a job was charged too little, or not at all"
    )
    assert await owner.fetchval("SELECT count(*) FROM pricing.billable_attempt WHERE settled_at IS NULL") == 0
    assert await owner.fetchval(f"SELECT count(*) FROM {_TABLE}") == count
    return more


async def _copy_s(database: Database) -> float:
    """Mean of a few runs. On a plain connection: the pool's codec for jsonb has no binary form."""
    conn = await asyncpg.connect(database.url)
    try:
        await _plain.copy_tables(conn, _TABLE, like="INCLUDING ALL")
        rows = [tuple(row) for row in await conn.fetch(f"SELECT * FROM {_TABLE}")]
        schema, _, table = _plain.plain(_TABLE).partition(".")
        spent_s = 0.0
        for _ in range(_COPIES):
            await conn.execute(f"TRUNCATE {_plain.plain(_TABLE)}")
            began = perf_counter()
            await conn.copy_records_to_table(table, schema_name=schema, records=rows)
            spent_s += perf_counter() - began
        return spent_s / _COPIES
    finally:
        await conn.close()
