"""What is with one backend, by whose units it holds and by whether the backend's own count has it. Pure.

Kept as sums that change with what changes: nothing is added up again, except when a booking begins or ends.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from scheduler.core.space import Space
from scheduler.core.vectors import NOTHING, Vector, plus, without


class Held(NamedTuple):
    """Something handed over that has not ended. lasts_s: its limit; None: what lies between hand-over and until_s."""

    number: int
    needs: Vector
    until_s: int
    lasts_s: int | None
    accepted: bool
    started: bool
    sent_s: int | None
    reservation: Hashable | None

    @property
    def turn(self) -> tuple[int, int]:
        """In which order a backend comes to what waits there."""
        return self.until_s if self.sent_s is None else self.sent_s, self.number

    def takes(self, now_s: int) -> int:
        """Seconds that it needs when it starts."""
        if self.lasts_s is not None:
            return self.lasts_s
        return max(0, self.until_s - (now_s if self.sent_s is None else self.sent_s))


class Part:
    """Some of a backend's units: those of one booking that is on, or all others."""

    def __init__(self, overdue_s: int) -> None:
        self.space = Space(overdue_s)
        self.held = NOTHING
        self.seen = NOTHING
        """As much of it is in the backend's own count."""

    @property
    def unseen(self) -> Vector:
        return without(self.held, self.seen)


class Tally:
    """outside: what no booking that is on has. queue: what waits in the backend's own queue and holds nothing yet."""

    def __init__(self, overdue_s: int) -> None:
        self._overdue_s = overdue_s
        self._look_ahead = False
        self._asked_s: int | None = None
        self._held: dict[int, Held] = {}
        self._seen: dict[int, bool] = {}
        self._not_yet: set[int] = set()
        self.outside = Part(overdue_s)
        self.inside: dict[Hashable, Part] = {}
        self.queue: dict[int, Held] = {}

    def get(self, number: int) -> Held | None:
        return self._held.get(number)

    def add(self, held: Held) -> None:
        """It is not here yet."""
        self._held[held.number] = held
        if (part := self._count(held)) is not None:
            part.space.ends.add(held.number, held.until_s, held.needs)

    def start(self, held: Held) -> None:
        """As add(), and it holds its units in the space of this pass as well."""
        self._held[held.number] = held
        if (part := self._count(held)) is not None:
            part.space.hold(held.number, held.needs, held.until_s)
        else:
            self.outside.space.hold_briefly(held.needs, held.until_s)

    def remove(self, number: int) -> None:
        """KeyError: it is not here."""
        held = self._held.pop(number)
        if self.queue.pop(number, None) is not None:
            return
        part = self._part(held)
        part.held = without(part.held, held.needs)
        part.seen = without(part.seen, held.needs) if self._seen.pop(number) else part.seen
        self._not_yet.discard(number)
        part.space.ends.remove(number, held.until_s, held.needs)

    def counted(self, *, look_ahead: bool, asked_s: int | None) -> None:
        """The backend has been asked once more."""
        was_s, self._asked_s = self._asked_s, asked_s
        if look_ahead != self._look_ahead or (was_s is not None and asked_s is not None and asked_s < was_s):
            self._look_ahead = look_ahead
            return self._count_anew()
        if (was_s is None) is not (asked_s is None):
            return self._count_anew()
        for number in [number for number in self._not_yet if self._is_in_its_count(self._held[number])]:
            held = self._held[number]
            part = self._part(held)
            part.seen = plus(part.seen, held.needs)
            self._seen[number] = True
            self._not_yet.remove(number)
        return None

    def are_on(self, bookings: Iterable[Hashable]) -> None:
        """These, and no others, have units of their own now."""
        known = self.inside
        self.inside = {name: known.get(name) or Part(self._overdue_s) for name in bookings}
        if known.keys() != self.inside.keys():
            self._count_anew()

    def _count(self, held: Held) -> Part | None:
        """Into the sums. None: it waits in the backend's own queue."""
        if self._look_ahead and not held.started and held.reservation not in self.inside:
            self.queue[held.number] = held
            return None
        part, seen = self._part(held), self._is_in_its_count(held)
        part.held = plus(part.held, held.needs)
        part.seen = plus(part.seen, held.needs) if seen else part.seen
        self._seen[held.number] = seen
        if held.accepted and not seen:
            self._not_yet.add(held.number)
        return part

    def _count_anew(self) -> None:
        self.queue.clear()
        self._seen.clear()
        self._not_yet.clear()
        for part in (self.outside, *self.inside.values()):
            part.held = part.seen = NOTHING
            part.space.ends.clear()
        for held in self._held.values():
            if (part_of := self._count(held)) is not None:
                part_of.space.ends.add(held.number, held.until_s, held.needs)

    def _part(self, held: Held) -> Part:
        return self.outside if held.reservation is None else self.inside.get(held.reservation, self.outside)

    def _is_in_its_count(self, held: Held) -> bool:
        """It has confirmed it, and was asked later than that; a backend with a queue of its own counts what runs."""
        asked_later = self._asked_s is None or held.sent_s is None or held.sent_s < self._asked_s
        return held.accepted and asked_later and (held.started or not self._look_ahead)
