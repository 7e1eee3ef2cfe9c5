"""The virtual queue waits as a real FIFO does where it knows how long jobs run, and soon learns where it does not."""

from __future__ import annotations

import heapq
from collections import deque
from fractions import Fraction
from math import floor
from random import Random  # noqa: TID251  always seeded

import numpy as np
import pytest

from scheduler.core.backlog import Backlog
from scheduler.core.columns import Columns
from scheduler.core.engine import Engine, Machine
from scheduler.core.growth import Growth
from scheduler.core.orders.ageing import by_age
from scheduler.core.orders.elders import Elders
from scheduler.core.orders.entitlement import Debts, Entitlements, whole_type
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.orders.yardstick import Yardstick
from scheduler.core.pool import Pool
from scheduler.core.request import Request
from scheduler.core.tree import Node, Tree

UNITS = 8


def fifo_longest(jobs: list[Request], durations: list[int]) -> int:
    """The longest wait of the real queue, served in order."""
    ends: list[tuple[int, int]] = []
    free, at, longest = UNITS, 0, 0
    for job, lasted in zip(jobs, durations, strict=True):
        at = max(at, job.submitted_s)
        while free < job.units or (ends and ends[0][0] <= at):
            end, units = heapq.heappop(ends)
            at, free = max(at, end), free + units
        free -= job.units
        heapq.heappush(ends, (at + lasted, job.units))
        longest = max(longest, at - job.submitted_s)
    return longest


def jobs_of(seed: int, count: int, limit_s: int | None = None) -> list[Request]:
    random = Random(seed)
    at, jobs = 0, []
    for number in range(count):
        at += random.randint(0, 12)
        jobs.append(Request(number, 0, random.randint(1, UNITS), limit_s or random.choice((8, 40, 200)), at))
    return jobs


