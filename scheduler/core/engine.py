"""The scheduler's core: told what has happened, asked what starts now. Pure and deterministic.

The cost of a decision grows with what can start, not with what waits: whose turn it is, is found among the few lines
near the least turn (turns.py), only lines in which anything fits are looked at behind a reservation (queue.py), and a
line finds the first job that fits without looking at those that do not (line.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.core.columns import Columns
from scheduler.core.line import Line, Place
from scheduler.core.orders.order import Least, Order
from scheduler.core.pool import Room
from scheduler.core.queue import Queue
from scheduler.core.request import Request
from scheduler.core.tree import Tree


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
        self._queues = [Queue(order) for _ in machines]
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
        self._queues[job.machine].add(self._order.line(job), place)
        self.waiting[job.number] = place
        self._tree.arrived(job.leaf, job.units * machine.rate)
        self._order.arrived(job)
        self._changed.add(job.machine)

    def loaded(self, columns: Columns, machine: int = 0) -> None:
        """As if each had arrived, at a fraction of the cost. ValueError: the machine could never hold one."""
        if not len(columns.number):
            return
        room, jobs = self._machines[machine].room, columns.requests(machine)
        if not room.fits_ever(int(columns.units.max())):
            raise ValueError(max(jobs, key=lambda job: job.units))
        order = self._order
        places = [(order.rank(job), job.number, job) for job in jobs]
        self._queues[machine].load([order.line(job) for job in jobs], places)
        self.waiting.update((place[1], place) for place in places)
        for leaf, units in columns.asked():
            self._tree.arrived(leaf, units * self._machines[machine].rate)
        order.loaded(jobs)
        self._changed.add(machine)

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
            if self._anything_fits(machine):
                self._pass(machine, now_s, starts)
        self._changed.clear()
        self._order.settled()
        return starts

    def _anything_fits(self, machine: int) -> bool:
        """Beside what runs, reservations aside."""
        sizes = self._queues[machine].sizes
        return bool(sizes) and self._machines[machine].room.fits_now(sizes.smallest)

    def _pass(self, machine: int, now_s: int, starts: list[Request]) -> None:
        self._machines[machine].room.begin(now_s)
        self.reserved = {}
        self._ahead(machine, now_s, starts)
        least = self._order.least()
        self._in_order(least, machine, now_s, starts)
        if self._order.reservations:
            self._behind(least, machine, now_s, starts)

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

    def _in_order(self, least: Least, machine: int, now_s: int, starts: list[Request]) -> None:
        """Down the order, one by one, until so many have a reservation as may."""
        room, queue = self._machines[machine].room, self._queues[machine]
        turns, widest, kept = queue.turns(least), self._order.widest(room), 0
        while (line := turns.first()) is not None:
            place = self._next(queue.lines[line], room, widest)
            if place is None:
                turns.done()
                continue
            job = place[2]
            if room.horizon(job.units) >= job.limit_s:
                self._start(job, room, now_s, starts)
                turns.started()
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

    def _behind(self, least: Least, machine: int, now_s: int, starts: list[Request]) -> None:
        """What fits without delaying a reservation, in the same order. Looks only at lines in which anything fits."""
        room, queue = self._machines[machine].room, self._queues[machine]
        turns, is_stale = queue.turns_of_fitting(room, least), False
        while self._anything_fits(machine) and (line := turns.first()) is not None:
            found = _first_that_fits(queue.lines[line], room)
            if found is not None:
                self._start(found[2], room, now_s, starts)
                turns.started()
                is_stale = True
            elif is_stale:
                turns, is_stale = queue.turns_of_fitting(room, least), False
            else:
                turns.done()

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
        self._queues[job.machine].remove(self._order.line(job), place)
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
