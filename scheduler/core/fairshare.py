"""Whose turn it is: weighted fair share over normalised units (NU; 1 NU = one hour of the reference GPU).

Fair-share use is approximate, decays and orders the queue. It is never money (decision 0005).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pricing.model import ServiceClass
from scheduler.core.branches import Branch, Leaf
from scheduler.core.model import Attempt, JobKind
from scheduler.core.snapshot import Stake, Standing, Waiting

MICRO = 1_000_000
_HOUR_S = 3600
_NO_STAKE = Stake()


def nu_of(*, units: int, seconds: float, nu_per_hour: float) -> float:
    """Normalised units of `units` resources for so long."""
    return units * seconds / _HOUR_S * nu_per_hour


def decayed(nu: float, *, age: timedelta, half_life: timedelta) -> float:
    """What is left of a use after its age: half after each half-life. A use in the future counts whole."""
    return nu * math.pow(0.5, max(age, timedelta(0)) / half_life)


def used_nu(ended: Attempt) -> float:
    """What an ended attempt really used of its full walltime; of a circuit all: its service time is known."""
    if ended.started_at is None or ended.ended_at is None:
        return 0.0
    if ended.kind is JobKind.QUANTUM:
        return ended.nu
    ran = (ended.ended_at - ended.started_at) / timedelta(seconds=ended.walltime_s)
    return ended.nu * min(max(ran, 0.0), 1.0)


def fair_order(
    waiting: Iterable[Waiting], standings: Mapping[UUID, Standing], stakes: Mapping[Branch, Stake] | None = None
) -> Iterator[Waiting]:
    """All that waits, in the order in which it should start: a total order, whatever the order of the input.

    Spot last, calls of running jobs as standard; within an organisation calls, then interactive jobs, come first. Then,
    level by level (organisation, project in it, user in
    that), the one with the least use per weight; then age; then id. Each one charges its branches provisionally with
    its full size, so that nobody wins a whole cycle. n jobs cost O(n log n), whatever the tree.
    """
    tree = _tree(waiting, standings, stakes or {})
    while tree:
        yield tree.pop()


class _Queue:
    """What one user has waiting in one project."""

    __slots__ = ("_jobs",)

    def __init__(self, jobs: list[Waiting]) -> None:
        self._jobs = sorted(jobs, key=_age, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._jobs)

    @property
    def head(self) -> Waiting:
        return self._jobs[-1]

    def pop(self) -> Waiting:
        return self._jobs.pop()


class _Fork:
    """Siblings of the tree, whoever's turn is next first. Only the turn of the one that is taken from changes."""

    __slots__ = ("_charged", "_per_weight", "_rank", "_turns")

    def __init__(
        self, below: Sequence[tuple[_Queue | _Fork, Stake]], rank: Callable[[Waiting], tuple[bool, ...]]
    ) -> None:
        self._rank = rank
        # use / weight over a common denominator: exact, and whole numbers compare much faster than fractions
        common = math.lcm(*(stake.weight for _, stake in below))
        self._per_weight = [common // stake.weight for _, stake in below]
        self._charged = [stake.used_micro_nu for _, stake in below]
        self._turns = [self._turn(index, each) for index, (each, _) in enumerate(below)]
        heapq.heapify(self._turns)

    def __bool__(self) -> bool:
        return bool(self._turns)

    @property
    def head(self) -> Waiting:
        return self._turns[0][-1].head

    def pop(self) -> Waiting:
        *_, index, taken = heapq.heappop(self._turns)
        job = taken.pop()
        self._charged[index] += max(1, job.micro_nu)
        if taken:
            heapq.heappush(self._turns, self._turn(index, taken))
        return job

    def _turn(self, index: int, each: _Queue | _Fork) -> _Turn:
        head = each.head
        ratio = self._charged[index] * self._per_weight[index]
        return (self._rank(head), ratio, head.submitted_at, head.attempt_id, index, each)


_Turn = tuple[tuple[bool, ...], int, datetime, UUID, int, _Queue | _Fork]
"""Class, use per weight, age and id of the next job; then (never compared) whose it is."""


def _tree(waiting: Iterable[Waiting], standings: Mapping[UUID, Standing], stakes: Mapping[Branch, Stake]) -> _Fork:
    leaves: dict[Leaf, list[Waiting]] = {}
    for each in waiting:
        leaves.setdefault(each.leaf, []).append(each)
    users: dict[Branch, list[tuple[_Queue | _Fork, Stake]]] = {}
    for leaf, jobs in leaves.items():
        users.setdefault(leaf[:2], []).append((_Queue(jobs), stakes.get(leaf, _NO_STAKE)))
    projects: dict[UUID, list[tuple[_Queue | _Fork, Stake]]] = {}
    for branch, below in users.items():
        organisation = branch[0]
        assert organisation is not None  # of a leaf
        projects.setdefault(organisation, []).append((_joined(below), stakes.get(branch, _NO_STAKE)))
    tops = [(_joined(below), _stake(standings[organisation])) for organisation, below in projects.items()]
    return _Fork(tops, _class_alone)


def _joined(below: list[tuple[_Queue | _Fork, Stake]]) -> _Queue | _Fork:
    """One alone has nobody to take turns with."""
    return below[0][0] if len(below) == 1 else _Fork(below, _class_and_calls)


def _stake(standing: Standing) -> Stake:
    return Stake(weight=standing.weight, used_micro_nu=standing.used_micro_nu)


def _class_alone(each: Waiting) -> tuple[bool, ...]:
    """Between organisations: calls as standard work."""
    return (_comes_after(each),)


def _class_and_calls(each: Waiting) -> tuple[bool, ...]:
    """Within an organisation: calls of its running jobs first, then what somebody sits before."""
    return _comes_after(each), not each.is_call, each.service_class is not ServiceClass.INTERACTIVE


def _comes_after(each: Waiting) -> bool:
    """Spot work waits for all other; not so its calls: the GPUs of the job that made them are held and charged."""
    return each.service_class is ServiceClass.SPOT and not each.is_call


def _age(each: Waiting) -> tuple[tuple[bool, ...], datetime, int, UUID]:
    """Of one user: by class, then the older job, the tasks of an array by their index."""
    index = -1 if each.task is None else each.task.index
    return _class_and_calls(each), each.submitted_at, index, each.attempt_id
