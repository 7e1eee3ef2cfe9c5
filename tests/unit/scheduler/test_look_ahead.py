"""A backend that may queue a few itself: never more than those, nobody passed, the first in line protected."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core.dependencies import Fate, Outlook
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Never, Policy, Pool, Task
from tests.support.slow_room import Room
from tests.unit.scheduler.test_cycle import NOW, World

ARRAY = UUID(int=77)


def ahead(look_ahead: int, *, gpus: int = 8, free: int | None = None) -> World:
    world = World().pool(gpus=gpus, free=free)
    world.pools["h200"] = replace(world.pools["h200"], look_ahead=look_ahead)
    return world


def waits_there(world: World, name: str, *, gpus: int = 1, hours: float = 1, sent_s: int = 60) -> World:
    """Handed over, and not started yet."""
    world.runs(name, gpus=gpus, hours=hours)
    sent_at = NOW - timedelta(seconds=sent_s)
    world.holding[-1] = replace(
        world.holding[-1], started=False, sent_at=sent_at, until=sent_at + timedelta(hours=hours)
    )
    return world


def test_a_full_machine_gets_so_many_more_in_fair_order() -> None:
    world = ahead(2, free=0).runs("a", gpus=8).jobs("a", 3).jobs("b", 3)
    starts = world.plan().starts
    assert [(start.attempt_id.int - 1000, start.ahead) for start in starts] == [(4, True), (5, True)]  # a holds it all
    assert world.wait_of(1).why is Why.NO_CAPACITY


def test_what_fits_takes_no_seat() -> None:
    world = ahead(1, gpus=4).jobs("a", 6)
    assert [start.ahead for start in world.plan().starts] == [False] * 4 + [True]


def test_seats_that_are_taken_are_not_given_again() -> None:
    world = waits_there(ahead(1, free=0).runs("a", gpus=8), "a").jobs("a", 1)
    assert world.started() == []


def test_what_was_handed_over_a_moment_ago_and_fits_takes_its_room_and_no_seat() -> None:
    world = waits_there(ahead(1, gpus=2), "a", sent_s=1).jobs("a", 3)
    assert [start.ahead for start in world.plan().starts] == [False, True]


def test_a_large_job_at_the_head_of_the_backends_queue_is_not_starved_by_ours() -> None:
    world = ahead(1, gpus=8, free=4).runs("a", gpus=4, hours=1)
    waits_there(world, "a", gpus=8)
    world.jobs("b", 4, gpus=1, hours=2)  # would hold up the large one for an hour
    assert world.started() == []
    assert world.wait_of(1).why is Why.RESERVED_FOR_EARLIER
    world.jobs("b", 1, gpus=1, hours=0.5)
    assert world.started() == [5]


def test_a_backend_without_a_queue_of_its_own_is_planned_as_ever() -> None:
    world = waits_there(World().pool(gpus=8, free=8), "a", gpus=8).jobs("a", 1)
    assert world.started() == []
    assert world.wait_of(1).facts["free"] == {"gpus": 0}


def test_units_handed_over_since_the_backend_was_asked_are_taken_off_its_count() -> None:
    pool = Pool(name="h200", total=Resources(gpus=8), free=Resources(gpus=4), asked_at=NOW - timedelta(seconds=1))
    world = World(pools={"h200": pool}).runs("a", gpus=2).jobs("a", 4)
    world.holding[0] = replace(world.holding[0], sent_at=NOW)
    assert len(world.started()) == 2
    world.holding[0] = replace(world.holding[0], sent_at=NOW - timedelta(seconds=2))
    assert len(world.started()) == 4


# -- what a job was asked to wait for ----------------------------------------------------------------------------------


def test_each_wish_to_wait_has_its_reason_and_holds_nobody_up() -> None:
    world = World().pool(gpus=1)
    world.jobs("a", 1, outlook=Outlook(Fate.OPEN, ("7",))).jobs("a", 1, begin_at=NOW + timedelta(hours=1))
    world.jobs("a", 1, begin_at=NOW)
    assert world.started() == [3]
    assert (world.wait_of(1).why, world.wait_of(1).facts) == (Why.DEPENDENCY, {"jobs": ["7"]})
    assert world.wait_of(2).why is Why.BEGIN_TIME


def test_what_waits_in_vain_is_ended_unless_it_is_cancelled_anyway() -> None:
    vain = Outlook(Fate.NEVER, ("7",))
    world = World().pool().jobs("a", 1, outlook=vain).jobs("a", 1, outlook=vain, cancel_wanted=True)
    decided = world.plan()
    assert decided.nevers == (Never(attempt_id=UUID(int=1001), jobs=("7",)),)
    assert [wait.why for wait in decided.waits] == [Why.CANCEL_PENDING]


def test_tasks_beyond_the_arrays_limit_wait_and_take_nobodys_turn() -> None:
    world = World().pool(gpus=8)
    for index in range(6):
        world.jobs("a", 1, task=Task(ARRAY, index, 2))
    world.runs("a")
    world.holding[0] = replace(world.holding[0], array_id=ARRAY)
    world.jobs("a", 2)
    assert world.started() == [1, 7, 8]
    assert (world.wait_of(2).why, world.wait_of(2).facts) == (Why.ARRAY_THROTTLE, {"running": 1, "max": 2})


def test_the_tasks_of_an_array_start_in_the_order_of_their_indices() -> None:
    world = World().pool(gpus=2)
    for index in (5, 1, 3):
        world.jobs("a", 1, task=Task(ARRAY, index, None), submitted_at=NOW)
    assert world.started() == [2, 3]


# -- any world ---------------------------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = ahead(draw(st.integers(0, 4)), gpus=draw(st.integers(1, 8)))
    size = world.pools["h200"].total.gpus
    used = 0
    for _ in range(draw(st.integers(0, 4))):
        gpus = draw(st.integers(1, size))
        if used + gpus <= size:
            used += gpus
            world.runs(draw(st.sampled_from("ab")), gpus=gpus, hours=draw(st.sampled_from([0.5, 1, 2])))
    world.pools["h200"] = replace(world.pools["h200"], free=Resources(gpus=size - used))
    for _ in range(draw(st.integers(0, 4))):
        waits_there(world, draw(st.sampled_from("ab")), gpus=draw(st.integers(1, size)), sent_s=draw(st.integers(1, 9)))
    for _ in range(draw(st.integers(0, 12))):
        limit = draw(st.sampled_from([None, None, 1, 2]))
        task = None if limit is None else Task(UUID(int=limit), draw(st.integers(0, 99)), limit)
        gpus, hours = draw(st.integers(1, size)), draw(st.sampled_from([0.5, 1, 2]))
        world.jobs(draw(st.sampled_from("abc")), gpus=gpus, hours=hours, task=task)
    world.policy = Policy(max_starts=draw(st.integers(1, 20)))
    return world


def _unfitting(world: World, extra: list[Holding]) -> int:
    """How many of what has not started do not fit into what the started ones leave, in the best packing of ours."""
    free = world.pools["h200"].total.gpus - sum(each.needs.gpus for each in world.holding if each.started)
    sizes = sorted(each.needs.gpus for each in [*world.holding, *extra] if not each.started)
    fitting = 0
    for size in sizes:
        if size <= free:
            free -= size
            fitting += 1
    return len(sizes) - fitting


@given(worlds())
def test_the_backends_queue_never_grows_beyond_its_look_ahead(world: World) -> None:
    needs = {each.attempt_id: each for each in world.waiting}
    sent = [
        Holding(
            attempt_id=start.attempt_id,
            organisation_id=needs[start.attempt_id].organisation_id,
            backend="h200",
            needs=needs[start.attempt_id].needs,
            until=NOW,
            started=False,
        )
        for start in world.plan().starts
    ]
    pool = world.pools["h200"]
    if pool.look_ahead:
        taken = pool.look_ahead - Room(pool, world.holding, world.snapshot()).ahead
        assert _unfitting(world, sent) <= max(taken, pool.look_ahead)


@given(worlds())
def test_whoever_is_refused_a_seat_so_is_everybody_after_them(world: World) -> None:
    decided = world.plan()
    left = [wait for wait in decided.waits if wait.why in {Why.NO_CAPACITY, Why.RESERVED_FOR_EARLIER}]
    pool = world.pools["h200"]
    free_seats = Room(pool, world.holding, world.snapshot()).ahead
    if left and len(decided.starts) < world.policy.max_starts:
        assert sum(start.ahead for start in decided.starts) == max(0, free_seats)


@given(worlds())
def test_no_array_runs_more_tasks_than_it_may_and_everyone_has_one_fate(world: World) -> None:
    decided = world.plan()
    tasks = {each.attempt_id: each.task for each in world.waiting}
    running = Counter(task.array_id for start in decided.starts if (task := tasks[start.attempt_id]) is not None)
    assert all(count <= array_id.int for array_id, count in running.items())
    told = [each.attempt_id for each in (*decided.starts, *decided.waits, *decided.nevers)]
    assert sorted(told) == sorted(each.attempt_id for each in world.waiting)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_the_snapshot(world: World, random: object) -> None:
    before = world.plan()
    random.shuffle(world.waiting)  # type: ignore[attr-defined]
    random.shuffle(world.holding)  # type: ignore[attr-defined]
    assert world.plan() == before
