"""Forecasts: the engine run ahead. With true run times and no arrivals they are what then happens."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from random import Random  # noqa: TID251  seeded

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.core.ahead import Cause, who_is_ahead
from scheduler.core.arrivals import NOT_YET, Arrivals
from scheduler.core.engine import Engine, Machine
from scheduler.core.forecast import NEVER, Scene, at_level, futures, positions
from scheduler.core.foreseeable import Ahead, Bounds, Foreseeing
from scheduler.core.orders.fairtree import FairTree
from scheduler.core.orders.fifo import Fifo
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.orders.order import Order
from scheduler.core.pool import Pool
from scheduler.core.request import Request
from scheduler.core.runtimes import Floats, RunTimes
from scheduler.core.tree import Node, Tree
from tests.support.small_workloads import TOTAL, Small, invented, smalls

FAR_S = 10_000
POLICIES = ("kyoyo", "fifo", "fairtree")


class Known:
    """Run times told beforehand."""

    def __init__(self, durations: Sequence[int]) -> None:
        self._durations = durations

    def quantiles(self, job: Request, has_run_s: int, levels: Floats) -> Sequence[int]:
        return [self._durations[job.number]] * len(levels)


class World:
    """A small workload up to some instant, and from there on to its end."""

    def __init__(self, small: Small, policy: str, ahead: Ahead | None = None) -> None:
        self.tree = Tree([Node(str(index), weight) for index, weight in enumerate(small.weights)], half_life_s=100)
        self.order: Order = {
            "kyoyo": lambda: Kyoyo(self.tree, [(TOTAL, 1000)], floor_s=10),
            "fifo": lambda: Fifo(1),
            "fairtree": lambda: FairTree(self.tree),
        }[policy]()
        self.small = small
        machines = [Machine(Pool(TOTAL))]
        self.engine = Engine(self.order, self.tree, machines)
        if ahead is not None:
            self.engine = Foreseeing(self.order, self.tree, machines, Bounds(self.tree, ahead, 1))
        self.wakes_s = [] if ahead is None else ahead.wakes(-1)
        self.started: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        self.now_s = 0
        self._ends: list[tuple[int, int]] = []

    def until(self, last_s: int, jobs: Sequence[Request]) -> None:
        coming = list(jobs)
        while True:
            at = [job.submitted_s for job in coming[:1]] + [end for end, _ in self._ends[:1]] + self.wakes_s[:1]
            now_s = min([*at, NEVER])
            if now_s > last_s:
                return
            if now_s in self.wakes_s[:1] and isinstance(self.engine, Foreseeing):
                self.wakes_s.pop(0)
                self.engine.woken()
            while self._ends and self._ends[0][0] == now_s:
                number = heapq.heappop(self._ends)[1]
                self.engine.ended(number, now_s)
                del self.started[number]
            while coming and coming[0].submitted_s == now_s:
                self.engine.arrived(coming.pop(0))
            for job in self.engine.decide(now_s):
                self.started[job.number] = self.starts[job.number] = now_s
                heapq.heappush(self._ends, (now_s + self.small.durations[job.number], job.number))
            self.now_s = now_s

    def scene(self, lasting: Known | RunTimes, after: Sequence[Iterator[Request]], seed: int = 0) -> Scene:
        return Scene(
            engine=self.engine,
            now_s=self.now_s,
            started_s=self.started,
            lasting=lasting,
            after=after,
            seed=seed,
            wakes_s=self.wakes_s,
        )


def nobody(futures_: int = 1) -> list[Iterator[Request]]:
    return [iter(()) for _ in range(futures_)]


def busy(policy: str, seed: int = 3) -> World:
    """A queue in the middle of its day, with something learnt."""
    world = World(invented(Random(seed), jobs=60), policy)
    world.until(30, [job for job in world.small.jobs if job.submitted_s <= 30])
    return world


def learnt(world: World) -> RunTimes:
    model = RunTimes(world.tree.paths)
    for job, lasted_s in zip(world.small.jobs[:20], world.small.durations, strict=False):
        model.learn(job, lasted_s)
    return model


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=30, deadline=None)
@given(small=smalls(), at_s=st.integers(0, 60))
def test_with_true_run_times_and_no_arrivals_it_is_what_the_engine_then_does(
    policy: str, small: Small, at_s: int
) -> None:
    world = World(small, policy)
    world.until(at_s, [job for job in small.jobs if job.submitted_s <= at_s])
    waiting = set(world.engine.waiting)
    (foreseen,) = futures(world.scene(Known(small.durations), nobody()), FAR_S)
    assert set(world.engine.waiting) == waiting  # only a copy was run
    world.until(FAR_S, [])
    assert foreseen == {number: world.starts[number] for number in waiting}


AHEAD = st.builds(
    lambda windows, walls, most, ends, closed: Ahead(
        windows=[windows], walls=walls, most_jobs=most, ends=ends, closed=frozenset(closed)
    ),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda each: (each[0], sum(each))), max_size=3),
    st.lists(st.integers(20, 200), max_size=1),
    st.dictionaries(st.integers(0, 3), st.integers(1, 2)),
    st.dictionaries(st.integers(0, 3), st.integers(30, 200), max_size=1),
    st.sets(st.integers(0, 3), max_size=1),
)


@settings(max_examples=60, deadline=None)
@given(small=smalls(), at_s=st.integers(0, 60), ahead=AHEAD)
def test_what_is_known_of_the_time_ahead_is_in_it(small: Small, at_s: int, ahead: Ahead) -> None:
    world = World(small, "kyoyo", ahead)
    world.until(at_s, [job for job in small.jobs if job.submitted_s <= at_s])
    waiting = set(world.engine.waiting)
    (foreseen,) = futures(world.scene(Known(small.durations), nobody()), FAR_S)
    world.until(FAR_S, [])
    assert foreseen == {number: world.starts.get(number, NEVER) for number in waiting}
    for number, since_s in world.starts.items():
        job = small.jobs[number]
        until_s, top = since_s + job.limit_s, world.tree.paths[job.leaf][0]
        assert all(until_s <= begins or since_s >= ends for begins, ends in ahead.windows[0])
        assert all(since_s > wall or until_s <= wall for wall in ahead.walls)
        assert top not in ahead.closed
        assert until_s <= ahead.ends.get(top, NEVER)
        beside = [
            other
            for other, at in world.starts.items()
            if at <= since_s < at + small.durations[other] and small.jobs[other].leaf == job.leaf
        ]
        assert len(beside) <= ahead.most_jobs.get(top, NEVER)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_question_has_the_same_answer_and_another_seed_another(policy: str) -> None:
    world = busy(policy)
    model, arrivals = learnt(world), Arrivals()
    for job in world.small.jobs:
        if job.submitted_s <= world.now_s:
            arrivals.arrived(job)

    def asked(seed: int) -> list[dict[int, int]]:
        return list(futures(world.scene(model, arrivals.futures(world.now_s, 4), seed), 60))

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


@pytest.mark.parametrize("policy", POLICIES)
def test_p50_is_no_later_than_p90_and_positions_are_ranks(policy: str) -> None:
    world = busy(policy)
    seen = list(futures(world.scene(learnt(world), nobody(20)), FAR_S))
    jobs = [place[2] for place in world.engine.waiting.values()]
    places = positions(jobs, seen)
    assert sorted(places.values()) == list(range(1, len(jobs) + 1))
    for job in jobs:
        p50, p90 = (at_level([future[job.number] for future in seen], level) for level in (0.5, 0.9))
        assert p50 is not None
        assert p90 is not None
        assert world.now_s <= p50 <= p90


def test_those_ahead_are_counted_by_cause_and_add_up_to_the_position() -> None:
    world = busy("kyoyo", seed=0)
    jobs = [place[2] for place in world.engine.waiting.values()]
    places = positions(jobs, list(futures(world.scene(learnt(world), nobody(8)), FAR_S)))
    ahead = who_is_ahead(jobs, places, world.order, world.tree)
    assert all(sum(ahead[job.number].values()) == places[job.number] - 1 for job in jobs)
    assert {cause for causes in ahead.values() for cause in causes} == set(Cause)
    first, *_, last = sorted(jobs, key=lambda job: places[job.number])
    assert ahead[first.number] == {}
    own = sum(job.leaf == last.leaf for job in jobs) - 1
    assert ahead[last.number].get(Cause.OWN, 0) == own


def test_what_does_not_start_within_the_horizon_has_no_time() -> None:
    world = busy("fifo")
    (near,) = futures(world.scene(Known(world.small.durations), nobody()), 1)
    assert NEVER in near.values()
    assert at_level([5, NEVER, NEVER], 0.5) is None
    assert at_level([5, 6, NEVER], 0.5) == 6
    assert at_level(list(range(1, 20)), 0.9) == 18


def test_jobs_that_are_expected_make_the_others_later() -> None:
    """Ten an hour, each of half the machine for twelve minutes, and one that asks for all of it."""
    tree = Tree([Node("a"), Node("b")], half_life_s=3600)
    engine = Engine(FairTree(tree), tree, [Machine(Pool(2))])
    past = Arrivals()
    for number in range(240):
        past.arrived(Request(number, 0, 1, 720, number * 360))
    now_s = 86_400
    engine.arrived(Request(1000, 0, 1, 720, now_s))
    engine.arrived(Request(1001, 0, 1, 720, now_s))
    engine.decide(now_s)
    engine.arrived(Request(1002, 1, 2, 720, now_s))
    engine.decide(now_s)
    durations: Mapping[int, int] = {}

    class Twelve:
        def quantiles(self, job: Request, has_run_s: int, levels: Floats) -> Sequence[int]:
            return [durations.get(job.number, 720)] * len(levels)

    scene = Scene(
        engine=engine,
        now_s=now_s,
        started_s={1000: now_s, 1001: now_s},
        lasting=Twelve(),
        after=past.futures(now_s, 1),
    )
    (seen,) = futures(scene, FAR_S)
    assert seen == {1002: now_s + 720}
    coming = next(iter(past.futures(now_s, 1)[0]))
    assert (coming.number, coming.submitted_s) == (NOT_YET, now_s + 360)


def test_a_future_repeats_what_was_submitted_at_the_same_hours() -> None:
    past = Arrivals(window_s=2 * 86_400)
    for number, at in enumerate((0, 100, 90_000, 90_500, 172_000)):
        past.arrived(Request(number, 0, 1, 60, at))
    day, two = past.futures(172_800, 2)
    assert [next(day).submitted_s for _ in range(4)] == [176_400, 176_900, 258_400, 262_800]
    assert [next(two).submitted_s for _ in range(4)] == [172_900, 262_800, 263_300, 344_800]
    assert [list(each) for each in Arrivals().futures(50, 2)] == [[], []]


def test_run_times_are_learnt_and_given_what_has_run_only_the_longer_are_left() -> None:
    import numpy as np  # noqa: PLC0415

    model = RunTimes([(0,), (1,)])
    levels = (np.arange(50) + 0.5) / 50
    job, other = Request(1, 0, 1, 3600, 0), Request(2, 1, 1, 3600, 0)
    before = model.quantiles(job, 0, levels)
    for _ in range(500):
        model.learn(job, 600)
        model.learn(other, 3600)
    mine, theirs = model.quantiles(job, 0, levels), model.quantiles(other, 0, levels)
    assert 450 < mine[25] < 850 < before[49] <= 3600
    assert theirs[25] == 3600
    later = model.quantiles(job, 1800, levels)
    assert min(later) > 1800
    assert list(later) == sorted(later)
    assert model.quantiles(job, 4000, levels) == [4001] * 50


def test_a_young_past_is_not_repeated_at_once() -> None:
    """All that is known is one job, of a second ago: nobody thinks that there will be one each second."""
    past = Arrivals(since_s=0)
    past.arrived(Request(0, 0, 1, 60, 86_399))
    (future,) = past.futures(86_400, 1)
    assert next(future).submitted_s == 86_399 + 86_400
