"""The simulated cluster with faulty accounting: late, doubled, corrected rows, double starts, lost answers.

Its `truth` is the oracle: what was used, whatever was said in between.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from hpc_adapters.contract import JobRequest, Resources, Seen
from hpc_adapters.errors import Unavailable
from hpc_adapters.simulated import Behaviour, Faults, SimulatedBackend, SimulatedClock
from metering.auditing import run_audit
from metering.loops import collect
from metering.loops.deps import Deps
from pricing.model import Ending, JobSize
from tests.support.database import Database
from tests.support.market import an_id
from tests.support.metered import CLUSTER, NOON, World, open_world

FAULTS = Faults(
    lost_answer=0.1,
    delayed_effect=0.1,
    double_start=0.2,
    node_failure=0.1,
    late_accounting=0.4,
    doubled_row=0.3,
    corrected_row=0.3,
    flapping=0.1,
)
ENDINGS = {
    Seen.SUCCEEDED: Ending.SUCCEEDED,
    Seen.NODE_FAILED: Ending.LOST,
    Seen.TIMED_OUT: Ending.FAILED,
    Seen.CANCELLED: Ending.CANCELLED,
}
JOBS = 16


@pytest.fixture
async def world(database: Database) -> World:
    world = await open_world(database)
    await world.organisation("alpha")
    await world.person("aya", "alpha")
    return world


@pytest.mark.parametrize("seed", [1, 2])
async def test_usage_is_exactly_what_ran_whatever_the_accounting_said_in_between(world: World, seed: int) -> None:
    clock = SimulatedClock(NOON)
    total = Resources(gpus=8, cpus=64, memory_mb=1_000_000)
    backend = SimulatedBackend(name=CLUSTER, total=total, seed=seed, clock=clock, faults=FAULTS)
    deps = Deps(pool=world.database.worker, backends={CLUSTER: backend})
    for n in range(JOBS):
        await world.submit(f"job{n}", person="aya", size=JobSize(gpus=1, walltime_s=600), now=clock())
        await hand_over(backend, f"job{n}", run_s=30.5 + 31 * n, clock=clock)
        clock.advance(20)
        await collect.tick(deps, clock())
    closed: set[str] = set()
    for _ in range(90):
        clock.advance(20)
        await close_what_ended(world, backend, closed, clock)
        await collect.tick(deps, clock())
    truth = backend.cluster.truth
    assert len(closed) == JOBS
    for n in range(JOBS):
        attempt_id = an_id("attempt", f"job{n}", 1)
        used = await used_by(world, f"job{n}")
        assert {name: amount for name, amount in used.items() if amount} == dict(truth.usage[attempt_id]), n
        assert truth.starts[attempt_id] == 1
    assert await open_attempts(world) == 0
    assert await world.database.owner.fetchval("SELECT count(*) FROM metering.accounting_row WHERE revision > 1") > 0
    assert sum(truth.refused_at_gate.values()) > 0
    backend.cluster.faults = replace(FAULTS, flapping=0)
    backend.cluster.burst_left = 0
    result = await run_audit(world.database.worker, {CLUSTER: backend}, now=clock())
    assert [line for line in result.lines()[:-1] if "explained" not in line] == []


async def hand_over(backend: SimulatedBackend, job: str, *, run_s: float, clock: SimulatedClock) -> None:
    """As the dispatcher does: again and again, until the backend has it."""
    request = JobRequest(
        attempt_id=an_id("attempt", job, 1),
        tenant="alpha",
        resources=Resources(gpus=1, cpus=2, memory_mb=1),
        walltime_s=600,
        payload=Behaviour(run_s=run_s).script(),
    )
    for _ in range(100):
        try:
            await backend.submit(request)
        except Unavailable:
            clock.advance(1)
        else:
            return
    raise AssertionError(f"{job} was never accepted")


async def close_what_ended(world: World, backend: SimulatedBackend, closed: set[str], clock: SimulatedClock) -> None:
    truth = backend.cluster.truth
    for n in range(JOBS):
        job, attempt_id = f"job{n}", an_id("attempt", f"job{n}", 1)
        if job not in closed and attempt_id in truth.ended_at:
            closed.add(job)
            ended_at, ending = truth.ended_at[attempt_id], ENDINGS[truth.endings[attempt_id]]
            started_at = truth.started_at[attempt_id]
            await world.end(job, started_at=started_at, ended_at=ended_at, ending=ending, now=clock())


async def used_by(world: World, job: str) -> dict[str, Decimal]:
    rows = await world.database.owner.fetch(
        """SELECT component, sum(quantity) AS quantity FROM metering.usage_record u
           WHERE job_id = $1 AND NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = u.id)
           GROUP BY component""",
        an_id("job", job),
    )
    return {row["component"]: row["quantity"] for row in rows}


async def open_attempts(world: World) -> int:
    return await world.database.owner.fetchval(
        "SELECT count(*) FROM pricing.billable_attempt WHERE settled_at IS NULL OR closed_at IS NULL"
    )
