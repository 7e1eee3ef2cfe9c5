"""Units that are free now and later, of every kind, and what is kept for jobs that must wait. Pure.

As pool.py, by vectors, and beside advance reservations ("bookings") to come. What is free falls only where a booking or
a reservation begins: a mark at each of these says what is left there. So what is free from now to now + limit is the
least of what is free now and at the marks within. What starts now is over before a reservation in whose way it is, and
when a booking begins at the latest.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scheduler.core.ends import Change, Ends
from scheduler.core.pool import FOREVER
from scheduler.core.vectors import NOTHING, Vector, at_least_nothing, fits, plus, without

_RESERVED, _BOOKED = 0, 1


class Booked(NamedTuple):
    """Units that are somebody's from since_s on and before until_s."""

    since_s: int
    until_s: int
    needs: Vector


class Mark(NamedTuple):
    """Something begins at at_s (kind: a reservation or a booking), and leaves so much."""

    at_s: int
    kind: int
    left: Vector

    def is_met(self, until_s: int) -> bool:
        """By what runs from before it until then."""
        return self.at_s < until_s + (self.kind == _RESERVED)


class Kept(NamedTuple):
    """A reservation of this pass."""

    at_s: int
    until_s: int
    needs: Vector
    number: int | None

    def covers(self, at_s: int) -> bool:
        return self.at_s <= at_s < self.until_s


