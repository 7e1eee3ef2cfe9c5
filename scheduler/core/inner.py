"""Units of a booking that is on, for its own jobs alone; and of these no more than nobody else still holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from hpc_adapters.contract import Resources
from scheduler.core.openings import SHUT
from scheduler.core.refusals import Refusal, When, no_capacity, refusal_of
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.space import Space
from scheduler.core.vectors import Vector, fits, least, resources, vector


class Outer(Protocol):
    """The hall around it."""

    shapes: Shapes
    units_of: Callable[[Resources], int]

    @property
    def physical(self) -> Vector:
        """What nobody holds, booked or not."""

    def reserved(self, reservation: Hashable) -> Resources:
        """What the booking has while it is on."""

    def space_inside(self, reservation: Hashable) -> Space | None:
        """None: it is not on."""

    def begin_inside(self, reservation: Hashable, now_s: int) -> None:
        """A new pass."""

    def take_inside(self, reservation: Hashable, job: Request) -> None:
        """As Room.take."""

    def give_back(self, job: Request) -> None:
        """As Room.give_back."""


class Inner:
    """Room of its jobs in `hall`; while it is not on there is none."""

    has_seats = False

    def __init__(self, hall: Outer, reservation: Hashable, total: int) -> None:
        self.total = total
        self._hall = hall
        self._reservation = reservation

    @property
    def free(self) -> int:
        space = self._space()
        return 0 if space is None else self._hall.units_of(resources(least(space.free, self._hall.physical)))

    def fits_ever(self, shape: int) -> bool:
        return fits(self._hall.shapes.vector(shape), vector(self._hall.reserved(self._reservation)))

    def fits_now(self, shape: int) -> bool:
        space, needs = self._space(), self._hall.shapes.vector(shape)
        return space is not None and fits(needs, space.free) and fits(needs, self._hall.physical)

    def begin(self, now_s: int) -> None:
        self._hall.begin_inside(self._reservation, now_s)

    def horizon(self, shape: int) -> int:
        space, needs = self._space(), self._hall.shapes.vector(shape)
        return SHUT if space is None or not fits(needs, self._hall.physical) else space.horizon(needs)

    def take(self, job: Request) -> None:
        self._hall.take_inside(self._reservation, job)

    def give_back(self, job: Request) -> None:
        self._hall.give_back(job)

    def seat(self, job: Request) -> bool:
        """A reservation's job is never sent ahead."""
        del job
        return False

    def reserve(self, job: Request) -> int:
        """KeyError: the booking is not on."""
        space = self._space()
        if space is None:
            raise KeyError(self._reservation)
        return space.reserve(self._hall.shapes.vector(job.shape), job.limit_s, job.number)

    def refusal(self, job: Request, when: When) -> Refusal | None:
        """As that of the hall. KeyError: the booking is not on."""
        space, needs = self._space(), self._hall.shapes.needs(job.shape)
        if space is None:
            raise KeyError(self._reservation)
        found = refusal_of(space, needs, job.limit_s, job.number, when)
        if found is None and not fits(vector(needs), self._hall.physical):
            return no_capacity(space, needs, self._hall.physical, job.number, when)
        return found

    def _space(self) -> Space | None:
        return self._hall.space_inside(self._reservation)
