"""The scheduler's core: told what has happened, asked what starts now. Pure and deterministic.

The cost of a decision grows with what can start and with the number of lines, not with the number of jobs that wait:
a line finds the first job that fits without looking at those that do not (line.py), and a line in which nothing fits
is asked once in a pass, because room only shrinks as the pass goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.core.line import Line, Place, Sizes
from scheduler.core.orders.order import Order, Turn
from scheduler.core.pool import Room
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_Entry = tuple[Turn, Place, int]
"""Whose turn it is: (turn, first of the line, line)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Some units that are alike. rate: milli-NU per unit and hour, by the exchange table."""

    room: Room
    rate: int = 1000


class Engine:
    """All that waits and runs. Times are whole seconds and never go back."""

    def __init__(self, order: Order, tree: Tree, machines: Sequence[Machine]) -> None:
        self._order = order
        self._tree = tree
        self._machines = machines
        self._lines: list[dict[int, Line]] = [{} for _ in machines]
        self._sizes = [Sizes() for _ in machines]
        self._changed: set[int] = set()
        self.running: dict[int, Request] = {}
        self.waiting: dict[int, Place] = {}
        self.reserved: dict[int, int] = {}
        """Of the last decision: when each job with a reservation starts at the latest, if all keep to their limits."""

    def arrived(self, job: Request) -> None:
        """It waits from now on. ValueError: the machine could never hold it."""
        machine = self._machines[job.machine]
        if not machine.room.fits_ever(job.units):
            raise ValueError(job)
        place = (self._order.rank(job), job.number, job)
        lines, line = self._lines[job.machine], self._order.line(job)
        if line not in lines:
            lines[line] = Line()
        lines[line].add(place)
        self.waiting[job.number] = place
        self._sizes[job.machine].add(job.units)
        self._tree.arrived(job.leaf, job.units * machine.rate)
        self._order.arrived(job)
        self._changed.add(job.machine)

    def withdrawn(self, number: int) -> None:
        """It waits no more, and never runs. KeyError: it does not wait."""
        job = self._leave_line(number)
        self._tree.withdrawn(job.leaf, self._rate(job))
        self._order.left(job)
        self._changed.add(job.machine)

    def ended(self, number: int, now_s: int) -> None:
        """It runs no more. KeyError: it did not."""
        job = self.running.pop(number)
        self._machines[job.machine].room.give_back(job)
        self._tree.ended(job.leaf, self._rate(job), now_s)
        self._order.ended(job, now_s)
        self._changed.add(job.machine)

    def decide(self, now_s: int) -> list[Request]:
        """What starts now, in this order: the README says the rule once more."""
        starts: list[Request] = []
        self._order.tick(now_s)
        for machine in sorted(self._changed):
            room, sizes = self._machines[machine].room, self._sizes[machine]
            if sizes and room.fits_now(sizes.smallest):
                self._pass(machine, now_s, starts)
        self._changed.clear()
        self._order.settled()
        return starts

    def _pass(self, machine: int, now_s: int, starts: list[Request]) -> None:
        room, lines = self._machines[machine].room, self._lines[machine]
        room.begin(now_s)
        self.reserved = {}
        self._ahead(machine, now_s, starts)
        turns = [(self._order.turn(line), waiting.head, line) for line, waiting in lines.items()]
        heapq.heapify(turns)
        self._in_order(turns, machine, now_s, starts)
        if self._order.reservations:
            self._behind(turns, machine, now_s, starts)

    def _ahead(self, machine: int, now_s: int, starts: list[Request]) -> None:
        """Those that the policy lets go before its order."""
        room, kept = self._machines[machine].room, 0
        for job, keeps in self._order.ahead(machine, room):
            if keeps and kept == self._order.reservations_ahead:
                continue
            if room.horizon(job.units) >= job.limit_s:
                self._start(job, room, now_s, starts)
            elif keeps:
                self.reserved[job.number] = room.reserve(job)
                kept += 1

    def _in_order(self, turns: list[_Entry], machine: int, now_s: int, starts: list[Request]) -> None:
        """Down the order, one by one, until so many have a reservation as may. Takes from `turns` what is done with."""
        room, lines = self._machines[machine].room, self._lines[machine]
        widest, kept = self._order.widest(room), 0
        while self._has_settled(turns):
            place = self._next(lines[turns[0][2]], room, widest)
            if place is None:
                heapq.heappop(turns)
                continue
            job = place[2]
            if room.horizon(job.units) >= job.limit_s:
                self._start(job, room, now_s, starts)
                self._put_back(turns, lines)
                continue
            if kept < self._order.reservations:
                self.reserved[job.number] = room.reserve(job)
                kept += 1
            if kept == self._order.reservations:
                return

    def _next(self, line: Line, room: Room, widest: int) -> Place | None:
        """First of the line without a reservation; of those that are too wide to get one, only what fits now."""
        head = line.head
        if head[2].units <= widest and head[1] not in self.reserved:
            return head
        best: Place | None = None
        for units in line.sizes:
            shelf = line.shelf(units)
            found: Place | None = shelf.head if units <= widest else shelf.first_within(room.horizon(units))
            while found is not None and found[1] in self.reserved:
                found = shelf.after(found)
            if found is not None and (best is None or found < best):
                best = found
        return best

    def _behind(self, turns: list[_Entry], machine: int, now_s: int, starts: list[Request]) -> None:
        """What fits without delaying a reservation, in the same order."""
        room, lines = self._machines[machine].room, self._lines[machine]
        while self._has_settled(turns):
            found = _first_that_fits(lines[turns[0][2]], room)
            if found is None:
                heapq.heappop(turns)
            else:
                self._start(found[2], room, now_s, starts)
                self._put_back(turns, lines)

    def _has_settled(self, turns: list[_Entry]) -> bool:
        """Whether any is left; brings to the top the one whose turn it is now. Turns have only grown meanwhile."""
        while turns:
            turn, head, line = turns[0]
            current = self._order.turn(line)
            if current == turn:
                return True
            heapq.heapreplace(turns, (current, head, line))
        return False

    def _put_back(self, turns: list[_Entry], lines: dict[int, Line]) -> None:
        """After a start from the line on top: its new turn and head."""
        line = turns[0][2]
        if line in lines:
            heapq.heapreplace(turns, (self._order.turn(line), lines[line].head, line))
        else:
            heapq.heappop(turns)

    def _start(self, job: Request, room: Room, now_s: int, starts: list[Request]) -> None:
        self._leave_line(job.number)
        room.take(job)
        self.running[job.number] = job
        self._tree.started(job.leaf, self._rate(job), now_s)
        self._order.started(job, now_s)
        starts.append(job)

    def _leave_line(self, number: int) -> Request:
        place = self.waiting.pop(number)
        job = place[2]
        lines, line = self._lines[job.machine], self._order.line(job)
        lines[line].remove(place)
        if not lines[line]:
            del lines[line]
        self._sizes[job.machine].remove(job.units)
        return job

    def _rate(self, job: Request) -> int:
        return job.units * self._machines[job.machine].rate


def _first_that_fits(line: Line, room: Room) -> Place | None:
    best: Place | None = None
    for units in line.sizes:
        horizon = room.horizon(units)
        if horizon < 0:
            break
        found = line.shelf(units).first_within(horizon)
        if found is not None and (best is None or found < best):
            best = found
    return best
