"""Spot work makes room on a simulated cluster and on a real machine: asked once, tried again, and nothing charged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.model import Principal
from hpc_adapters.contract import Ref, Resources
from hpc_adapters.errors import Unavailable
from hpc_adapters.simulated.behaviour import Behaviour
from infra.clock import utc_now
from metering.loops import collect
from metering.loops.deps import Deps as MeteringDeps
from pricing.model import ServiceClass
from scheduler.core.model import EndReason, State
from scheduler.core.snapshot import Policy, Preempt, Preemption
from scheduler.loops import preempt
from scheduler.loops.deps import Settings
from scheduler.submission import Submission
from scheduler.views import JobView
from tests.support import market
from tests.support.database import Database
from tests.support.local_cluster import a_cluster
from tests.support.market import GPU
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

QUICK = Settings(policy=Policy(preemption=Preemption(protected_s=5, per_organisation=2)))


@pytest.fixture
async def world(database: Database) -> World:
    return await _with_spot(await open_world(database, settings=QUICK))


async def _with_spot(world: World) -> World:
    async with world.market.as_operator() as conn:
        await market.publish(conn, GPU, [market.gpu_price("100")], service_class=ServiceClass.SPOT)
    return world


def spot(run_s: float = 300, **changed: object) -> Submission:
    body = Behaviour(run_s=run_s).script().body
    usual = {"service_class": ServiceClass.SPOT, "gpus": 8, "max_attempts": 3, "body": body}
    return a_submission(**{**usual, **changed})


async def _running_spot(world: World, slug: str = "alice") -> tuple[Principal, JobView]:
    alice = await world.member(slug)
    job = await world.submit(alice, spot())
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    world.clock.advance(6)
    return alice, job


async def _free_and_paid(world: World, job: JobView) -> None:
    """Its first attempt made room and was free; its second is what it pays for, and its hold is closed."""
    deps = MeteringDeps(pool=world.market.database.worker, backends=world.backends)
    for _ in range(3):
        world.clock.advance(60)
        await collect.tick(deps, world.now)
    owner = world.market.database.owner
    lines = await owner.fetch(
        "SELECT a.ordinal, l.waiver, l.price_micro_yen > 0 AS ran, l.charged_micro_yen > 0 AS paid "
        "FROM pricing.rated_line l JOIN scheduler.attempt a ON a.id = l.attempt_id "
        "WHERE l.job_id = $1 AND l.component = 'gpu_s' ORDER BY a.ordinal",
        job.id,
    )
    assert [tuple(row) for row in lines] == [(1, "preempted", True, False), (2, None, True, True)]
    closed_at, told = await world.money(job)
    assert (closed_at is not None, told) == (True, [("preempted", False), ("succeeded", True)])
    assert await owner.fetchval("SELECT coalesce(sum(amount_micro_yen), 0)::bigint FROM pricing.ledger_entry") == 0


async def _decisions(world: World, job: JobView) -> list[tuple[str, dict[str, object]]]:
    rows = await world.market.database.owner.fetch(
        "SELECT d.kind, d.facts FROM scheduler.decision d JOIN scheduler.attempt a ON a.id = d.attempt_id "
        "WHERE a.job_id = $1 ORDER BY d.at, a.ordinal",
        job.id,
    )
    return [(row["kind"], row["facts"]) for row in rows]


async def test_spot_makes_room_is_tried_again_and_pays_for_what_it_ran_in_the_end(world: World) -> None:
    _, cheap = await _running_spot(world)
    bob = await world.member("bob")
    urgent = await world.submit(bob, a_submission(gpus=4))
    await world.until(lambda seen: seen.state is State.RUNNING, urgent, rounds=20)
    again = await world.job(cheap)
    assert (again.attempt_count, again.state) == (2, State.QUEUED)
    await world.until(lambda seen: seen.state is State.RUNNING, cheap, rounds=20)
    world.clock.advance(300)
    assert (await world.until_ended(cheap)).state is State.SUCCEEDED
    assert ("PreemptRequested", State.RUNNING) in await world.story(cheap)
    await _free_and_paid(world, cheap)
    assert await world.market.database.owner.fetchval("SELECT count(*) FROM scheduler.fairshare_charge") == 2
    kinds = await _decisions(world, cheap)
    assert [kind for kind, _ in kinds] == ["start", "preempt", "start"]
    assert (kinds[0][1]["rule"], kinds[1][1]["rule"]) == ("in_order", "least_work_lost")
    told_of_bob = str(kinds)
    assert str(urgent.id) not in told_of_bob
    assert str(bob.organisation_id) not in told_of_bob


async def test_nobody_is_asked_before_it_has_run_for_as_long_as_is_protected(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, spot())
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    await world.submit(await world.member("bob"), a_submission(gpus=4))
    await world.round(1)
    assert await world.market.database.owner.fetchval("SELECT count(preempt_wanted_at) FROM scheduler.attempt") == 0
    await world.round(12)  # whether only time has passed is looked at every ten seconds
    assert await world.market.database.owner.fetchval("SELECT count(preempt_wanted_at) FROM scheduler.attempt") == 1


async def test_so_many_of_an_organisation_in_an_hour(world: World) -> None:
    _, job = await _running_spot(world)
    bob = await world.member("bob")
    for turn in range(1, 3):
        urgent = await world.submit(bob, a_submission(gpus=8))
        await world.until_ended(urgent)
        await world.until(lambda seen, turn=turn: (seen.state, seen.attempt_count) == (State.RUNNING, turn + 1), job)
        world.clock.advance(6)
    urgent = await world.submit(bob, a_submission(gpus=8))
    await world.round()
    assert (await world.job(job)).attempt_count == 3
    world.clock.advance(300)
    assert (await world.until_ended(job)).state is State.SUCCEEDED  # its third and last attempt is left alone
    assert (await world.until_ended(urgent)).state is State.SUCCEEDED


class Silent:
    """The simulated cluster, whose ear for cancels is shut until it is opened."""

    def __init__(self, world: World) -> None:
        self._backend, self.asked, self.hears = world.backend, 0, False
        world.backends = {CLUSTER: self}  # type: ignore[dict-item]  all of the port that is asked here

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)

    async def cancel(self, ref: Ref) -> None:
        self.asked += 1
        if not self.hears:
            raise Unavailable("gone", maybe_done=True)
        await self._backend.cancel(ref)


async def test_what_was_noted_and_not_heard_is_told_again_and_noted_once(world: World) -> None:
    _, job = await _running_spot(world)
    deaf = Silent(world)
    urgent = await world.submit(await world.member("bob"), a_submission(gpus=4))
    await world.dispatch()
    for _ in range(3):
        await world.round()
    assert deaf.asked >= 4
    assert (await world.job(job)).state is State.RUNNING
    deaf.hears = True
    await world.until(lambda seen: seen.state is State.RUNNING, urgent, rounds=20)
    assert (await world.story(job)).count(("PreemptRequested", State.RUNNING)) == 1
    assert [kind for kind, _ in await _decisions(world, job)].count("preempt") == 1


async def test_carried_out_twice_or_too_late_nothing_more_happens(world: World) -> None:
    _, job = await _running_spot(world)
    wanted = Preempt(attempt_id=job.attempt_id, backend=CLUSTER, for_class=ServiceClass.STANDARD, facts={"rule": "x"})
    assert await preempt.carry_out(world.deps(), [wanted], world.now) == 1
    assert await preempt.carry_out(world.deps(), [wanted, wanted], world.now) == 0
    await world.until(lambda seen: seen.attempt_count == 2, job)
    assert await preempt.carry_out(world.deps(), [wanted], world.now) == 0
    ended = [each for each in await world.story(job) if each[0] == "Ended"]
    assert ended == [("Ended", State.PREEMPTED)]


async def test_what_ended_by_itself_before_it_was_told_has_succeeded_and_is_charged(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, spot(run_s=20))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    deaf = Silent(world)
    wanted = Preempt(attempt_id=job.attempt_id, backend=CLUSTER, for_class=ServiceClass.STANDARD)
    assert await preempt.carry_out(world.deps(), [wanted], world.now) == 1
    world.clock.advance(30)
    deaf.hears = True
    await world.round()
    assert (await world.job(job)).state is State.SUCCEEDED
    assert (await world.money(job))[1] == [("succeeded", True)]


async def test_whoever_cancels_what_makes_room_is_not_run_again_and_pays_nothing(world: World) -> None:
    alice, job = await _running_spot(world)
    wanted = Preempt(attempt_id=job.attempt_id, backend=CLUSTER, for_class=ServiceClass.STANDARD)
    await preempt.carry_out(world.deps(), [wanted], world.now)
    await world.cancel(alice, job)
    over = await world.until_ended(job)
    assert (over.state, over.reason, over.attempt_count) == (State.PREEMPTED, EndReason.PREEMPTED_BY_US, 1)
    assert (await world.money(job))[1] == [("preempted", True)]


async def test_a_tenant_reads_its_own_decisions_and_writes_none(world: World) -> None:
    alice, _ = await _running_spot(world)
    bob = await world.member("bob")
    for who, rows in ((alice, 1), (bob, 0)):
        async with world.as_tenant(who) as conn:
            assert await conn.fetchval("SELECT count(*) FROM scheduler.decision") == rows


# -- on this machine ---------------------------------------------------------------------------------------------------

SAVES = b"""#!/bin/sh
if [ -e "$KYOYO_CHECKPOINT_DIR/saved" ]; then echo '{"resumed": true}' >result.json; exit 0; fi
trap 'echo yes >"$KYOYO_CHECKPOINT_DIR/saved"; exit 0' TERM
while true; do sleep 0.1; done
"""


@pytest.mark.sandbox
async def test_on_a_real_machine_it_is_signalled_saves_its_work_and_goes_on_from_there(
    database: Database, tmp_path: Path
) -> None:
    now = utc_now()
    world = await _with_spot(
        await open_world(database, settings=replace(QUICK, policy=Policy(preemption=Preemption(protected_s=0))))
    )
    real = a_cluster(tmp_path, total=Resources(gpus=2, cpus=8, memory_mb=16_384))
    world.backends = {CLUSTER: real}
    world.clock.advance((now - world.now).total_seconds())
    alice, bob = await world.member("alice"), await world.member("bob")
    cheap = await world.submit(alice, spot(gpus=2, body=SAVES, walltime_s=60))

    async def turn() -> None:
        await world.round((utc_now() - world.now) / timedelta(seconds=1))
        await asyncio.sleep(0.05)

    async def until(job: JobView, *states: State) -> JobView:
        async with asyncio.timeout(90):
            while (seen := await world.job(job)).state not in states:
                await turn()
        return seen

    await until(cheap, State.RUNNING)
    urgent = await world.submit(bob, a_submission(gpus=2, body=b"#!/bin/sh\nexit 0\n", walltime_s=60))
    assert (await until(urgent, State.SUCCEEDED, State.FAILED)).state is State.SUCCEEDED
    over = await until(cheap, State.SUCCEEDED, State.FAILED, State.PREEMPTED)
    assert (over.state, over.attempt_count) == (State.SUCCEEDED, 2)
    assert await world.result(cheap) == b'{"resumed": true}\n'
    await _free_and_paid(world, cheap)
