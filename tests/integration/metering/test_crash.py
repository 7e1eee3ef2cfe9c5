"""kill -9 of the collector in the middle of a window, at every step of a row: the next tick repeats harmlessly."""

from __future__ import annotations

import asyncio
import pickle
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from metering.auditing import run_audit
from tests.support.database import Database
from tests.support.metered import NOON, World, open_world

ROOT = Path(__file__).parents[3]
NOW = NOON + timedelta(hours=1)
STEPS = {
    "the row is written": "metering.accounting_row",
    "usage is written": "metering.usage_record",
    "the line is written": "pricing.rated_line",
    "the ledger is written": "pricing.ledger_transaction",
    "the watermark is written": "metering.collection",
}


@pytest.fixture
async def world(database: Database) -> World:
    world = await open_world(database)
    await world.organisation("alpha")
    await world.person("aya", "alpha")
    for n in range(1, 7):
        await world.run(f"job{n}", person="aya", started_at=NOON, ran_s=60 * n)
    return world


@pytest.mark.parametrize("step", STEPS)
async def test_a_collector_killed_in_the_middle_of_a_window_leaves_no_trace(world: World, step: str) -> None:
    # 1. a collector hangs at its third row; 2. it is killed; 3. the server rolls back; 4. another one does it again.
    await stop_at_third(world, STEPS[step])
    collector = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.collector", world.database.url, cwd=ROOT, stdin=asyncio.subprocess.PIPE
    )
    assert collector.stdin
    collector.stdin.write(pickle.dumps((world.backend.rows, NOW)))
    collector.stdin.write_eof()
    hanging = await hanging_backend(world)
    collector.kill()
    await collector.wait()
    await world.database.owner.execute("SELECT pg_terminate_backend($1, 5000)", hanging)
    await world.database.owner.execute(f"DROP TRIGGER stop ON {STEPS[step]}")

    await world.collect(NOW + timedelta(minutes=1))
    used = await world.database.owner.fetchval(
        "SELECT sum(quantity) FROM metering.usage_record WHERE component = 'gpu_s'"
    )
    charged = await world.database.owner.fetchval("SELECT sum(charged_micro_yen) FROM pricing.rated_line")
    assert used == 60 * (1 + 2 + 3 + 4 + 5 + 6)
    assert charged == used * Decimal(330_000_000) / 3600
    at = NOW + timedelta(minutes=2)
    result = await run_audit(world.database.worker, {world.backend.name: world.backend}, now=at)
    assert result.lines()[:-1] == []


async def stop_at_third(world: World, table: str) -> None:
    """Whoever writes the third row (the first watermark) hangs before it is written."""
    third = 1 if table.endswith("collection") else 3
    owner = world.database.owner
    await owner.execute("CREATE SEQUENCE public.written")
    await owner.execute("GRANT USAGE ON SEQUENCE public.written TO PUBLIC")
    await owner.execute(
        f"""CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('public.written') = {third} THEN PERFORM pg_sleep(300); END IF;
                RETURN NEW;
            END $$"""
    )
    await owner.execute(f"CREATE TRIGGER stop BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.stop()")


async def hanging_backend(world: World) -> int:
    for _ in range(600):
        pid: int | None = await world.database.owner.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
        if pid is not None:
            return pid
        await asyncio.sleep(0.05)
    raise AssertionError("the collector never came to the third row")
