"""The real scheduler on a lying cluster, metered and charged: whatever happens, the audit finds nothing unexplained."""

from __future__ import annotations

import random  # noqa: TID251  seeded
from decimal import Decimal

import pytest

from hpc_adapters.simulated import Behaviour, Faults
from metering.auditing import run_audit
from metering.loops import capacity, collect
from metering.loops.deps import Deps
from tests.support.database import Database
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

FAULTS = Faults(
    lost_answer=0.1,
    lost_request=0.05,
    delayed_effect=0.1,
    vanished=0.08,
    id_reused=0.5,
    double_start=0.15,
    node_failure=0.08,
    preemption=0.1,
    late_accounting=0.3,
    doubled_row=0.2,
    corrected_row=0.2,
    stale_status=0.05,
    unknown_state=0.05,
    flapping=0.02,
)
JOBS = 40


async def live(world: World, deps: Deps, seconds: float) -> None:
    await world.round(seconds)
    await capacity.tick(deps, world.now)
    await collect.tick(deps, world.now)


@pytest.mark.takes(40)
@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_the_audit_finds_nothing_unexplained(database: Database, seed: int) -> None:
    world = await open_world(database, faults=FAULTS, seed=seed)
    deps = Deps(pool=database.worker, backends={CLUSTER: world.backend})
    chance = random.Random(seed)
    members = [await world.member(slug) for slug in ("alpha", "beta", "gamma")]
    jobs = []
    for n in range(JOBS):
        who = members[n % 3]
        run_s = chance.uniform(1, 400)
        wanted = a_submission(body=Behaviour(run_s=run_s).script().body, gpus=chance.choice([1, 2, 4]), max_attempts=3)
        jobs.append((who, await world.submit(who, wanted)))
        await live(world, deps, chance.uniform(1, 20))
        if chance.random() < 0.15:
            await world.cancel(*chance.choice(jobs))
    for _ in range(400):
        await live(world, deps, 15)
    states = [(await world.job(job)).state for _, job in jobs]
    assert all(state.is_terminal for state in states)
    assert await database.owner.fetchval("SELECT count(*) FROM pricing.hold WHERE closed_at IS NULL") == 0
    world.backend.cluster.reachable = True
    world.backend.cluster.faults = Faults()
    world.backend.cluster.burst_left = 0
    result = await run_audit(database.worker, {CLUSTER: world.backend}, now=world.now)
    assert [line for line in result.lines()[:-1] if line.startswith("DIFFERENCE")] == []
    await charged_is_what_ran(world)


async def charged_is_what_ran(world: World) -> None:
    """By the cluster's own truth: 330 yen per GPU-hour of every attempt that was charged, within the ceiling."""
    rows = await world.market.database.owner.fetch(
        """SELECT a.attempt_id, a.ending::text AS ending, q.ceiling_micro_yen,
                  (SELECT coalesce(sum(l.charged_micro_yen), 0) FROM pricing.rated_line l
                   WHERE l.attempt_id = a.attempt_id) AS charged
           FROM pricing.billable_attempt a JOIN pricing.quote q ON q.job_id = a.job_id"""
    )
    truth = world.backend.cluster.truth
    for row in rows:
        used = truth.usage.get(row["attempt_id"], {}).get("gpu_s", Decimal(0))
        worth = int(used * 330_000_000 / 3600)
        paid = row["ending"] in {"succeeded", "failed", "cancelled"}
        expected = min(worth, row["ceiling_micro_yen"]) if paid else 0
        assert row["charged"] <= expected
        if row["attempt_id"] not in truth.forgotten:
            assert row["charged"] == expected, row
