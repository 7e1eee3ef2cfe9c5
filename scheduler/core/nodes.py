"""A machine as nodes of equal units, packed for real: a gang is whole nodes and at most one part of a node. Pure.

Whole nodes are kept whole: a part goes where the least is left over. A reservation is of certain nodes. What is free
on a node over [now, now + limit) is the least of what is free there now and at the reserved starts within, as in
pool.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from scheduler.core.pool import FOREVER
from scheduler.core.request import Request

Taken = tuple[tuple[int, int], ...]
"""(node, units) of each."""


class View:
    """Free units by node, and how many nodes have so many: asks whether a gang fits without looking at each node."""

    def __init__(self, size: int, free: Sequence[int]) -> None:
        self.size = size
        self.free = list(free)
        self._with = [0] * (size + 1)
        for units in self.free:
            self._with[units] += 1

    def fits(self, units: int) -> bool:
        whole, part = divmod(units, self.size)
        spare = self._with[self.size] - whole
        return spare >= 0 and (part == 0 or spare > 0 or any(self._with[part : self.size]))

    def change(self, taken: Taken, sign: int) -> None:
        """Given back by sign 1, taken by -1."""
        for node, units in taken:
            self._with[self.free[node]] -= 1
            self.free[node] += sign * units
            self._with[self.free[node]] += 1

    def least(self, other: View) -> View:
        """On each node what both have."""
        return View(self.size, list(map(min, self.free, other.free)))

    def place(self, units: int, now: Sequence[int]) -> Taken:
        """Where it goes, among what fits here: whole nodes of the lowest numbers; its part where least is left now."""
        whole, part = divmod(units, self.size)
        nodes = [node for node, free in enumerate(self.free) if free == self.size][:whole]
        taken = [(node, self.size) for node in nodes]
        if part:
            others = (node for node, free in enumerate(self.free) if free >= part and node not in nodes)
            taken.append((min(others, key=lambda node: (now[node], node)), part))
        return tuple(taken)


class Nodes:
    """`count` nodes of `size` units."""

    has_seats = False

    def __init__(self, count: int, size: int, *, overdue_s: int = 60) -> None:
        self.total = count * size
        self._size = size
        self._overdue_s = overdue_s
        self._now = 0
        self._free = View(size, [size] * count)
        self._ends: list[tuple[int, int]] = []
        self._holds: dict[int, tuple[int, Taken]] = {}
        self._marks: list[tuple[int, View]] = []
        self._least: list[tuple[int, View]] = []
        """At each mark: what is free from now to then, on each node."""
        self._reserved: list[tuple[int, int, Taken]] = []

    @property
    def free(self) -> int:
        return sum(self._free.free)

    def fits_ever(self, units: int) -> bool:
        return units <= self.total

    def fits_now(self, units: int) -> bool:
        return self._free.fits(units)

    def begin(self, now_s: int) -> None:
        self._now = now_s
        if self._marks:
            self._marks, self._least, self._reserved = [], [], []

    def horizon(self, units: int) -> int:
        if not self._free.fits(units):
            return -1
        for at, view in self._least:
            if not view.fits(units):
                return at - self._now - 1
        return FOREVER

    def take(self, job: Request) -> None:
        until = self._now + job.limit_s
        within = [view for at, view in self._least if at <= until]
        taken = (within[-1] if within else self._free).place(job.units, self._free.free)
        self._free.change(taken, -1)
        self._holds[job.number] = (until, taken)
        insort(self._ends, (until, job.number))
        for at, view in self._marks:
            if at < until:
                view.change(taken, -1)
        self._look()

    def give_back(self, job: Request) -> None:
        until, taken = self._holds.pop(job.number)
        self._free.change(taken, 1)
        del self._ends[bisect_left(self._ends, (until, job.number))]

    def where(self, number: int) -> Taken:
        """On which nodes a job runs, and with how many units of each."""
        return self._holds[number][1]

    def seat(self, job: Request) -> bool:
        del job
        return False

    def reserve(self, job: Request) -> int:
        at, then, during = self._earliest(job)
        until, taken = at + job.limit_s, during.place(job.units, during.free)
        for mark, view in self._marks:
            if at <= mark < until:
                view.change(taken, -1)
        then.change(taken, -1)
        self._marks.append((at, then))
        self._marks.sort(key=lambda mark: mark[0])
        self._reserved.append((at, until, taken))
        self._look()
        return at

    def _look(self) -> None:
        self._least, seen = [], self._free
        for at, view in self._marks:
            seen = seen.least(view)
            self._least.append((at, seen))

    def _earliest(self, job: Request) -> tuple[int, View, View]:
        """When it can start; what is free then; and what is free all the time from then until its limit."""
        for at, view in self._steps():
            if not view.fits(job.units):
                continue
            during = view
            for mark, other in self._marks:
                if at < mark <= at + job.limit_s:
                    during = during.least(other)
            if during.fits(job.units):
                return at, View(self._size, view.free), View(self._size, during.free)
        raise ValueError(job)

    def _steps(self) -> Iterator[tuple[int, View]]:
        """(when, free from then on): the view is the iterator's own."""
        view, soon = View(self._size, self._free.free), self._now + self._overdue_s
        changes = [(end if end > self._now else soon, 1, self._holds[number][1]) for end, number in self._ends]
        for at, until, taken in self._reserved:
            changes += [(at, -1, taken), (until, 1, taken)]
        changes.sort(key=lambda change: (change[0], -change[1]))
        index, at = 0, self._now
        while True:
            while index < len(changes) and changes[index][0] <= at:
                view.change(changes[index][2], changes[index][1])
                index += 1
            yield at, view
            if index == len(changes):
                return
            at = changes[index][0]
