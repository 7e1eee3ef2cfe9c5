"""The scheduler's core: told what has happened, asked what starts now. Pure and deterministic.

The cost of a decision grows with what can start, not with what waits: whose turn it is, is found among the few lines
near the least turn (turns.py), only lines in which anything fits are looked at behind a reservation (queue.py), and a
line finds the first job that fits without looking at those that do not (line.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import NamedTuple, Protocol

import numpy as np

from scheduler.core.backlog import Backlog
from scheduler.core.columns import Columns
from scheduler.core.decided import Way
from scheduler.core.line import Line
from scheduler.core.orders.order import Least, Order
from scheduler.core.pool import FOREVER, Room
from scheduler.core.queue import Queue
from scheduler.core.request import Place, Request
from scheduler.core.tree import Tree
from scheduler.core.waits import Waits

Refusals = set[tuple[int, int]]
"""Lines and shapes."""
Ran = tuple[int, int]
"""When something really ran, as became known later: (since, until) in seconds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Some units that are alike. rate: milli-NU per unit and hour, by the exchange table."""

    room: Room
    rate: int = 1000


class Gate(Protocol):
    """What may not start however much is free: limits of branches, closures. Asked anew at each look."""

    def longest(self, line: int, machine: int, shape: int) -> int:
        """A job of this shape and line may start if its limit is at most this; below 0: none may."""

    def allows(self, job: Request) -> bool:
        """Whether this very one may."""

    def started(self, job: Request) -> None:
        """It runs from now on."""

    def ended(self, job: Request) -> None:
        """It runs no more."""


class Going(NamedTuple):
    """What starts. is_seated: it does not fit yet, and waits in the machine's own queue."""

    job: Request
    way: Way
    is_seated: bool


class _Open:
    """No limits."""

    def longest(self, line: int, machine: int, shape: int) -> int:
        del line, machine, shape
        return FOREVER

    def allows(self, job: Request) -> bool:
        del job
        return True

    def started(self, job: Request) -> None:
        del job

    def ended(self, job: Request) -> None:
        del job


