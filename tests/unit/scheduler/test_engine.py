"""The engine decides as a brute-force oracle does, job by job, and keeps what it promises."""

from __future__ import annotations

from collections.abc import Callable
from random import Random  # noqa: TID251  always seeded

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scheduler.core.engine import Engine, Machine
from scheduler.core.growth import Growth
from scheduler.core.orders.fairtree import FairTree
from scheduler.core.orders.fifo import Fifo
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.orders.order import Order
from scheduler.core.pool import Pool
from scheduler.core.request import Request
from scheduler.core.tree import Node, Tree
from tests.support.slow_engine import SlowEngine, decayed_use
from tests.support.slow_kyoyo import SlowKyoyo
from tests.support.small_workloads import TOTAL, Small, invented, played, smalls

HALF_LIFE_S = 50
RATE = 1000
OrderOf = Callable[[Tree, list[tuple[int, int]]], Order]

ORDERS: dict[str, OrderOf] = {
    "fifo": lambda _tree, _sizes: Fifo(),
    "fifo-easy": lambda _tree, _sizes: Fifo(1),
    "fifo-conservative-3": lambda _tree, _sizes: Fifo(3),
    "fairtree-easy": lambda tree, _sizes: FairTree(tree),
    "fairtree-2": lambda tree, _sizes: FairTree(tree, 2),
    "kyoyo": lambda tree, sizes: Kyoyo(tree, sizes, floor_s=0),
}

SOME = ("fifo-easy", "fairtree-2", "kyoyo")


def engine_for(small: Small, order: OrderOf, total: int = TOTAL) -> Engine:
    nodes = [Node(f"org{index}", weight) for index, weight in enumerate(small.weights)]
    tree = Tree(nodes, half_life_s=HALF_LIFE_S)
    return Engine(order(tree, [(total, RATE)]), tree, [Machine(Pool(total), RATE)])


def starts_of(small: Small, policy: OrderOf, *, order: list[int] | None = None) -> list[int]:
    engine = engine_for(small, policy)
    return played(small, engine, engine.arrived, order=order)


def oracle(name: str, small: Small) -> SlowEngine:
    growth = Growth(HALF_LIFE_S)
    weights = dict(enumerate(small.weights))

    def by_use(slow: SlowEngine, line: int) -> object:
        return (1 << 20) * decayed_use(slow, (line,), growth) * RATE // weights[line]

    reservations = {"fifo": 0, "fifo-conservative-3": 3, "fairtree-2": 2}.get(name, 1)
    if name.startswith("fifo"):
        return SlowEngine(TOTAL, reservations, lambda _slow, _line: 0, line=lambda _job: 0)
    if name.startswith("fairtree"):
        return SlowEngine(TOTAL, reservations, by_use)
    return SlowKyoyo(TOTAL, small.weights)


@pytest.mark.parametrize("name", ORDERS)
def test_it_decides_as_the_oracle_does_on_many_small_workloads(name: str) -> None:
    random = Random(11)
    for _ in range(150):
        small = invented(random, jobs=random.randint(1, 25))
        slow = oracle(name, small)
        arrive = slow.arrived if isinstance(slow, SlowKyoyo) else slow.waiting.append
        assert starts_of(small, ORDERS[name]) == played(small, slow, arrive)


@pytest.mark.parametrize("name", SOME)
@given(small=smalls())
def test_it_never_holds_more_than_there_is_and_runs_everything_once(name: str, small: Small) -> None:
    starts = starts_of(small, ORDERS[name])
    for at in {*starts}:
        held = sum(
            job.units
            for job, start, duration in zip(small.jobs, starts, small.durations, strict=True)
            if start <= at < start + duration
        )
        assert held <= TOTAL
    assert all(job.submitted_s <= start for job, start in zip(small.jobs, starts, strict=True))


@pytest.mark.parametrize("name", SOME)
@given(small=smalls(), seed=st.integers(0, 1000))
def test_the_order_of_what_it_is_told_at_one_instant_changes_nothing(name: str, small: Small, seed: int) -> None:
    shuffled = list(range(len(small.jobs)))
    Random(seed).shuffle(shuffled)
    assert starts_of(small, ORDERS[name], order=shuffled) == starts_of(small, ORDERS[name])


