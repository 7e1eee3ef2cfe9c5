"""A machine as a plain pool of units: what is free now and later, and what is reserved. Pure.

Reservations live within one pass: each is the earliest start of a job that must wait, when all that runs takes its full
limit. Between reservations the free units only grow, so what is free from now to now + limit is the least of what is
free now and at the reserved starts within: looking costs one step per reservation. What starts now ends before the
reserved start of a job in whose way it is, not at the same second.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Protocol

from scheduler.core.request import Request

FOREVER = 1 << 60


class Room(Protocol):
    """What the engine asks of a machine."""

    total: int
    has_seats: bool
    """Whether more may go and wait in its own queue."""

    @property
    def free(self) -> int:
        """Units that nobody holds."""

    def fits_ever(self, shape: int) -> bool:
        """On the empty machine."""

    def fits_now(self, shape: int) -> bool:
        """Beside what runs, reservations aside."""

    def begin(self, now_s: int) -> None:
        """A new pass: forgets the reservations."""

    def horizon(self, shape: int) -> int:
        """It delays no reservation if it takes no longer than this: ends before it. Below 0: it does not fit now."""

    def take(self, job: Request) -> None:
        """It starts now."""

    def give_back(self, job: Request) -> None:
        """It has ended."""

    def seat(self, job: Request) -> bool:
        """It does not fit, and goes to wait in the machine's own queue. False: it has none, or enough wait there."""

    def reserve(self, job: Request) -> int:
        """Keeps its earliest start free of later ones; says when that is."""


class Pool:
    """`total` equal units."""

    has_seats = False

    def __init__(self, total: int, *, overdue_s: int = 60) -> None:
        self.total = total
        self._free = total
        self._overdue_s = overdue_s
        self._now = 0
        self._ends: list[tuple[int, int, int]] = []
        self._until: dict[int, int] = {}
        self._marks: list[tuple[int, int]] = []
        self._reserved: list[tuple[int, int, int]] = []

    @property
    def free(self) -> int:
        return self._free

    def fits_ever(self, units: int) -> bool:
        return units <= self.total

    def fits_now(self, units: int) -> bool:
        return units <= self._free

    def begin(self, now_s: int) -> None:
        self._now = now_s
        if self._marks:
            self._marks, self._reserved = [], []

    def horizon(self, units: int) -> int:
        if units > self._free:
            return -1
        for at, free in self._marks:
            if units > free:
                return at - self._now - 1
        return FOREVER

    def take(self, job: Request) -> None:
        until = self._now + job.limit_s
        self._free -= job.units
        self._until[job.number] = until
        insort(self._ends, (until, job.number, job.units))
        if self._marks:
            self._marks = [(at, free - job.units if at < until else free) for at, free in self._marks]

    def give_back(self, job: Request) -> None:
        until = self._until.pop(job.number)
        self._free += job.units
        del self._ends[bisect_left(self._ends, (until, job.number))]

    def seat(self, job: Request) -> bool:
        del job
        return False

    def reserve(self, job: Request) -> int:
        at, free = self._earliest(job)
        until = at + job.limit_s
        self._marks = [(mark, left - job.units if at <= mark < until else left) for mark, left in self._marks]
        insort(self._marks, (at, free - job.units))
        self._reserved.append((at, until, job.units))
        return at

    def _earliest(self, job: Request) -> tuple[int, int]:
        """When it can start, and what is free then without it."""
        for at, free in self._steps():
            if free >= job.units and all(
                left >= job.units for mark, left in self._marks if at < mark <= at + job.limit_s
            ):
                return at, free
        raise ValueError(job)

    def _steps(self) -> Iterator[tuple[int, int]]:
        """(when, free from then on), at each time at which the number of free units changes, from now on."""
        free, soon = self._free, self._now + self._overdue_s
        changes: list[tuple[int, int]] = [(end, units) for end, _, units in self._ends]
        if changes and changes[0][0] <= self._now:
            changes = sorted((end if end > self._now else soon, units) for end, units in changes)
        if self._reserved:
            changes += [(until, units) for _, until, units in self._reserved]
            changes += [(at, -units) for at, _, units in self._reserved]
            changes.sort()
        index, at = 0, self._now
        while True:
            while index < len(changes) and changes[index][0] <= at:
                free += changes[index][1]
                index += 1
            yield at, free
            if index == len(changes):
                return
            at = changes[index][0]
