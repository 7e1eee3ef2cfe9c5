"""Whether a plan is right, from the facts of an invented site alone (tests/support/sites.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.branches import branches_of
from scheduler.core.resources import total
from scheduler.core.snapshot import Booking, Holding, Limits, Place, Plan, Waiting

_GPU = Resources(gpus=1, cpus=4, memory_mb=8_000)


@dataclass
class Machine:
    """foreign: GPUs that others than we hold; lie: so many more it says are free than are."""

    gpus: int
    online: bool = True
    foreign: int = 0
    lie: int = 0
    look_ahead: int = 0


def organisation(number: int) -> UUID:
    return UUID(int=1_000 + number)


def gpus(count: int) -> Resources:
    return Resources(gpus=_GPU.gpus * count, cpus=_GPU.cpus * count, memory_mb=_GPU.memory_mb * count)


class Checks:
    """Of a site with these facts."""

    now: datetime
    machines: dict[str, Machine]
    organisations: Sequence[int]
    max_running: int
    limits: dict[Place, Limits]
    waiting: dict[UUID, Waiting]
    holding: dict[UUID, Holding]
    bookings: dict[int, Booking]
    spent: Counter[Place]

    def check(self, plan: Plan) -> None:
        """Of a plan before it is carried out, from facts alone."""
        starting = [self.waiting[start.attempt_id] for start in plan.starts]
        assert len({each.attempt_id for each in starting}) == len(starting)
        for each in starting:
            assert self.machines[each.backend].online
            assert each.begin_at is None or each.begin_at <= self.now
            assert each.not_before is None or each.not_before <= self.now
        taking = [each for each in starting if each.needs.gpus]
        for name in {each.backend for each in taking}:
            self._check_room(name, [each for each in taking if each.backend == name])
        outside = [each for each in starting if each.inside is None]
        self._check_limits(starting, outside)
        self._check_arrays(starting)
        self._check_preempts(plan)

    def _check_room(self, name: str, starting: Sequence[Waiting]) -> None:
        machine = self.machines[name]
        here = [each for each in self.holding.values() if each.backend == name]
        there = total(each.needs for each in (*here, *starting))
        foreign = 0 if machine.lie else machine.foreign
        if not machine.look_ahead:
            assert there.fits(gpus(machine.gpus - foreign)), (there, machine)
        for booking in self.bookings.values():
            if booking.backend == name and booking.until > self.now:
                self._check_booking(booking, here, [each for each in starting if each.inside is None])

    def _check_booking(self, booking: Booking, here: Sequence[Holding], starting: Sequence[Waiting]) -> None:
        """Whoever starts now and may still run then leaves the booked units alone."""
        inside = total(each.needs for each in here if each.reservation_id == booking.reservation_id)
        assert inside.fits(booking.needs)
        meets = [each for each in starting if self.now + timedelta(seconds=each.walltime_s) > booking.since]
        others = [each for each in here if each.reservation_id != booking.reservation_id]
        remain = [each for each in others if each.until > booking.since]
        if meets:
            there = total([booking.needs, *(each.needs for each in (*remain, *meets))])
            assert there.gpus <= self.machines[booking.backend].gpus

    def _check_limits(self, starting: Sequence[Waiting], outside: Sequence[Waiting]) -> None:
        tops: dict[Place, Limits] = {
            ((organisation(each),), None): Limits(max_running_jobs=self.max_running) for each in self.organisations
        }
        for place, limits in (*tops.items(), *self.limits.items()):
            new = [each for each in outside if _is_at(each, place)]
            there = [each for each in (*self.holding.values(), *starting) if _is_at(each, place)]
            if new:
                self._check_limit(place, limits, new, there)

    def _check_limit(
        self, place: Place, limits: Limits, new: Sequence[Waiting], there: Sequence[Waiting | Holding]
    ) -> None:
        """What takes nothing of a kind may start where too much of it is taken already."""
        if limits.max_running_jobs is not None:
            assert len(there) <= limits.max_running_jobs
        if limits.max_gpus is not None and any(each.needs.gpus for each in new):
            assert sum(each.needs.gpus for each in there) <= limits.max_gpus
        if limits.max_month_micro_nu is not None and any(each.micro_nu for each in new):
            assert self.spent[place] + sum(each.micro_nu for each in there) <= limits.max_month_micro_nu

    def _check_arrays(self, starting: Sequence[Waiting]) -> None:
        running = Counter(each.array_id for each in self.holding.values() if each.array_id is not None)
        tasks = [each.task for each in starting if each.task is not None]
        running.update(task.array_id for task in tasks)
        for task in tasks:
            assert task.max_running is None or running[task.array_id] <= task.max_running

    def _check_preempts(self, plan: Plan) -> None:
        for each in plan.preempts:
            held = self.holding[each.attempt_id]
            assert held.service_class is ServiceClass.SPOT
            assert held.asked_to_leave_at is None


def _is_at(each: Waiting | Holding, place: Place) -> bool:
    branch, backend = place
    return branch in branches_of(each.leaf) and backend in {None, each.backend}