@pytest.mark.parametrize("name", SOME)
@settings(max_examples=50, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(small=smalls(), scale=st.integers(2, 50))
def test_units_and_weights_of_another_scale_change_nothing(name: str, small: Small, scale: int) -> None:
    larger = Small(
        tuple(weight * scale for weight in small.weights),
        tuple(job.of_units(job.units * scale) for job in small.jobs),
        small.durations,
    )
    engine = engine_for(larger, ORDERS[name], TOTAL * scale)
    assert played(larger, engine, engine.arrived) == starts_of(small, ORDERS[name])


@pytest.mark.parametrize("reservations", [1, 2, 4])
@pytest.mark.parametrize("to_the_limit", [False, True])
@given(small=smalls())
def test_no_reservation_is_delayed_by_a_later_job(reservations: int, to_the_limit: bool, small: Small) -> None:  # noqa: FBT001
    """What ends early lets jobs ahead move forward, in the way of reservations behind them: never of the first."""
    durations = (
        job.limit_s if to_the_limit else min(duration, job.limit_s)
        for job, duration in zip(small.jobs, small.durations, strict=True)
    )
    kept = Small(small.weights, small.jobs, tuple(durations))
    engine = engine_for(kept, lambda _tree, _sizes: Fifo(reservations))
    promised: dict[int, int] = {}

    def watch(now_s: int, _started: list[Request]) -> None:
        binding = list(engine.reserved.items())[: None if to_the_limit else 1]
        for number, at in binding:
            assert now_s < at <= promised.get(number, at)
            promised[number] = at

    starts = played(kept, engine, engine.arrived, watch=watch)
    assert all(starts[number] <= at for number, at in promised.items())


@settings(max_examples=60)
@given(small=smalls(jobs=60))
def test_who_is_due_starts_within_a_limit_of_each_older_one_and_its_own(small: Small) -> None:
    """The starvation bound of the README, with L the longest limit."""
    longest = max(job.limit_s for job in small.jobs)
    ran = tuple(min(each, job.limit_s) for job, each in zip(small.jobs, small.durations, strict=True))
    small = Small(small.weights, small.jobs, ran)
    tree = Tree([Node(str(index), weight) for index, weight in enumerate(small.weights)], half_life_s=HALF_LIFE_S)
    order = Kyoyo(tree, [(TOTAL, RATE)], floor_s=0)
    engine = Engine(order, tree, [Machine(Pool(TOTAL), RATE)])
    latest: dict[int, int] = {}

    def watch(now_s: int, started: list[Request]) -> None:
        waiting = sorted([place[2] for place in engine.waiting.values()], key=lambda job: (job.submitted_s, job.number))
        for older, job in enumerate(waiting):
            if order.is_due(job):
                latest.setdefault(job.number, now_s + (older + 1) * longest)
        assert all(now_s <= latest.get(job.number, now_s) for job in started)

    played(small, engine, engine.arrived, watch=watch)


@pytest.mark.parametrize("name", ["fairtree-easy", "kyoyo"])
def test_equal_weights_and_equal_demand_give_equal_shares(name: str) -> None:
    jobs = tuple(Request(number, number % 4, 1, 10, 0) for number in range(400))
    small = Small((2, 2, 2, 2), jobs, (10,) * 400)
    starts = starts_of(small, ORDERS[name])
    by_org = [[start for job, start in zip(jobs, starts, strict=True) if job.leaf == org] for org in range(4)]
    for at in range(0, 490, 10):
        assert {sum(start <= at for start in each) for each in by_org} == {2 * (at // 10 + 1)}


@pytest.mark.parametrize("name", ["fairtree-easy", "kyoyo"])
def test_users_share_what_their_organisation_has(name: str) -> None:
    """One organisation of two users against one of one: a half, and two quarters."""
    nodes = [Node("a"), Node("b"), Node("eve", parent=0), Node("bob", parent=0), Node("zoe", parent=1)]
    tree = Tree(nodes, half_life_s=HALF_LIFE_S)
    order = Kyoyo(tree, [(TOTAL, RATE)]) if name == "kyoyo" else FairTree(tree)
    engine = Engine(order, tree, [Machine(Pool(TOTAL), RATE)])
    jobs = tuple(Request(number, 2 + number % 3, 1, 10, 0) for number in range(120))
    starts = played(Small((), jobs, (10,) * 120), engine, engine.arrived)
    for at in range(50, 100, 10):
        began = [
            sum(start <= at for job, start in zip(jobs, starts, strict=True) if job.leaf == leaf) for leaf in (2, 3, 4)
        ]
        assert began[0] + began[1] == pytest.approx(began[2], abs=TOTAL)
        assert began[0] == pytest.approx(began[1], abs=TOTAL)


@pytest.mark.parametrize("name", SOME)
@given(small=smalls(), seed=st.integers(0, 1000))
def test_what_is_withdrawn_leaves_no_trace(name: str, small: Small, seed: int) -> None:
    """Jobs that come and go at once, before a decision, change no start."""
    engine = engine_for(small, ORDERS[name])
    random = Random(seed)

    def arrive(job: Request) -> None:
        ghost = job.of_units(random.randint(1, TOTAL))._replace(number=10_000 + job.number)
        engine.arrived(ghost)
        engine.arrived(job)
        engine.withdrawn(ghost.number)

    assert played(small, engine, arrive) == starts_of(small, ORDERS[name])


def test_a_gang_that_never_fits_is_not_taken() -> None:
    engine = engine_for(Small((1,), (), ()), lambda _tree, _sizes: Fifo())
    with pytest.raises(ValueError, match="units=9"):
        engine.arrived(Request(0, 0, 9, 1, 0))
