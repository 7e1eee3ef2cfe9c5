"""Whose turn it is: weighted fair share over normalised units (NU; 1 NU = one hour of the reference GPU).

Fair-share use is approximate, decays and orders the queue. It is never money (decision 0005).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from pricing.model import ServiceClass
from scheduler.core.model import Attempt, JobKind
from scheduler.core.snapshot import Standing, Waiting

MICRO = 1_000_000
_HOUR_S = 3600


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


def fair_order(waiting: Iterable[Waiting], standings: Mapping[UUID, Standing]) -> Iterator[Waiting]:
    """All that waits, in the order in which it should start: a total order, whatever the order of the input.

    Standard before spot, calls of running jobs as standard; then the organisation with the least use per weight; then
    age; then id. Each one charges its organisation provisionally with its full size, so that nobody wins a whole cycle.
    """
    queues = _queues(waiting)
    charged = {organisation: standings[organisation].used_micro_nu for organisation in queues}
    # use / weight over a common denominator: exact, and whole numbers compare much faster than fractions
    common = math.lcm(*(standings[organisation].weight for organisation in queues))

    def turn(organisation: UUID) -> tuple[bool, int, datetime, UUID, UUID]:
        head = queues[organisation][-1]
        ratio = charged[organisation] * (common // standings[organisation].weight)
        return (_comes_after(head), ratio, head.submitted_at, head.attempt_id, organisation)

    turns = [turn(organisation) for organisation in queues]
    heapq.heapify(turns)
    while turns:
        organisation = heapq.heappop(turns)[-1]
        head = queues[organisation].pop()
        yield head
        charged[organisation] += max(1, head.micro_nu)
        if queues[organisation]:
            heapq.heappush(turns, turn(organisation))


def _queues(waiting: Iterable[Waiting]) -> dict[UUID, list[Waiting]]:
    """Per organisation, its next one last."""
    queues: dict[UUID, list[Waiting]] = {}
    for each in waiting:
        queues.setdefault(each.organisation_id, []).append(each)
    for queue in queues.values():
        queue.sort(key=_age)
        queue.reverse()
    return queues


def _comes_after(each: Waiting) -> bool:
    """Spot work waits for all other; not so its calls: the GPUs of the job that made them are held and charged."""
    return each.service_class is ServiceClass.SPOT and not each.is_call


def _age(each: Waiting) -> tuple[bool, bool, datetime, int, UUID]:
    """Within an organisation: calls of its running jobs, then the older job, the tasks of an array by their index."""
    index = -1 if each.task is None else each.task.index
    return _comes_after(each), not each.is_call, each.submitted_at, index, each.attempt_id
