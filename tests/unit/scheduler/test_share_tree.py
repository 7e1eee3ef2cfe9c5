"""Whose turn it is, level by level; and the limits of each level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  given by hypothesis
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.branches import Branch, branches_of
from scheduler.core.cycle import plan
from scheduler.core.explain import why_it_waits
from scheduler.core.fairshare import MICRO
from scheduler.core.quotas import may_queue, out_of_reach
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Limits, Place, Pool, Snapshot, Stake, Standing, Wait, Waiting

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)
VISION, SPEECH = UUID(int=11), UUID(int=12)
ALICE, BOB = UUID(int=21), UUID(int=22)


def job(number: int, leaf: tuple[UUID, UUID, UUID] = (A, VISION, ALICE), **known: object) -> Waiting:
    usual = Waiting(
        attempt_id=UUID(int=1000 + number),
        organisation_id=leaf[0],
        project_id=leaf[1],
        person_id=leaf[2],
        backend="h200",
        needs=Resources(gpus=1),
        walltime_s=3600,
        micro_nu=MICRO,
        submitted_at=NOW + timedelta(seconds=number - 1000),
    )
    return replace(usual, **known)


def held(number: int, each: Waiting) -> Holding:
    """As it is once it has started."""
    return Holding(
        attempt_id=UUID(int=number),
        organisation_id=each.organisation_id,
        project_id=each.project_id,
        person_id=each.person_id,
        backend=each.backend,
        needs=each.needs,
        until=NOW + timedelta(seconds=each.walltime_s),
        micro_nu=each.micro_nu,
        calls=each.calls,
        calls_micro_nu=each.calls_micro_nu,
        is_call=each.is_call,
    )


def world(waiting: Sequence[Waiting], *, gpus: int = 100, **known: object) -> Snapshot:
    pools = {
        name: Pool(name=name, total=Resources(gpus=gpus, qpus=gpus), free=Resources(gpus=gpus, qpus=gpus))
        for name in ("h200", "qpu")
    }
    standings = {each: Standing(organisation_id=each, max_running_jobs=1_000) for each in (A, B)}
    usual = Snapshot(now=NOW, pools=pools, waiting=waiting, standings=standings)
    return replace(usual, **known)


def order(waiting: Sequence[Waiting], *, stakes: Mapping[Branch, Stake] | None = None) -> list[int]:
    """Who comes first on a machine on which nothing is free."""
    snapshot = world(waiting, stakes=stakes or {})
    pools = {name: replace(pool, free=Resources()) for name, pool in snapshot.pools.items()}
    waits = plan(replace(snapshot, pools=pools)).waits
    in_line = sorted(waits, key=lambda wait: int(str(wait.facts["position"])))
    return [wait.attempt_id.int - 1000 for wait in in_line]


def the_wait(snapshot: Snapshot) -> Wait:
    (found,) = plan(snapshot).waits
    return found


# -- order -------------------------------------------------------------------------------------------------------------


def test_projects_of_an_organisation_take_turns_by_their_weights() -> None:
    jobs = [job(number, (A, VISION if number <= 4 else SPEECH, ALICE)) for number in range(1, 9)]
    assert order(jobs) == [1, 5, 2, 6, 3, 7, 4, 8]
    assert order(jobs, stakes={(A, SPEECH): Stake(weight=3)}) == [1, 5, 6, 7, 2, 8, 3, 4]


def test_what_a_project_has_used_lets_the_other_go_first_and_no_other_organisation() -> None:
    jobs = [job(1), job(2, (A, SPEECH, ALICE)), job(3, (B, VISION, BOB))]
    assert order(jobs) == [1, 3, 2]
    assert order(jobs, stakes={(A, VISION): Stake(used_micro_nu=5 * MICRO)}) == [2, 3, 1]


def test_users_of_a_project_take_turns_and_a_flood_of_one_does_not_shut_out_the_other() -> None:
    jobs = [*(job(number) for number in range(1, 20)), job(99, (A, VISION, BOB))]
    assert order(jobs).index(99) == 1


def test_one_user_of_two_projects_has_a_turn_in_each() -> None:
    jobs = [job(1), job(2), job(3, (A, VISION, BOB)), job(4, (A, SPEECH, ALICE))]
    assert order(jobs) == [1, 4, 3, 2]


def test_calls_go_first_in_their_organisation_and_spot_work_last() -> None:
    spot = job(1, service_class=ServiceClass.SPOT)
    call = job(9, (A, SPEECH, BOB), is_call=True)
    assert order([spot, job(2), call]) == [9, 2, 1]


weights = st.integers(1, 4)
leaves = st.tuples(st.sampled_from([A, B]), st.sampled_from([VISION, SPEECH]), st.sampled_from([ALICE, BOB]))


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Waiting], dict[Branch, Stake]]:
    jobs = [
        job(
            number,
            draw(leaves),
            micro_nu=draw(st.integers(0, 4)) * MICRO,
            submitted_at=NOW - timedelta(seconds=draw(st.integers(0, 3))),
            service_class=draw(st.sampled_from([ServiceClass.STANDARD, ServiceClass.SPOT])),
            is_call=draw(st.integers(0, 9)) == 0,
        )
        for number in range(draw(st.integers(1, 16)))
    ]
    branches = {branch for each in jobs for branch in branches_of(each.leaf)[1:]}
    stakes = {
        branch: Stake(weight=draw(weights), used_micro_nu=draw(st.integers(0, 6)) * MICRO)
        for branch in sorted(branches, key=str)
        if draw(st.booleans())
    }
    return jobs, stakes


@given(queues(), st.randoms(use_true_random=False))
def test_the_order_is_the_same_in_whatever_order_it_is_told(
    drawn: tuple[list[Waiting], dict[Branch, Stake]], random: Random
) -> None:
    jobs, stakes = drawn
    expected = order(jobs, stakes=stakes)
    told = list(jobs)
    random.shuffle(told)
    assert order(told, stakes=dict(reversed(stakes.items()))) == expected


# -- quotas ------------------------------------------------------------------------------------------------------------

PROJECT, USER = (A, VISION), (A, VISION, ALICE)


@pytest.mark.parametrize(
    ("place", "limits", "why", "level", "on"),
    [
        (((A,), "h200"), Limits(max_running_jobs=1), Why.RUNNING_QUOTA, "organisation", "h200"),
        ((PROJECT, None), Limits(max_running_jobs=1), Why.RUNNING_QUOTA, "project", "*"),
        ((USER, None), Limits(max_gpus=3), Why.GPU_QUOTA, "user", "*"),
        ((USER, "h200"), Limits(max_gpus=2), Why.GPU_QUOTA, "user", "h200"),
        (((A,), None), Limits(max_month_micro_nu=3 * MICRO), Why.NU_QUOTA, "organisation", "*"),
        ((PROJECT, "h200"), Limits(max_month_micro_nu=2 * MICRO), Why.NU_QUOTA, "project", "h200"),
    ],
)
def test_each_limit_holds_what_would_break_it_and_says_whose_it_is(
    place: Place, limits: Limits, why: Why, level: str, on: str
) -> None:
    running = held(1, job(0, needs=Resources(gpus=2), micro_nu=MICRO))
    wants = job(1, needs=Resources(gpus=2), micro_nu=int(2.5 * MICRO))
    snapshot = world([wants], holding=[running], limits={place: limits})
    wait = the_wait(snapshot)
    assert (wait.why, wait.facts["level"], wait.facts["on"]) == (why, level, on)
    assert "?" not in why_it_waits(wait.why, wait.facts).ja + why_it_waits(wait.why, wait.facts).en
    elsewhere = {(tuple(B if part == A else part for part in place[0]), place[1]): limits}
    assert len(plan(replace(snapshot, limits=elsewhere)).starts) == 1


def test_what_ended_in_this_month_counts_until_the_next() -> None:
    limits: dict[Place, Limits] = {((A,), None): Limits(max_month_micro_nu=10 * MICRO)}
    used = {((A,), None): 9 * MICRO + 1}
    assert the_wait(world([job(1)], limits=limits, month_micro_nu=used)).why is Why.NU_QUOTA
    assert plan(world([job(1)], limits=limits)).starts


def test_what_a_job_may_call_counts_with_it_on_the_device_that_it_calls() -> None:
    caller = job(1, calls="qpu", calls_micro_nu=3 * MICRO)
    limits: dict[Place, Limits] = {((A,), "qpu"): Limits(max_month_micro_nu=2 * MICRO)}
    assert the_wait(world([caller], limits=limits)).facts["on"] == "qpu"
    call = job(2, backend="qpu", is_call=True, needs=Resources(qpus=1))
    assert plan(world([call], limits=limits, month_micro_nu={((A,), "qpu"): 5 * MICRO})).starts


def test_what_nothing_but_a_higher_limit_could_help() -> None:
    assert out_of_reach(Limits(), gpus=99, micro_nu=99) is None
    assert out_of_reach(Limits(max_gpus=4, max_month_micro_nu=9), gpus=4, micro_nu=9) is None
    assert out_of_reach(Limits(max_gpus=4), gpus=8, micro_nu=0) == ("max_gpus", 8, 4)
    assert out_of_reach(Limits(max_month_micro_nu=9), gpus=1, micro_nu=10) == ("max_month_nu", 10, 9)


def test_an_array_needs_a_place_for_each_task() -> None:
    assert may_queue(10, queued=7, asked=3)
    assert not may_queue(10, queued=7, asked=4)
    assert may_queue(None, queued=10**6, asked=4)


@st.composite
def limited(draw: st.DrawFn) -> Snapshot:
    jobs = [
        job(
            number,
            draw(leaves),
            backend=draw(st.sampled_from(["h200", "qpu"])),
            needs=Resources(gpus=draw(st.integers(0, 3))),
            micro_nu=draw(st.integers(0, 4)) * MICRO,
            calls=draw(st.sampled_from([None, None, "qpu"])),
            calls_micro_nu=draw(st.integers(0, 2)) * MICRO,
            is_call=draw(st.integers(0, 9)) == 0,
        )
        for number in range(draw(st.integers(0, 14)))
    ]
    places = sorted(
        {(branch, on) for each in jobs for branch in branches_of(each.leaf) for on in (None, "h200", "qpu")}, key=str
    )
    number = st.one_of(st.none(), st.integers(0, 4))
    limits = {
        place: Limits(
            max_running_jobs=draw(number),
            max_gpus=draw(number),
            max_month_micro_nu=draw(st.one_of(st.none(), st.integers(0, 9 * MICRO))),
        )
        for place in places
        if draw(st.integers(0, 2)) == 0
    }
    month = {place: draw(st.integers(0, 5 * MICRO)) for place in limits}
    standings = {each: Standing(organisation_id=each, max_running_jobs=draw(st.integers(0, 8))) for each in (A, B)}
    return world(jobs, limits=limits, month_micro_nu=month, standings=standings)


@given(limited())
def test_no_limit_is_ever_exceeded_over_several_cycles_nor_does_it_hold_what_it_need_not(snapshot: Snapshot) -> None:
    started: list[Waiting] = []
    for _ in range(3):
        by_id = {each.attempt_id: each for each in snapshot.waiting}
        decided = plan(snapshot)
        new = [by_id[start.attempt_id] for start in decided.starts]
        started += new
        left = [each for each in snapshot.waiting if each not in new]
        holding = [held(number, each) for number, each in enumerate(started, start=1)]
        assert all(within(snapshot, each) for each in snapshot.limits)
        snapshot = replace(snapshot, waiting=left, holding=holding)
        counted = Counter(each.organisation_id for each in started if not each.is_call)
        assert all(counted[each] <= snapshot.standings[each].max_running_jobs for each in counted)
    assert all(within(snapshot, each) for each in snapshot.limits)
    assert not plan(snapshot).starts  # there are units for all: what waits, waits for its limits


def within(snapshot: Snapshot, place: Place) -> bool:
    """Counted anew; of this month only what was started under the limit can be held against it."""
    branch, backend = place
    own = [each for each in snapshot.holding if not each.is_call and branch in branches_of(each.leaf)]
    here = [each for each in own if backend in {None, each.backend}]
    limits, used = snapshot.limits[place], snapshot.month_micro_nu[place]
    nu = sum(each.micro_nu for each in here)
    nu += sum(each.calls_micro_nu for each in own if each.calls is not None and backend in {None, each.calls})
    nu += sum(each.calls_micro_nu for each in own if each.calls is None and backend is None)
    return (
        (limits.max_running_jobs is None or len(here) <= limits.max_running_jobs)
        and (limits.max_gpus is None or sum(each.needs.gpus for each in here) <= limits.max_gpus)
        and (limits.max_month_micro_nu is None or not nu or used + nu <= limits.max_month_micro_nu)
    )
