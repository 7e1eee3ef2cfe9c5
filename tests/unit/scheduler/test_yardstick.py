"""The virtual queue waits as a real FIFO does where it knows how long jobs run, and soon learns where it does not."""

from __future__ import annotations

import heapq
from random import Random  # noqa: TID251  always seeded

import pytest

from scheduler.core.orders.elders import Elders
from scheduler.core.orders.entitlement import Debts, entitlements
from scheduler.core.orders.yardstick import Yardstick
from scheduler.core.request import Request

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


def test_entitlements_are_filled_like_water() -> None:
    assert entitlements([1, 1], [3, 9], 8) == [3, 5]
    assert entitlements([3, 1], [9, 9], 8) == [6, 2]
    assert entitlements([1, 1, 2], [1, 0, 9], 8) == [1, 0, 7]
    assert entitlements([1, 1], [3, 4], 8) == [3, 4]
    assert entitlements([1, 1, 1], [9, 9, 9], 10) == [3, 3, 3]


def test_debt_halves_each_half_life() -> None:
    debts = Debts(2, 100)
    debts.from_now([1_000_000, 0])
    debts.gone_by(100)
    assert debts.of == [500_000, 0]
    debts.from_now([0, -1_000_000])
    debts.gone_by(200)
    assert debts.of == [250_000, -500_000]


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