class Engine:
    """All that waits and runs. Times are whole seconds and never go back."""

    def __init__(self, order: Order, tree: Tree, machines: Sequence[Machine], gate: Gate | None = None) -> None:
        self._order = order
        self._tree = tree
        self._machines = machines
        self._gate = gate or _Open()
        self._most = FOREVER
        self._queues: list[dict[int, Queue]] = [{} for _ in machines]
        self._changed: set[int] = set()
        self._since: dict[int, int] = {}
        self.running: dict[int, Request] = {}
        self.waiting = Waits()
        self._passed: set[int] = set()
        """In this pass: those with a reservation, and those that the gate does not allow."""
        self.reserved: dict[int, int] = {}
        """Of the last decision: when each job with a reservation starts at the latest, if all keep to their limits."""
        self.always: set[int] = set()
        """Machines that are looked at though nothing fits: so that it is known who is first in line."""
        self.going: list[Going] = []
        """Of the last decision: what starts, in this order."""

    # -- what happens --------------------------------------------------------------------------------------------------

    def changed(self, machine: int) -> None:
        """Something else has: what is free, or what is allowed, is not what it was."""
        self._changed.add(machine)

    def arrived(self, job: Request) -> None:
        """It waits from now on. ValueError: the machine could never hold it."""
        machine = self._machines[job.machine]
        if not machine.room.fits_ever(job.shape):
            raise ValueError(job)
        self._wait(job)
        self._order.arrived(job)

    def loaded(self, columns: Columns, machine: int = 0) -> None:
        """As if each had arrived, at a fraction of the cost. ValueError: the machine could never hold one."""
        if not len(columns.number):
            return
        order, room = self._order, self._machines[machine].room
        backlog = Backlog(columns, machine, order.ranks(columns))
        shapes, firsts = np.unique(backlog.shape, return_index=True)
        for shape, first in zip(shapes.tolist(), firsts.tolist(), strict=True):
            if not room.fits_ever(shape):
                raise ValueError(backlog.request(first))
        lines = order.lines_of(backlog)
        for tier in np.unique(backlog.tier).tolist():
            self._queue(machine, tier).load(backlog, np.flatnonzero(backlog.tier == tier), lines)
        self.waiting.load(backlog)
        order.loaded(backlog)
        self._changed.add(machine)

    def withdrawn(self, number: int) -> None:
        """It waits no more, and never runs. KeyError: it does not wait."""
        job = self._leave_line(number)
        self._order.left(job)
        self._changed.add(job.machine)

    def ran_before(self, job: Request, since_s: int) -> None:
        """It runs already, and its machine knows of it: as after a restart."""
        self._order.arrived(job)
        self._run(job, since_s)

    def ended(self, number: int, now_s: int, ran: Ran | None = None) -> None:
        """It runs no more. ran: for what it is charged; None: from its start until now. KeyError: it did not run."""
        job = self._leave_machine(number)
        rate = self._rate(job)
        self._tree.ended(job.leaf, rate, now_s)
        if ran is not None:
            self._tree.corrected(job.leaf, rate, (self._since[number], now_s), ran)
        del self._since[number]
        self._order.ended(job, now_s)

    def returned(self, number: int, now_s: int) -> None:
        """It did not start after all, and waits again where it did. KeyError: it was not started."""
        job = self._leave_machine(number)
        since_s = self._since.pop(number)
        self._tree.ended(job.leaf, self._rate(job), now_s)
        self._tree.corrected(job.leaf, self._rate(job), (since_s, now_s), (now_s, now_s))
        self._order.returned(job, now_s)
        self._wait(job)

    def past(self) -> list[int]:
        """Of each node of the tree: its use without that of what runs (Tree.past)."""
        tree = self._tree
        used = [tree.past(node) for node in range(len(tree.paths))]
        for number, job in self.running.items():
            before = self._rate(job) * tree.worth(self._since[number])
            for node in tree.paths[job.leaf]:
                used[node] += before
        return used

    # -- what starts ---------------------------------------------------------------------------------------------------

    def decide(self, now_s: int, most: int = FOREVER) -> list[Request]:
        """What starts now, in this order: the README says the rule once more. most: the others in the next decision."""
        self.going, self._most = [], most
        self._order.tick(now_s)
        changed, self._changed = sorted(self._changed), set()
        for machine in changed:
            if self._anything_fits(machine):
                self._pass(machine, now_s)
            if self._is_full():
                self._changed.add(machine)
        self._order.settled()
        return [going.job for going in self.going]

    def _is_full(self) -> bool:
        return len(self.going) >= self._most

    def _tiers(self, machine: int) -> list[Queue]:
        queues = self._queues[machine]
        return [queues[tier] for tier in sorted(queues) if queues[tier].shapes]

    def _anything_fits(self, machine: int) -> bool:
        """Beside what runs, reservations aside."""
        room = self._machines[machine].room
        return (
            room.has_seats or machine in self.always or any(queue.anything_fits(room) for queue in self._tiers(machine))
        )

    def _pass(self, machine: int, now_s: int) -> None:
        self._machines[machine].room.begin(now_s)
        self.reserved, self._passed = {}, set()
        self._ahead(machine, now_s)
        least, kept = self._order.least(), 0
        for queue in self._tiers(machine):
            kept = self._in_order(queue, least, machine, now_s, kept)
            if kept < 0:
                break
        if self._order.reservations:
            for queue in self._tiers(machine):
                self._behind(queue, least, machine, now_s)

    def _ahead(self, machine: int, now_s: int) -> None:
        """Those that the policy lets go before its order."""
        room, kept, refused = self._machines[machine].room, 0, Refusals()
        for job, keeps in self._order.ahead(machine, room):
            if self._is_full():
                return
            if keeps and kept == self._order.reservations_ahead:
                continue
            fits = keeps or room.horizon(job.shape) >= job.limit_s
            if not fits or not self._may(job, refused):
                continue
            if room.horizon(job.shape) >= job.limit_s:
                self._start(job, now_s, Way.AHEAD)
                refused.clear()  # what is kept for somebody may be less now
            elif keeps and room.seat(job):
                self._start(job, now_s, Way.AHEAD, is_seated=True)
                refused.clear()
            elif keeps:
                self._reserve(job)
                kept += 1

    def _in_order(self, queue: Queue, least: Least, machine: int, now_s: int, kept: int) -> int:
        """Down the order, one by one, until so many have a reservation as may: how many have; -1: no more may."""
        room = self._machines[machine].room
        turns = queue.turns(least)
        while (line := turns.first()) is not None and not self._is_full():
            place = self._next(line, queue.lines[line], machine)
            if place is None:
                turns.done()
                continue
            job = place[2]
            if room.horizon(job.shape) >= job.limit_s:
                self._start(job, now_s, Way.IN_ORDER)
                turns.started()
            elif room.seat(job):
                self._start(job, now_s, Way.IN_ORDER, is_seated=True)
                turns.started()
            else:
                if kept < self._order.reservations:
                    self._reserve(job)
                    kept += 1
                if kept == self._order.reservations:
                    return -1
        return kept

    def _may(self, job: Request, refused: Refusals | None = None) -> bool:
        """refused: what the gate refuses whatever its limit, since anything last started. It is not asked again."""
        line = self._order.line(job)
        if refused is not None and (line, job.shape) in refused:
            return False
        longest = self._gate.longest(line, job.machine, job.shape)
        if refused is not None and longest < 0:
            refused.add((line, job.shape))
        return longest >= job.limit_s and self._gate.allows(job)

    def _reserve(self, job: Request) -> None:
        self.reserved[job.number] = self._machines[job.machine].room.reserve(job)
        self._passed.add(job.number)

    def _next(self, number: int, line: Line, machine: int) -> Place | None:
        """The first of the line that may start, and has no reservation."""
        head = line.head
        if head[1] not in self._passed and self._may(head[2]):
            return head
        return self._first(line, lambda shape: self._gate.longest(number, machine, shape))

    def _first(self, line: Line, longest: Callable[[int], int]) -> Place | None:
        """The first that is not passed over and allowed, with a limit of at most `longest` of its shape."""
        while True:
            best: Place | None = None
            for shape in line.shapes:
                most = longest(shape)
                found = line.shelf(shape).first_within(most, self._passed) if most >= 0 else None
                if found is not None and (best is None or found < best):
                    best = found
            if best is None or self._gate.allows(best[2]):
                return best
            self._passed.add(best[1])

    def _behind(self, queue: Queue, least: Least, machine: int, now_s: int) -> None:
        """What fits without delaying a reservation, in the same order. Looks only at lines in which anything fits."""
        room = self._machines[machine].room
        turns, is_stale = queue.turns_of_fitting(room, least), False
        while queue.anything_fits(room) and not self._is_full() and (line := turns.first()) is not None:
            found = self._first_that_fits(line, queue.lines[line], machine)
            if found is not None:
                self._start(found[2], now_s, Way.BEHIND)
                turns.started()
                is_stale = True
            elif is_stale:
                turns, is_stale = queue.turns_of_fitting(room, least), False
            else:
                turns.done()

    def _first_that_fits(self, number: int, line: Line, machine: int) -> Place | None:
        room, gate = self._machines[machine].room, self._gate

        def longest(shape: int) -> int:
            horizon = room.horizon(shape)
            return horizon if horizon < 0 else min(horizon, gate.longest(number, machine, shape))

        return self._first(line, longest)

    def _start(self, job: Request, now_s: int, way: Way, *, is_seated: bool = False) -> None:
        self._leave_line(job.number)
        if not is_seated:
            self._machines[job.machine].room.take(job)
        self._run(job, now_s)
        self.going.append(Going(job, way, is_seated))

    def ranking(self, machine: int, now_s: int, most: int) -> list[int]:
        """Who would come next, at most so many, if each that comes took what it asks for. Changes nothing."""
        order, tree = self._order, self._tree
        ahead = takewhile(lambda each: each.keeps, order.ahead(machine, self._machines[machine].room))
        found = [job.number for job, _ in islice(ahead, most)]
        seen, supposed, least = set(found), list[Request](), order.least()
        for queue in self._tiers(machine):
            for job in queue.in_turn(least):
                if len(found) >= most:
                    break
                if job.number not in seen:
                    found.append(job.number)
                supposed.append(job)
                tree.supposed(job.leaf, self._rate(job), now_s)
                order.supposed(job.leaf)
        for job in supposed:
            tree.supposed(job.leaf, -self._rate(job), now_s)
            order.supposed(job.leaf)
        return found

    # -- both ----------------------------------------------------------------------------------------------------------

    def _queue(self, machine: int, tier: int) -> Queue:
        queues = self._queues[machine]
        if tier not in queues:
            queues[tier] = Queue(self._order)
        return queues[tier]

    def _wait(self, job: Request) -> None:
        place = (self._order.rank(job), job.number, job)
        self._queue(job.machine, job.tier).add(self._order.line(job), place)
        self.waiting.add(place)
        self._changed.add(job.machine)

    def _run(self, job: Request, since_s: int) -> None:
        self.running[job.number] = job
        self._since[job.number] = since_s
        self._tree.started(job.leaf, self._rate(job), since_s)
        self._order.started(job, since_s)
        self._gate.started(job)

    def _leave_line(self, number: int) -> Request:
        place = self.waiting.pop(number)
        job = place[2]
        self._queues[job.machine][job.tier].remove(self._order.line(job), place)
        return job

    def _leave_machine(self, number: int) -> Request:
        job = self.running.pop(number)
        self._machines[job.machine].room.give_back(job)
        self._gate.ended(job)
        self._changed.add(job.machine)
        return job

    def _rate(self, job: Request) -> int:
        return job.units * self._machines[job.machine].rate