def told(jobs: list[Request], durations: list[int], *, delay: int) -> Yardstick:
    """Each job really starts `delay` after its submission, whatever the virtual queue does."""
    yardstick = Yardstick(UNITS)
    events = [(job.submitted_s, 2, job) for job in jobs]
    events += [(job.submitted_s + delay, 1, job) for job in jobs]
    events += [(job.submitted_s + delay + lasted, 0, job) for job, lasted in zip(jobs, durations, strict=True)]
    for at, kind, job in sorted(events):
        if kind == 2:
            yardstick.arrived(job)
        elif kind == 1:
            yardstick.started(job, at)
        else:
            yardstick.ended(job, at)
        yardstick.advance(at)
    yardstick.advance(10**9)
    return yardstick


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("delay", [1, 1000])
def test_it_waits_as_a_fifo_of_jobs_that_run_their_limits(seed: int, delay: int) -> None:
    jobs = jobs_of(seed, 60, limit_s=30)
    assert told(jobs, [30] * 60, delay=delay).longest_s == pytest.approx(fifo_longest(jobs, [30] * 60), rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_it_learns_how_long_jobs_run_of_what_they_ask_for(seed: int) -> None:
    """All run half of their limit; a queue that believed the limits would wait twice as long and more."""
    jobs = jobs_of(seed, 600)
    durations = [job.limit_s // 2 for job in jobs]
    real = fifo_longest(jobs, durations)
    believed = fifo_longest(jobs, [job.limit_s for job in jobs])
    assert believed > 1.8 * real
    assert told(jobs, durations, delay=1).longest_s == pytest.approx(real, rel=0.35)


def test_what_is_withdrawn_takes_no_virtual_time() -> None:
    yardstick = Yardstick(UNITS)
    for number in range(3):
        yardstick.arrived(Request(number, 0, UNITS, 100, 0))
    yardstick.advance(50)
    yardstick.left(Request(1, 0, UNITS, 100, 0))
    yardstick.left(Request(0, 0, UNITS, 100, 0))
    yardstick.advance(60)
    assert yardstick.longest_s == 50
    yardstick.advance(500)
    assert yardstick.longest_s == 50


def entitlements(weights: list[int], demands: list[int], capacity: int) -> list[int]:
    return [int(each) for each in Entitlements(weights, capacity).of(np.array(demands))]


def poured(weights: list[int], demands: list[int], capacity: int) -> list[int]:
    """One by one, those content with least first."""
    if sum(demands) <= capacity:
        return demands
    shares, left = [0] * len(weights), capacity
    asking = sorted((Fraction(demand, weights[each]), each) for each, demand in enumerate(demands) if demand)
    weight_left = sum(weights[each] for _, each in asking)
    for level, each in asking:
        if level <= Fraction(left, weight_left):
            shares[each] = demands[each]
            left, weight_left = left - demands[each], weight_left - weights[each]
        else:
            shares[each] = left * weights[each] // weight_left
    return shares


def test_entitlements_are_filled_like_water() -> None:
    assert entitlements([1, 1], [3, 9], 9) == [3, 6]
    assert entitlements([3, 1], [8, 8], 8) == [6, 2]
    assert entitlements([1, 1, 2], [1, 0, 8], 8) == [1, 0, 7]
    assert entitlements([1, 1], [3, 4], 8) == [3, 4]
    assert entitlements([1, 1, 1], [9, 9, 9], 10) == [3, 3, 3]


@pytest.mark.parametrize("capacity", [20, 10**9, 10**13, 10**20])
def test_entitlements_are_those_poured_one_by_one_whatever_was_asked_before(capacity: int) -> None:
    """Of 64 bits and of more."""
    random = Random(5)
    for organisations in [1, 2, 5, 30]:
        weights = [random.choice([1, 2, 7, 10**6]) for _ in range(organisations)]
        level = Entitlements(weights, capacity)
        for _ in range(40):
            demands = [random.choice([0, 1, capacity, random.randint(0, capacity)]) for _ in weights]
            found = level.of(np.array(demands, dtype=whole_type(capacity, sum(weights))))
            assert [int(each) for each in found] == poured(weights, demands, capacity)


def test_debt_halves_each_half_life() -> None:
    debts = Debts(2, 100, 1_000_000)
    debts.from_now(np.array([1_000_000, 0]))
    debts.gone_by(100)
    assert debts.of.tolist() == [500_000, 0]
    debts.from_now(np.array([0, -1_000_000]))
    debts.gone_by(200)
    assert debts.of.tolist() == [250_000, -500_000]


@pytest.mark.parametrize("capacity", [10, 10**12, 10**18])
def test_debts_are_rounded_once_however_large_they_are(capacity: int) -> None:
    random, growth = Random(6), Growth(100)
    debts, expected, now_s = Debts(8, 100, capacity), [0] * 8, 0
    for _ in range(200):
        gaps = [random.randint(-capacity, capacity) for _ in expected]
        debts.from_now(np.array(gaps, dtype=whole_type(capacity, 1)))
        passed = random.choice([0, 1, 7, 150, 10_000])
        now_s += passed
        debts.gone_by(now_s)
        kept = 2**80 // growth(passed)
        if passed:
            mixed = [debt * kept + gap * (2**40 - kept) for debt, gap in zip(expected, gaps, strict=True)]
            expected = [floor(Fraction(each, 2**40) + Fraction(1, 2)) for each in mixed]
        assert [int(each) for each in debts.of] == expected


def test_elders_are_by_age_whatever_leaves_and_comes_late() -> None:
    elders = Elders(narrow=2)
    jobs = [Request(number, 0, 1 + number % 4, 10, 10 * number) for number in range(300)]
    for job in jobs[:5] + jobs[6:]:
        elders.add(job)
    for job in jobs[:5] + jobs[7:280]:
        elders.remove(job)
    elders.add(jobs[5])
    assert [job.number for job in elders.until(2820, 10)] == [5, 6, 280, 281, 282]
    assert [job.number for job in elders.until(10**6, 3)] == [5, 6, 280]
    assert [job.number for job in elders.wide()] == [6, *(number for number in range(280, 300) if number % 4 > 1)]


def test_who_comes_again_is_there_once() -> None:
    """As after a hand-over that failed: it takes its old place, in the width that it has now."""
    elders = Elders(narrow=2)
    wide, narrow = Request(1, 0, 4, 10, 100), Request(1, 0, 1, 10, 100)
    for again in (wide, wide, narrow, wide):
        elders.add(again)
        assert list(elders.until(1_000, 9)) == [again]
        assert list(elders.wide()) == [again] * (again.units > 2)
        elders.remove(again)
    assert not elders
    elders.add(wide)
    elders.remove(wide)
    backlog = Backlog(Columns(*np.array([wide[:5]]).T), 0, np.array([100]))
    elders.load(backlog, by_age(backlog))
    assert list(elders.until(1_000, 9)) == list(elders.wide()) == [wide]


@pytest.mark.parametrize("ran", [True, False])
def test_who_comes_again_leaves_nothing_behind_on_the_virtual_machine(ran: bool) -> None:  # noqa: FBT001  a case
    yardstick, first, second = Yardstick(1), Request(1, 0, 1, 1_000, 0), Request(2, 0, 1, 1_000, 5)
    for _ in range(3):
        yardstick.arrived(first)
        yardstick.advance(1)
        if ran:
            yardstick.started(first, 1)
            yardstick.ended(first, 1)
    yardstick.arrived(first)
    yardstick.left(first)
    yardstick.arrived(second)
    yardstick.advance(5)
    yardstick.advance(50)
    assert yardstick.longest_s == 1  # of the first, when it came again; the second waits for nobody


class Life:
    """An engine over its whole life, and what is known of it elsewhere: when each came, started and ended."""

    def __init__(self, jobs: list[Request]) -> None:
        self.engine, self.order, self.tree = opened(0)
        self.coming, self.now_s = deque(jobs), 0
        self.started: dict[int, tuple[Request, int]] = {}
        self.ended: list[tuple[Request, int, int]] = []

    def step(self, *others: Engine) -> list[list[Request]]:
        """A second on: what each starts then."""
        engines, self.now_s = (self.engine, *others), self.now_s + 1
        for number, (job, since_s) in list(self.started.items()):
            if since_s + job.limit_s == self.now_s:
                self.ended.append((job, since_s, job.limit_s))
                del self.started[number]
                for engine in engines:
                    engine.ended(number, self.now_s)
        while self.coming and self.coming[0].submitted_s <= self.now_s:
            job = self.coming.popleft()
            for engine in engines:
                engine.arrived(job)
        found = [engine.decide(self.now_s) for engine in engines]
        self.started |= {job.number: (job, self.now_s) for job in found[0]}
        return found

    def reopened(self, lived: list[tuple[Request, int, int]]) -> tuple[Engine, Kyoyo]:
        """As a new leader opens it, that knows use and debts and is told of `lived`."""
        engine, order, tree = opened(self.now_s)
        for node, past in enumerate(self.engine.past()):
            tree.remembers(node, past)
            order.owes(node, self.order.debt(node))
        order.lived(0, lived)
        for job, since_s in self.started.values():
            engine._machines[0].room.begin(since_s)
            engine._machines[0].room.take(job)
            engine.ran_before(job, since_s)
        for _, _, job in self.engine.waiting.values():
            engine.arrived(job)
        assert engine.decide(self.now_s) == []
        return engine, order


def opened(now_s: int) -> tuple[Engine, Kyoyo, Tree]:
    tree = Tree([Node(str(each), 1 + each) for each in range(3)], half_life_s=500)
    order = Kyoyo(tree, [(UNITS, 1000)], floor_s=10)
    order.began(now_s)
    return Engine(order, tree, [Machine(Pool(UNITS), 1000)]), order, tree


def test_one_that_is_opened_at_any_moment_decides_as_the_one_that_has_lived() -> None:
    """Of what ran it is told the end alone; jobs run their limits, so that both know how long."""
    forgotten = 0
    for seed in range(20):
        random = Random(seed)
        life = Life([job._replace(leaf=random.randrange(3)) for job in jobs_of(seed, 100)])
        for _ in range(random.randrange(200, 600)):
            life.step()
        (engine, order), (_, forgetful) = life.reopened(life.ended), life.reopened([])
        assert order._yardsticks[0].longest_s == life.order._yardsticks[0].longest_s
        while life.coming or life.started:
            assert order._due_s == life.order._due_s
            mine, theirs = life.step(engine)
            assert mine == theirs
        forgotten += order._yardsticks[0].longest_s > forgetful._yardsticks[0].longest_s
    assert forgotten > 12
