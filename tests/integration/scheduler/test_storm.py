"""Hundreds of jobs of three organisations through the real ticks, while everything that can go wrong does, by a seed.

The simulated cluster loses answers and requests, lets submissions appear late, forgets jobs, gives their ids away,
starts jobs twice, says things late and unreadably, and does not answer in bursts; its controller crashes. The worker is
killed before and after a submission. People cancel. Nobody sleeps: time is logical.

The cluster's own truth is the oracle. In the end every job is over, no attempt has run twice, what succeeded there has
succeeded here, each hold is closed and the ledger balances.
"""

from __future__ import annotations

import random  # noqa: TID251  one seeded instance
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from accounts.model import Principal
from hpc_adapters.contract import JobRequest, Ref, Resources, Seen
from hpc_adapters.simulated.behaviour import Behaviour
from hpc_adapters.simulated.faults import Faults
from metering.loops import collect
from metering.loops.deps import Deps as CollectDeps
from scheduler.core.model import State
from scheduler.core.resources import total
from scheduler.store import planning
from scheduler.views import JobView
from tests.support.database import Database
from tests.support.interposed import Interposed, Killed
from tests.support.scheduled import CLUSTER, SIZE, World, a_submission, open_world

FAULTS = Faults(
    lost_answer=0.08,
    lost_request=0.05,
    delayed_effect=0.05,
    vanished=0.04,
    id_reused=0.5,
    double_start=0.08,
    node_failure=0.04,
    preemption=0.04,
    late_accounting=0.1,
    doubled_row=0.1,
    corrected_row=0.05,
    lost_cancel_answer=0.3,
    stale_status=0.05,
    unknown_state=0.05,
    flapping=0.03,
)
ENDINGS = [Seen.SUCCEEDED] * 8 + [Seen.FAILED, Seen.OUT_OF_MEMORY]
MOST_ROUNDS = 3_000
LOOPS = ("dispatch", "observe", "cancel", "sweep")


def _item_failures() -> float:
    """Faults of ours, which the ticks survive and report: there must be none."""
    counts = (REGISTRY.get_sample_value("kyoyo_scheduler_item_failures_total", {"loop": loop}) for loop in LOOPS)
    return sum(count or 0 for count in counts)


class Mortal(Interposed):
    """The worker may be killed around a submission: before it leaves, or before its answer is noted."""

    def __init__(self, world: World, chance: random.Random) -> None:
        super().__init__(world)
        self._chance = chance

    async def submit(self, request: JobRequest) -> Ref:
        if self._chance.random() < 0.03:
            raise Killed
        ref = await super().submit(request)
        if self._chance.random() < 0.03:
            raise Killed
        return ref


@dataclass
class Storm:
    world: World
    chance: random.Random
    people: Sequence[Principal]
    to_submit: int
    jobs: list[tuple[Principal, JobView]] = field(default_factory=list)
    deaths: int = 0
    failures_before: float = field(default_factory=_item_failures)

    async def rage(self) -> None:
        for _ in range(MOST_ROUNDS):
            await self._people_act()
            await self._loops_tick()
            await self._check_our_books()
            if not self.to_submit and await self._all_over():
                return
        raise AssertionError("some jobs never end")

    async def _people_act(self) -> None:
        self.world.clock.advance(self.chance.uniform(0.5, 4))
        if self.to_submit and self.chance.random() < 0.7:
            for _ in range(min(self.to_submit, self.chance.randint(1, 6))):
                self.to_submit -= 1
                who = self.chance.choice(self.people)
                self.jobs.append((who, await self.world.submit(who, self._some_job())))
        if self.jobs and self.chance.random() < 0.1:
            await self._somebody_cancels()
        if self.chance.random() < 0.01:
            self.world.backend.cluster.crash(self.world.now)

    async def _somebody_cancels(self) -> None:
        """A job of any age, or, as often, one that a backend has: there the cancel races with everything."""
        chosen = self.chance.choice(self.jobs)
        if self.chance.random() < 0.5:
            rows = await self.world.market.database.owner.fetch(
                "SELECT job_id FROM scheduler.attempt WHERE state IN ('DISPATCHING', 'RUNNING') ORDER BY job_id"
            )
            busy = {row["job_id"] for row in rows}
            chosen = self.chance.choice([each for each in self.jobs if each[1].id in busy] or [chosen])
        await self.world.cancel(*chosen)

    def _some_job(self):
        ending = self.chance.choice(ENDINGS)
        behaviour = Behaviour(run_s=self.chance.uniform(0.2, 30), ending=ending, exit_code=int(ending is Seen.FAILED))
        return a_submission(
            body=behaviour.script().body,
            gpus=self.chance.choice([1, 1, 1, 2, 4, 8]),
            walltime_s=self.chance.choice([20, 60, 300]),
            max_attempts=self.chance.randint(1, 3),
        )

    async def _loops_tick(self) -> None:
        world = self.world
        ticks = [world.dispatch, world.observe, world.carry_out_cancels, world.sweep]
        for tick in self.chance.sample(ticks, self.chance.randint(1, 4)):
            try:
                await tick()
            except Killed:
                self.deaths += 1

    async def _check_our_books(self) -> None:
        """Never is more handed over than the machine has."""
        async with self.world.market.as_worker() as conn:
            held = (await planning.live(conn)).held
        assert total(each.needs for each in held).fits(SIZE)

    async def _all_over(self) -> bool:
        count = await self.world.market.database.owner.fetchval(
            "SELECT count(*) FROM scheduler.attempt WHERE state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING')"
        )
        return count == 0

    async def settle(self) -> None:
        """The accounting comes in, late and corrected rows included, and everything is charged.

        After a day also what the cluster has told nothing of at all.
        """
        deps = CollectDeps(pool=self.world.market.database.worker, backends={CLUSTER: self.world.backend})
        for seconds in (*[60] * 60, 90_000, 60, 60, 60):  # it may be unreachable just then
            self.world.clock.advance(seconds)
            await collect.tick(deps, self.world.now)


