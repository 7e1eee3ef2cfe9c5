"""An engine that can be asked what would start if a job asked for something else. Nothing is other afterwards. Pure.

The other job is taken as if it were submitted now, in place of the one that waits: so it is never due, and behind what
has waited for longer. Where anything else would start before it, the answer is no: what is told is never too good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from scheduler.core.engine import Engine, Refusals
from scheduler.core.orders.order import Least
from scheduler.core.pool import FOREVER
from scheduler.core.queue import Queue
from scheduler.core.request import Request

NEW: Final = FOREVER
"""The number of a job that is only supposed: after all others."""
_NEVER: Final = -1


class Supposing(Engine):
    """Of the instant of the last decision, and what it left waiting."""

    passes: int = 0
    """So many have been gone through, each along all that goes before the order: so that a bound can be set."""

    def longest(self, job: Request, now_s: int, *, instead_of: int) -> int:
        """So long the limit of this one may be for it to start now; below 0: it does not. Below its own limit: at most.

        instead_of: the one whose place it takes, if that waits. Reservations of the last decision are forgotten.
        """
        room = self._machines[job.machine].room
        if not room.fits_ever(job.shape) or not room.fits_now(job.shape):
            return _NEVER
        allowed = self._gate.longest(self._order.line(job), job.machine, job.shape)
        if allowed < job.limit_s or not self._gate.allows(job):
            return allowed if allowed < job.limit_s else _NEVER
        with self._without(instead_of, job):
            room.begin(now_s)
            self._passed = {instead_of}
            self.passes += 1
            found = self._at_its_turn(job)
            room.begin(now_s)
        return min(allowed, found)

    @contextmanager
    def _without(self, number: int, job: Request) -> Iterator[None]:
        """One waits no more, and this one does, for the shares."""
        place = self.waiting.get(number)
        if place is None:
            with self._order.instead(None, job):
                yield
            return
        away = place[2]
        queue, line = self._queue(away.machine, away.tier), self._order.line(away)
        queue.remove(line, place)
        try:
            with self._order.instead(away, job):
                yield
        finally:
            queue.add(line, place)

    def _at_its_turn(self, job: Request) -> int:
        """As a pass, up to this job: whoever cannot start keeps what a pass would keep for it."""
        if not self._keep_ahead(job.machine):
            return _NEVER
        least = self._order.least()
        found = self._reached_in_order(job, least)
        if found is None:
            found = self._reached_behind(job, least)
        return found

    def _keep_ahead(self, machine: int) -> bool:
        """For those that go before the order. False: one of them would start."""
        room, kept, refused = self._machines[machine].room, 0, Refusals()
        for other, keeps in self._order.ahead(machine, room):
            if other.number in self._passed or (keeps and kept == self._order.reservations_ahead):
                continue
            fits = keeps or self._would_start(other)
            if not fits or not self._may(other, refused):
                continue
            if self._would_start(other):
                return False
            if keeps:
                self._keep(other)
                kept += 1
        return True

    def _reached_in_order(self, job: Request, least: Least) -> int | None:
        """None: as many as may keep their starts before it is its turn."""
        kept = 0
        for tier, queue in sorted(self._queues[job.machine].items()):
            for other in self._before(job, queue, least) if tier <= job.tier and queue.shapes else ():
                if self._would_start(other):
                    return _NEVER
                if kept < self._order.reservations:
                    self._keep(other)
                    kept += 1
                if kept == self._order.reservations:
                    return None
        return self._machines[job.machine].room.horizon(job.shape)

    def _before(self, job: Request, queue: Queue, least: Least) -> Iterator[Request]:
        """Whose turn it is in this queue before that of the job, one by one as each has been kept a start."""
        order = self._order
        line, place = order.line(job), (order.rank(job), job.number, job)
        turns = queue.turns(least)
        while (other := turns.first()) is not None:
            waiting = queue.lines[other]
            is_peer = waiting.head[2].tier == job.tier
            if is_peer and (order.turn(line), place, line) < (order.turn(other), waiting.head, other):
                return
            found = self._next(other, waiting, job.machine)
            if found is None:
                turns.done()
            elif is_peer and other == line and place < found:
                return
            else:
                yield found[2]

    def _reached_behind(self, job: Request, least: Least) -> int:
        """Beside what is kept, and only where nothing else would start beside that."""
        if not self._order.reservations:
            return _NEVER
        room = self._machines[job.machine].room
        for queue in self._tiers(job.machine):
            turns = queue.turns_of_fitting(room, least)
            while (line := turns.first()) is not None:
                if self._first_that_fits(line, queue.lines[line], job.machine) is not None:
                    return _NEVER
                turns.done()
        return room.horizon(job.shape)

    def _would_start(self, other: Request) -> bool:
        """Or be handed over to wait in the machine's own queue."""
        room = self._machines[other.machine].room
        return room.has_seats or room.horizon(other.shape) >= other.limit_s

    def _keep(self, other: Request) -> None:
        self._machines[other.machine].room.reserve(other)
        self._passed.add(other.number)
