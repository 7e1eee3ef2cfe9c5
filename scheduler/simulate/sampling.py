"""The state of a replay every 600 s: what each organisation held, asked for and was entitled to. Pure.

The definitions stand in metrics.py. Floating point is fine here: these are figures, and no decision hangs on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scheduler.simulate.replay import Outcome
from scheduler.simulate.workload import DAY_S, GPU_RATE

SAMPLE_S = 600


@dataclass(slots=True)
class Day:
    """Sums over the samples of one day, by organisation and by machine, in milli-NU per hour; waiting: jobs."""

    held: list[float]
    share: list[float]
    busy: list[float]
    by_machine: list[list[float]]
    """Of each machine, what each organisation held there."""
    waiting: int = 0
    backlog: float = 0.0
    """What waited, in milli-NU per hour."""
    count: int = 0


@dataclass(slots=True)
class Samples:
    """capacity in milli-NU per hour. jain, utilisation: over the samples."""

    capacity: int
    days: list[Day] = field(default_factory=list)
    jain: float = 1.0
    utilisation: float = 0.0
    utilisation_backlog: float = 0.0
    starvation_max_s: int = 0


@dataclass(slots=True)
class _Now:
    """Running totals; `fresh`: nothing has changed since share and jain were taken."""

    held: list[int]
    asked: list[list[int]]
    """By machine, as `by_machine`."""
    by_machine: list[list[int]]
    waiting: int = 0
    fresh: bool = False
    share: list[float] = field(default_factory=list)
    jain: float = 1.0


def water_filled(weights: Sequence[int], demands: Sequence[int], capacity: float) -> list[float]:
    """min(demand, weight × level) of each, adding up to the capacity where the demands do not fit."""
    if sum(demands) <= capacity:
        return [float(demand) for demand in demands]
    shares = [0.0] * len(weights)
    left = [index for index, demand in enumerate(demands) if demand]
    left.sort(key=lambda index: demands[index] / weights[index])
    remaining, weight = float(capacity), sum(weights[index] for index in left)
    for index in left:
        shares[index] = min(float(demands[index]), remaining * weights[index] / weight)
        remaining -= shares[index]
        weight -= weights[index]
    return shares


def sampled(outcome: Outcome) -> Samples:
    """Goes once over all that happened, from the first submission to the last."""
    load = outcome.workload
    weights = [node.weight for node in load.nodes if node.parent is None]
    machines = range(len(load.places))
    now = _Now([0] * len(weights), [[0] * len(weights) for _ in machines], [[0] * len(weights) for _ in machines])
    sizes = [load.capacity if place.is_part else place.units * place.rate for place in load.places]
    result, tally = Samples(load.capacity), _Tally(len(weights))
    changes = _changes(outcome)
    change = next(changes, None)
    for at in range(0, load.requests[-1].submitted_s + 1, SAMPLE_S):
        while change is not None and change[0] <= at:
            _apply(now, change)
            change = next(changes, None)
        if not now.fresh:
            _look(now, weights, sizes, load.capacity)
        _record(result, now, at)
        tally.add(now, load.capacity, at)
    tally.finish(result, outcome)
    return result


Change = tuple[int, int, int, int, int]
"""(when, kind, organisation, rate, machine)."""
_ENDED, _ARRIVED, _STARTED = 0, 1, 2


def _changes(outcome: Outcome) -> Iterator[Change]:
    load = outcome.workload
    changes: list[Change] = []
    for job, start, duration in zip(load.requests, outcome.starts, load.durations, strict=True):
        organisation, rate = load.organisations[job.leaf], load.rate_of(job)
        changes.append((job.submitted_s, _ARRIVED, organisation, rate, job.machine))
        changes.append((start, _STARTED, organisation, rate, job.machine))
        changes.append((start + duration, _ENDED, organisation, rate, job.machine))
    changes.sort()
    return iter(changes)


def _apply(now: _Now, change: Change) -> None:
    _, kind, organisation, rate, machine = change
    now.fresh = False
    if kind == _ARRIVED:
        now.asked[machine][organisation] += rate
        now.waiting += 1
        return
    sign = 1 if kind == _STARTED else -1
    now.held[organisation] += sign * rate
    now.by_machine[machine][organisation] += sign * rate
    if kind == _STARTED:
        now.asked[machine][organisation] -= rate
        now.waiting -= 1


def _look(now: _Now, weights: Sequence[int], sizes: Sequence[int], capacity: int) -> None:
    """Nobody asks for more of a machine than there is of it."""
    demands = [0] * len(weights)
    for size, held_there, asked_there in zip(sizes, now.by_machine, now.asked, strict=True):
        for index, (held, asked) in enumerate(zip(held_there, asked_there, strict=True)):
            demands[index] += min(size, held + asked)
    now.share = water_filled(weights, demands, capacity)
    ratios = [held / share for held, share in zip(now.held, now.share, strict=True) if share > 0]
    squares = sum(ratio * ratio for ratio in ratios)
    now.jain = sum(ratios) ** 2 / (len(ratios) * squares) if squares else 1.0
    now.fresh = True


def _record(result: Samples, now: _Now, at: int) -> None:
    number = at // DAY_S
    while len(result.days) <= number:
        none = [0.0] * len(now.held)
        result.days.append(Day(none[:], none[:], [0.0] * len(now.by_machine), [none[:] for _ in now.by_machine]))
    day = result.days[number]
    for index, (held, share) in enumerate(zip(now.held, now.share, strict=True)):
        day.held[index] += held
        day.share[index] += share
    for machine, held_there in enumerate(now.by_machine):
        day.busy[machine] += sum(held_there)
        for index, held in enumerate(held_there):
            day.by_machine[machine][index] += held
    day.waiting += now.waiting
    day.backlog += sum(map(sum, now.asked))
    day.count += 1


class _Tally:
    """What is summed over all samples, and for how long each organisation had been below its share at each of them."""

    def __init__(self, organisations: int) -> None:
        self._count = self._with_backlog = self._with_demand = 0
        self._busy = self._busy_backlog = self._jain = 0.0
        self._below = [[0] for _ in range(organisations)]

    def add(self, now: _Now, capacity: int, at: int) -> None:
        del at
        busy = sum(now.held) / capacity
        self._count += 1
        self._busy += busy
        if now.waiting:
            self._with_backlog += 1
            self._busy_backlog += busy
        if any(now.share):
            self._with_demand += 1
            self._jain += now.jain
        for held, share, below in zip(now.held, now.share, self._below, strict=True):
            below.append(below[-1] + (SAMPLE_S if held + GPU_RATE <= share else 0))

    def finish(self, result: Samples, outcome: Outcome) -> None:
        result.utilisation = self._busy / max(1, self._count)
        result.utilisation_backlog = self._busy_backlog / self._with_backlog if self._with_backlog else 1.0
        result.jain = self._jain / self._with_demand if self._with_demand else 1.0
        load = outcome.workload
        for job, start in zip(load.requests, outcome.starts, strict=True):
            below = self._below[load.organisations[job.leaf]]
            since, until = _samples_before(job.submitted_s), _samples_before(start)
            hungry = below[min(until, len(below) - 1)] - below[min(since, len(below) - 1)]
            result.starvation_max_s = max(result.starvation_max_s, hungry)


def _samples_before(at: int) -> int:
    """How many samples were taken before this time."""
    return -(-at // SAMPLE_S)
