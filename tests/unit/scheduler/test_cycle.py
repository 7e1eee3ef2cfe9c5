"""Who starts, who waits, and why: `plan` on small invented worlds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.cycle import plan
from scheduler.core.fairshare import MICRO
from scheduler.core.reasons import Why
from scheduler.core.resources import total
from scheduler.core.snapshot import Holding, Plan, Policy, Pool, Snapshot, Standing, Wait, Waiting

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
ORGANISATIONS = {name: UUID(int=index) for index, name in enumerate("abcd", start=1)}


@dataclass
class World:
    """Builds a snapshot; every test states only what matters."""

    pools: dict[str, Pool] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    holding: list[Holding] = field(default_factory=list)
    standings: dict[UUID, Standing] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    def pool(self, name: str = "h200", *, gpus: int = 8, free: int | None = None, online: bool = True) -> World:
        size, left = Resources(gpus=gpus), Resources(gpus=gpus if free is None else free)
        self.pools[name] = Pool(name=name, total=size, free=left, online=online)
        return self

    def organisation(self, name: str, **known: object) -> World:
        identity = ORGANISATIONS[name]
        self.standings[identity] = replace(Standing(organisation_id=identity), **known)
        return self

    def jobs(self, name: str, count: int = 1, *, gpus: int = 1, hours: float = 1, **known: object) -> World:
        self.standings.setdefault(ORGANISATIONS[name], Standing(organisation_id=ORGANISATIONS[name]))
        for _ in range(count):
            number = len(self.waiting) + 1
            job = Waiting(
                attempt_id=UUID(int=1000 + number),
                organisation_id=ORGANISATIONS[name],
                backend="h200",
                needs=Resources(gpus=gpus),
                walltime_s=int(hours * 3600),
                micro_nu=int(gpus * hours * MICRO),
                submitted_at=NOW + timedelta(seconds=number - 1000),
            )
            self.waiting.append(replace(job, **known))
        return self

    def runs(self, name: str, *, gpus: int = 1, hours: float = 1, accepted: bool = True) -> World:
        self.standings.setdefault(ORGANISATIONS[name], Standing(organisation_id=ORGANISATIONS[name]))
        self.holding.append(
            Holding(
                attempt_id=UUID(int=2000 + len(self.holding)),
                organisation_id=ORGANISATIONS[name],
                backend="h200",
                needs=Resources(gpus=gpus),
                until=NOW + timedelta(hours=hours),
                accepted=accepted,
            )
        )
        return self

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=NOW,
            pools=self.pools,
            waiting=self.waiting,
            holding=self.holding,
            standings=self.standings,
            policy=self.policy,
        )

    def plan(self) -> Plan:
        return plan(self.snapshot())

    def started(self) -> list[int]:
        """Numbers of the started jobs, in order; the first job of the world is 1."""
        return [start.attempt_id.int - 1000 for start in self.plan().starts]

    def started_by(self) -> dict[str, int]:
        owner = {each.attempt_id: each.organisation_id for each in self.waiting}
        names = {identity: name for name, identity in ORGANISATIONS.items()}
        return dict(Counter(names[owner[start.attempt_id]] for start in self.plan().starts))

    def wait_of(self, number: int) -> Wait:
        return next(wait for wait in self.plan().waits if wait.attempt_id.int - 1000 == number)


def test_equal_weights_share_the_machine_within_one_cycle() -> None:
    assert World().pool(gpus=8).jobs("a", 8).jobs("b", 8).started_by() == {"a": 4, "b": 4}


def test_a_double_weight_is_a_double_share() -> None:
    world = World().pool(gpus=9).organisation("a", weight=2).jobs("a", 9).jobs("b", 9)
    assert world.started_by() == {"a": 6, "b": 3}


def test_who_has_used_less_comes_first() -> None:
    world = World().pool(gpus=1).organisation("a", used_micro_nu=5 * MICRO).jobs("a").jobs("b")
    assert world.started_by() == {"b": 1}


def test_of_equals_the_oldest_comes_first() -> None:
    assert World().pool(gpus=2).jobs("b").jobs("a").jobs("b").started() == [1, 2]


def test_inside_an_organisation_age_decides() -> None:
    assert World().pool(gpus=2).jobs("a", 4).started() == [1, 2]


def test_standard_comes_before_spot() -> None:
    world = World().pool(gpus=1).jobs("a", service_class=ServiceClass.SPOT).jobs("b")
    assert world.started() == [2]


def test_what_does_not_fit_waits_with_what_it_needs_and_what_is_free() -> None:
    wait = World().pool(gpus=8, free=2).jobs("a", gpus=4).wait_of(1)
    assert wait.why is Why.NO_CAPACITY
    assert wait.facts == {"position": 1, "needed": {"gpus": 4}, "free": {"gpus": 2}, "earliest": NOW.isoformat()}


def test_positions_count_per_backend_in_the_fair_order() -> None:
    world = World().pool(gpus=1).jobs("a", 3).jobs("b", 2)
    assert [(world.wait_of(number).facts["position"]) for number in (4, 2, 5, 3)] == [1, 2, 3, 4]


def test_the_backends_own_count_and_ours_bind_both() -> None:
    assert World().pool(gpus=4, free=4).runs("b", gpus=3).jobs("a", 4).started() == [1]  # it has not counted ours yet
    assert World().pool(gpus=4, free=1).jobs("a", 4).started() == [1]  # somebody else is there


def test_what_may_have_been_accepted_unseen_is_counted_against_the_backends_free_units() -> None:
    world = World().pool(gpus=8, free=4).runs("b", gpus=2, accepted=False)
    assert world.jobs("a", 8).started() == [1, 2]


def test_small_jobs_cannot_starve_a_large_one() -> None:
    # 6 of 8 run for another hour; the large job needs all of them, so a small one may only fill in if it ends before.
    world = World().pool(gpus=8, free=2).runs("b", gpus=6, hours=1)
    world.jobs("a", gpus=8).jobs("c", hours=2).jobs("d", hours=0.5)
    assert world.started() == [3]
    blocked = world.wait_of(2)
    assert (blocked.why, blocked.facts["until"]) == (
        Why.RESERVED_FOR_EARLIER,
        (NOW + timedelta(hours=1)).isoformat(),
    )


def test_a_long_job_may_take_what_the_reservation_leaves_over() -> None:
    world = World().pool(gpus=8, free=4).runs("b", gpus=4, hours=1)
    world.jobs("a", gpus=6).jobs("c", hours=9).jobs("d", hours=9).jobs("c", hours=9)
    assert world.started() == [2, 3]


def test_an_offline_backend_starts_nothing() -> None:
    world = World().pool(online=False).jobs("a")
    assert (world.started(), world.wait_of(1).why) == ([], Why.BACKEND_OFFLINE)


def test_one_backend_does_not_hold_up_another() -> None:
    world = World().pool("h200", gpus=1, free=0).pool("qpu", gpus=1).jobs("a").jobs("a", backend="qpu")
    assert world.started() == [2]


def test_what_is_larger_than_the_machine_says_so_and_reserves_nothing() -> None:
    world = World().pool(gpus=4).jobs("a", gpus=5).jobs("a", gpus=4)
    assert (world.started(), world.wait_of(1).why) == ([2], Why.EXCEEDS_MACHINE)


def test_the_running_quota_of_an_organisation_holds() -> None:
    world = World().pool(gpus=8).organisation("a", max_running_jobs=3).runs("a").jobs("a", 4).jobs("b")
    assert world.started_by() == {"a": 2, "b": 1}
    assert world.wait_of(4).facts == {
        "position": 2,
        "level": "organisation",
        "on": "*",
        "running": 3,
        "max": 3,
    }


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"cancel_wanted": True}, Why.CANCEL_PENDING),
        ({"not_before": NOW + timedelta(seconds=5)}, Why.RETRY_LATER),
        ({"not_before": NOW + timedelta(seconds=5), "parked": "LookupError"}, Why.PARKED),
    ],
)
def test_what_may_not_start_now_takes_no_turn(known: dict[str, object], why: Why) -> None:
    world = World().pool(gpus=1).jobs("a", **known).jobs("a")
    assert (world.started(), world.wait_of(1).why) == ([2], why)


def test_a_back_off_that_is_over_is_over() -> None:
    assert World().pool().jobs("a", not_before=NOW).started() == [1]


def test_an_organisation_that_may_start_nothing_waits_with_the_refusals_code() -> None:
    wait = World().pool().organisation("a", refused="declaration-expired").jobs("a").wait_of(1)
    assert (wait.why, wait.facts) == (Why.NOT_ELIGIBLE, {"code": "declaration-expired"})


def test_one_cycle_starts_only_so_many_and_keeps_the_place_of_the_others() -> None:
    world = World(policy=Policy(max_starts=2)).pool(gpus=4).jobs("a", 3).jobs("a", gpus=2)
    assert len(world.started()) == 2
    assert {wait.why for wait in world.plan().waits} == {Why.NEXT_CYCLE}


def test_overdue_jobs_are_expected_to_end_soon_and_not_in_the_past() -> None:
    world = World().pool(gpus=1, free=0).runs("b", hours=-1).jobs("a")
    assert world.wait_of(1).facts["earliest"] == (NOW + timedelta(seconds=60)).isoformat()


# -- properties --------------------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(policy=Policy(max_starts=draw(st.integers(1, 8))))
    world.pool(gpus=draw(st.integers(1, 12)), free=draw(st.integers(0, 12)))
    for name in "abc":
        world.organisation(
            name,
            weight=draw(st.integers(1, 3)),
            used_micro_nu=draw(st.integers(0, 5)) * MICRO,
            max_running_jobs=draw(st.integers(0, 5)),
        )
    for _ in range(draw(st.integers(0, 4))):
        world.runs(
            draw(st.sampled_from("abc")),
            gpus=draw(st.integers(1, 3)),
            hours=draw(st.sampled_from([0.5, 1, 2])),
            accepted=draw(st.booleans()),
        )
    for _ in range(draw(st.integers(0, 12))):
        world.jobs(
            draw(st.sampled_from("abc")),
            gpus=draw(st.integers(0, 6)),
            hours=draw(st.sampled_from([0.25, 1, 3])),
            submitted_at=NOW - timedelta(seconds=draw(st.integers(0, 3))),
            cancel_wanted=draw(st.booleans()) and draw(st.booleans()),
        )
    return world


@pytest.mark.parametrize("sizes", [(2, 1), (1, 2)])
def test_what_ends_at_the_same_moment_frees_its_units_together(sizes: tuple[int, int]) -> None:
    world = World().pool(gpus=4, free=1)
    for gpus in sizes:
        world.runs("a", gpus=gpus, hours=1)
    world.jobs("b", gpus=2).jobs("b", gpus=1, hours=3)
    assert world.started() == [2]  # of the four that are free in an hour the first in line needs two


@given(worlds(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_its_input(world: World, shuffler: object) -> None:
    expected = world.plan()
    shuffler.shuffle(world.waiting)  # type: ignore[attr-defined]  random.Random
    shuffler.shuffle(world.holding)  # type: ignore[attr-defined]
    world.standings = dict(reversed(world.standings.items()))
    assert world.plan() == expected


@given(worlds())
def test_nothing_is_oversubscribed(world: World) -> None:
    needs = {each.attempt_id: each.needs for each in world.waiting}
    starts = total(needs[start.attempt_id] for start in world.plan().starts)
    ours = total(each.needs for each in world.holding)
    pool = world.pools["h200"]
    assert starts.gpus <= max(0, pool.free.gpus)
    assert not starts.gpus or starts.gpus + ours.gpus <= pool.total.gpus


@given(worlds())
def test_every_waiting_attempt_is_started_or_has_one_reason(world: World) -> None:
    decided = world.plan()
    named = [start.attempt_id for start in decided.starts] + [wait.attempt_id for wait in decided.waits]
    assert sorted(named) == sorted(each.attempt_id for each in world.waiting)


@given(worlds())
def test_quotas_are_never_exceeded(world: World) -> None:
    owner = {each.attempt_id: each.organisation_id for each in world.waiting}
    running = Counter(each.organisation_id for each in world.holding)
    started = Counter(owner[start.attempt_id] for start in world.plan().starts)
    for organisation, count in started.items():
        assert running[organisation] + count <= world.standings[organisation].max_running_jobs