class Space:
    """ends: of what is held. later: bookings that have not begun. given_back: by others, at a known time."""

    def __init__(self, overdue_s: int) -> None:
        self.ends = Ends(overdue_s)
        self.free = NOTHING
        self.now_s = 0
        self.later: Sequence[Booked] = ()
        self.given_back: Sequence[Change] = ()
        self.kept: list[Kept] = []
        self._offsets: list[Vector] = []
        self._brief: list[Change] = []
        self._marks: list[Mark] | None = []

    def arrange(self, later: Sequence[Booked], given_back: Sequence[Change]) -> None:
        """Instead of what was known of these. later: by their beginnings."""
        self.later, self.given_back = later, given_back
        self.ends.watch(each.since_s for each in later)
        self._offsets = [self._offset(each.since_s) for each in later]

    def begin(self, now_s: int, free: Vector) -> None:
        """Nothing is kept, and nothing is held but by `ends`."""
        self.now_s, self.free = now_s, free
        if self.kept or self._brief:
            self.kept, self._brief = [], []
        self._marks = None if self.later else []

    def horizon(self, needs: Vector) -> int:
        """So long it may run from now on; below 0: it does not fit now."""
        if not fits(needs, self.free):
            return -1
        for at_s, kind, left in self._known_marks():
            if not fits(needs, left):
                return at_s - self.now_s - (kind == _RESERVED)
        return FOREVER

    def hold(self, number: int, needs: Vector, until_s: int) -> None:
        """From now on."""
        self.ends.add(number, until_s, needs)
        self._hold(needs, until_s)

    def hold_briefly(self, needs: Vector, until_s: int) -> None:
        """As hold(), in this pass only."""
        self._brief.append((until_s, needs))
        self._hold(needs, until_s)

    def _hold(self, needs: Vector, until_s: int) -> None:
        self.free = without(self.free, needs)
        if self._marks:
            self._marks = [
                Mark(at_s, kind, without(left, needs)) if at_s < until_s else Mark(at_s, kind, left)
                for at_s, kind, left in self._marks
            ]

    def reserve(self, needs: Vector, lasts_s: int, number: int | None = None) -> int:
        """Keeps the earliest start free of later ones; says when that is.

        Where it never fits, units are held of which nobody knows until when (somebody else's, or out of service): at
        the last change that is known, and nothing may run beyond it.
        """
        at_s, free, is_known = self._earliest(needs, lasts_s)
        kept = Kept(at_s, at_s + lasts_s, needs, number)
        if not is_known:
            kept = Kept(at_s, FOREVER, at_least_nothing(free), number)
        marks = [
            mark._replace(left=without(mark.left, kept.needs)) if kept.covers(mark.at_s) else mark
            for mark in self._known_marks()
        ]
        insort(marks, Mark(at_s, _RESERVED, without(free, kept.needs)))
        self._marks = marks
        self.kept.append(kept)
        return at_s

    def delays(self, needs: Vector, lasts_s: int) -> bool:
        """A reservation, if it started now; bookings aside."""
        until_s = self.now_s + lasts_s
        marks = self._known_marks() if self.kept else ()
        return any(mark.kind == _RESERVED and mark.at_s < until_s and not fits(needs, mark.left) for mark in marks)

    def runs_into(self, needs: Vector, lasts_s: int) -> int | None:
        """When the first booking begins beside which it would not fit if it started now. None: it would."""
        for at_s, kind, left in self._known_marks():
            if kind == _BOOKED and at_s < self.now_s + lasts_s:
                bare = left
                for kept in self.kept:
                    bare = plus(bare, kept.needs) if kept.covers(at_s) else bare
                if not fits(needs, bare):
                    return at_s
        return None

    def in_the_way_of(self, needs: Vector, lasts_s: int, number: int | None = None) -> int | None:
        """When the reservation begins that it would delay if it started now; its own is none."""
        for mark in self._known_marks():
            if not mark.is_met(self.now_s + lasts_s):
                continue
            covering = [kept for kept in self.kept if kept.covers(mark.at_s)]
            left = mark.left
            for kept in covering:
                left = plus(left, kept.needs) if kept.number == number and number is not None else left
            if not fits(needs, left):
                return mark.at_s if mark.kind == _RESERVED else min((kept.at_s for kept in covering), default=mark.at_s)
        return None

    def latest(self) -> int:
        """When everything that is held now has been given back."""
        known = (until_s for changes in (self._brief, self.given_back) for until_s, _ in changes)
        return max(self.ends.latest(self.now_s), *known, self.now_s)

    def _earliest(self, needs: Vector, lasts_s: int) -> tuple[int, Vector, bool]:
        """When it can start, and what is free then without it; False: the last change, if it never can."""
        marks, at_s, free = self._known_marks(), self.now_s, self.free
        for at_s, free in self._steps():
            if fits(needs, free) and not any(
                at_s < mark.at_s and mark.is_met(at_s + lasts_s) and not fits(needs, mark.left) for mark in marks
            ):
                return at_s, free, True
        return at_s, free, False

    def _steps(self) -> Iterator[Change]:
        """(when, free from then on), at each time at which that changes, from now on."""
        taken = [*self.later, *((each.at_s, each.until_s, each.needs) for each in self.kept)]
        others = [*self._brief, *self.given_back]
        others += [(since_s, without(NOTHING, needs)) for since_s, _, needs in taken]
        others += [(until_s, needs) for _, until_s, needs in taken if until_s < FOREVER]
        at_s, free = self.now_s, self.free
        for change_s, more in self.ends.changes(self.now_s, others):
            if change_s > at_s:
                yield at_s, free
                at_s = change_s
            free = plus(free, more)
        yield at_s, free

    def _known_marks(self) -> list[Mark]:
        if self._marks is None:
            self._marks = []
            for each, offset, risen in zip(self.later, self._offsets, self.ends.risen(self.now_s), strict=True):
                left = plus(plus(self.free, offset), risen)
                for until_s, needs in self._brief:
                    left = plus(left, needs) if until_s <= each.since_s else left
                self._marks.append(Mark(each.since_s, _BOOKED, left))
        return self._marks

    def _offset(self, at_s: int) -> Vector:
        """How much more is free then, by bookings alone."""
        offset = NOTHING
        for until_s, needs in self.given_back:
            offset = plus(offset, needs) if until_s <= at_s else offset
        for each in self.later:
            offset = without(offset, each.needs) if each.since_s <= at_s else offset
            offset = plus(offset, each.needs) if each.until_s <= at_s else offset
        return offset