async def storm(database: Database, *, seed: int, jobs: int) -> Storm:
    world = await open_world(database, faults=FAULTS, seed=seed, size=SIZE)
    chance = random.Random(seed)
    world.backends = {CLUSTER: Mortal(world, chance)}
    people = [await world.member(slug) for slug in ("alice", "bob", "carol")]
    raging = Storm(world, chance, people, to_submit=jobs)
    await raging.rage()
    world.backends = {CLUSTER: world.backend}
    await raging.settle()
    return raging


async def check(raging: Storm) -> None:
    assert _item_failures() == raging.failures_before
    await _nothing_ran_twice(raging)
    await _our_story_is_the_truth(raging)
    await _every_hold_is_closed(raging)


async def _nothing_ran_twice(raging: Storm) -> None:
    truth = raging.world.backend.cluster.truth
    assert set(truth.starts.values()) <= {1}
    assert Resources(**truth.most_units_used).fits(SIZE)
    assert not list(raging.world.backend.cluster.live())


async def _our_story_is_the_truth(raging: Storm) -> None:
    """What the cluster knows has ended here as there; what differs was forgotten there, or called off here."""
    truth = raging.world.backend.cluster.truth
    rows = await raging.world.market.database.owner.fetch("SELECT id, state::text, reason FROM scheduler.attempt")
    assert len({row["id"] for row in rows}) >= len(raging.jobs)
    ended_as = {
        Seen.SUCCEEDED: State.SUCCEEDED,
        Seen.FAILED: State.FAILED,
        Seen.OUT_OF_MEMORY: State.FAILED,
        Seen.TIMED_OUT: State.FAILED,
        Seen.PREEMPTED: State.PREEMPTED,
        Seen.NODE_FAILED: State.LOST,
        Seen.CANCELLED: State.CANCELLED,
    }
    for row in rows:
        seen = truth.endings.get(row["id"])
        if row["state"] == State.SUCCEEDED:
            assert seen is Seen.SUCCEEDED
        if seen is not None and row["id"] not in truth.forgotten and row["reason"] not in {"vanished", "unreadable"}:
            assert row["state"] == ended_as[seen], (row["id"], seen, row["state"], row["reason"])
        if row["state"] == State.LOST and row["reason"] == "vanished":
            assert row["id"] in truth.forgotten or seen is None


async def _every_hold_is_closed(raging: Storm) -> None:
    owner = raging.world.market.database.owner
    assert await owner.fetchval("SELECT count(*) FROM scheduler.job") == len(raging.jobs)
    assert await owner.fetchval("SELECT count(*) FROM pricing.billable_attempt WHERE ending IS NULL") == 0
    assert await owner.fetchval("SELECT count(*) FROM pricing.hold WHERE closed_at IS NULL") == 0
    assert await owner.fetchval("SELECT coalesce(sum(amount_micro_yen), 0) FROM pricing.ledger_entry") == 0
    held = "SELECT coalesce(sum(amount_micro_yen), 0) FROM pricing.ledger_balance WHERE bucket = 'held'"
    assert await owner.fetchval(held) == 0
    unlike = await owner.fetchval(
        "SELECT count(*) FROM scheduler.attempt a JOIN pricing.billable_attempt b ON b.attempt_id = a.id "
        "WHERE b.last IS DISTINCT FROM NOT EXISTS "
        "(SELECT FROM scheduler.attempt later WHERE later.job_id = a.job_id AND later.ordinal > a.ordinal)"
    )
    assert unlike == 0


@pytest.mark.timeout(180)
@pytest.mark.takes(60)
async def test_two_hundred_jobs_survive_a_storm(database: Database) -> None:
    raging = await storm(database, seed=20261121, jobs=200)
    await check(raging)
    assert raging.deaths > 3


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(20))
async def test_every_storm_is_survived(database: Database, seed: int) -> None:
    await check(await storm(database, seed=seed, jobs=500))
