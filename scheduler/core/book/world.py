"""The engine with its machines, tree and limits as they are set: what must be made anew when those change. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.book.answers import Answers
from scheduler.core.book.elsewhere import Elsewhere
from scheduler.core.book.figures import Figures
from scheduler.core.book.footing import footing, footing_of, tier_of
from scheduler.core.book.gate import Gate
from scheduler.core.book.leaves import Asker, Leaves
from scheduler.core.book.lived import came, ended
from scheduler.core.book.loading import Tables
from scheduler.core.book.queued import Queued
from scheduler.core.book.queued import Shape as QueuedShape
from scheduler.core.book.seconds import Clock
from scheduler.core.book.telling import Reason, Telling
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.book.units import units_of
from scheduler.core.branches import Branch
from scheduler.core.engine import Machine, Ran
from scheduler.core.hall import Booking, Hall
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.snapshot import Holding, Inside, Policy, Pool, Waiting
from scheduler.core.supposing import Supposing

_NODE: Final = Resources(gpus=8, qpus=1)
"""What is no more than this is no gang, however small the machine."""
_SPARE: Final = 256
"""At least so many users, projects and organisations may come before the world is made anew."""
_MILLI: Final = 1000
_MICRO: Final = 1_000_000
_LN2_MILLI: Final = 693
_DAY_H: Final = 24


class World:
    """Nothing waits or runs in it yet. Numbers are those of the book; machines the backends, in the order of names.

    people: who is known to ask. used_at_s: when the past in the terms was read. before: the world before, which has a
    better memory of who used what and who owes.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        now_s: int,
        shapes: Shapes,
        pools: Mapping[str, Pool],
        terms: Terms,
        policy: Policy,
        people: Iterable[Asker],
        used_at_s: int,
        before: World | None = None,
    ) -> None:
        past = {} if before is None else before.past()
        leaves = Leaves(terms, people, half_life_s=policy.half_life_s, now_s=used_at_s, past=past)
        self._clock, self._shapes, self._leaves, self._terms = clock, shapes, leaves, terms
        self.names = sorted(pools)
        self._machine = {name: index for index, name in enumerate(self.names)}
        self._pools = dict(pools)
        self._leave_s, self._now_s = policy.preemption.leave_s, now_s
        self.halls: dict[str, Hall] = {}
        self._uncounted: dict[str, set[int]] = {name: set() for name in self.names}
        self._kept_inside: set[UUID] = set()
        """Reservations in which something keeps its earliest start, in this decision."""
        self.free: dict[str, Resources] = {}
        """What nobody held, of each machine, when time had come to decide."""
        self._inside: set[int] = set()
        """What runs in reservations."""
        self._grown_to, self.is_outgrown = len(leaves.tree.paths), False
        """So many branches the order knows; whether one more has come than it has room for."""
        rooms = self._built(policy)
        owed = _debts(terms, leaves.organisations()) if before is None else before.owed()
        self.order = _order(leaves, rooms, now_s, owed)
        self.gate = Gate(leaves, shapes, rooms, clock)
        self.engine = Supposing(self.order, leaves.tree, [Machine(room, 1) for room in rooms], self.gate)
        self._telling = Telling(
            pools=self._pools, halls=self.halls, leaves=leaves, shapes=shapes, gate=self.gate, clock=clock
        )
        self.gate.settle(terms)
        self._remember(before)

    # -- what is told --------------------------------------------------------------------------------------------------

    def counted(self, pool: Pool, holding: Mapping[int, Holding]) -> None:
        """What a backend of the same size says of itself now, and what of ours is in that."""
        self._pools[pool.name] = pool
        self._tell(pool)
        self.gate.drains(self._machine[pool.name])
        for number in sorted(self._uncounted[pool.name]):
            if number in holding:
                self._hold(number, holding[number])
        self.engine.changed(self._machine[pool.name])

    def weighs_otherwise(self, terms: Terms) -> bool:
        """Whether a branch that is known weighs other than it did: then all must be made anew."""
        return self._leaves.weigh_otherwise(terms)

    def settle(self, terms: Terms) -> None:
        self._terms = terms
        self._leaves.agreed(terms)
        self.gate.settle(terms)
        self._all_changed()

    def dated(self, calendar: Calendar) -> None:
        """Reservations and walls."""
        clock = self._clock
        self._telling.walls, self._telling.bookings = tuple(calendar.walls), tuple(calendar.bookings)
        for name, hall in self.halls.items():
            hall.walls(clock.second(wall.at) for wall in calendar.walls)
            hall.booked(
                Booking(each.reservation_id, each.needs, clock.next_second(each.since), clock.next_second(each.until))
                for each in calendar.bookings
                if each.backend == name
            )
        self._all_changed()

    def arrived(self, number: int, job: Waiting) -> bool:
        """It takes part in the contest. False: there is no room for one more branch."""
        if number in self.engine.waiting:
            return True
        request = self._request(number, job, job.walltime_s, self._clock.second(job.submitted_at))
        if request is None:
            return False
        if self.halls[job.backend].fits_ever(request.shape):
            self.engine.arrived(request)
        return True

    def loaded(self, queued: Queued) -> None:
        """Rows that say all of a job, at a fraction of the cost. What fits nowhere is an object from now on."""
        found = queued.rows()
        if found is None:
            return
        columns, _ = found
        odd = np.array([not self._may_load(shape) for shape in columns.shapes], dtype=bool)
        queued.tell(odd[columns.shape] | (columns.array >= 0))
        found = queued.rows()
        self.gate.micro_nu_of = queued.micro_nu
        if found is not None:
            tables = Tables(columns, self._leaves, self._shapes, self.halls, self._clock)
            for machine, name in enumerate(self.names):
                self.engine.loaded(tables.of(name, found[1]), machine)

    def _may_load(self, shape: QueuedShape) -> bool:
        hall = self.halls.get(shape.backend)
        return hall is not None and hall.fits_ever(
            self._shapes.of(shape.needs, footing=footing_of(shape.service_class))
        )

    def left(self, number: int) -> None:
        if number in self.engine.waiting:
            self.engine.withdrawn(number)

    def held(self, number: int, held: Holding, since_s: int) -> bool:
        """Its backend has it, or may. False: as `arrived`."""
        if held.backend not in self.halls:
            return True
        if number not in self.engine.running:
            submitted_s = self.came_s.get(number, since_s)
            request = self._request(number, held, self._clock.next_second(held.until) - since_s, submitted_s)
            if request is None:
                return False
            self.engine.ran_before(request, since_s)
        self._hold(number, held)
        if held.reservation_id is not None:
            self._inside.add(number)
        return True

    def ended(self, number: int, now_s: int, ran: Ran) -> None:
        self._inside.discard(number)
        job = self.engine.running.get(number)
        if job is not None:
            self._uncounted[self.names[job.machine]].discard(number)
            if self.gate.binds(job):
                self._all_changed()
            self.engine.ended(number, now_s, ran)
            self.gate.micro_nu.pop(number, None)

    def used(self, held: Holding, micro_nu: int) -> None:
        """It has ended, and used so much: of limits by the month. What a call used is its user's."""
        asker = asker_of(held)._replace(is_call=False)
        if held.backend in self.halls and self._leaf(asker) is not None:
            self.gate.used(asker, held.backend, micro_nu)

    def returned(self, number: int, now_s: int) -> None:
        """A start that did not happen."""
        if number in self._inside:
            self._inside.discard(number)
            self.engine.ended(number, now_s, (now_s, now_s))
        elif number in self.engine.running:
            self.engine.returned(number, now_s)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def begin(self, now: datetime, now_s: int, *, anew: bool) -> None:
        """Time has come to decide."""
        self.gate.at(now_s)
        self._telling.now = now
        self._now_s = now_s
        self._kept_inside = set()
        for hall in self.halls.values():
            hall.begin(now_s)
        self.free = {name: hall.free_now for name, hall in self.halls.items()}
        if anew:
            self._all_changed()

    def could_start(self, number: int, name: str, by_s: int) -> bool:
        """Whether the first in line of a machine would start by then, as things stand; it keeps that start."""
        hall = self.halls[name]
        hall.begin(self._now_s)
        if number not in self.engine.waiting:
            return True  # it waits in the backend's own queue, which starts what fits
        request = self.engine.waiting[number][2]
        return hall.reserve(request) <= by_s

    def watch(self, names: Iterable[str]) -> None:
        """Who is first in line there must be known though nothing fits: somebody might make room."""
        self.engine.always = {self._machine[name] for name in names if name in self._machine}

    def starts_inside(self, number: int, job: Waiting, inside: Inside, limit_s: int, now_s: int) -> bool:
        """Whether it starts in its reservation; else it keeps its earliest start there, if it is the first."""
        request = self._request(number, job, limit_s, now_s)
        if request is None or self._telling.barred(request, job.backend) is not None:
            return False
        room = self.halls[job.backend].inner(inside.reservation_id)
        if room.horizon(request.shape) < limit_s:
            if inside.reservation_id not in self._kept_inside and room.fits_ever(request.shape):
                room.reserve(request)
                self._kept_inside.add(inside.reservation_id)
            return False
        room.take(request)
        self._inside.add(number)
        self.engine.ran_before(request, now_s)
        return True

    def waits_in_line(self, now_s: int, most: int) -> Iterator[tuple[int, *Reason]]:
        """The first of each machine, with their reasons. position: its place in the line of its machine, 1 is next."""
        for index, name in enumerate(self.names):
            position, queue = 0, self._telling.queue_of(name)
            for number in self.engine.ranking(index, now_s, most):
                job = self.engine.waiting[number][2]
                barred = self._telling.barred(job, name)
                if barred is not None:
                    yield number, *barred
                    continue
                position += 1
                if position == 1:
                    self.halls[name].protect(job)
                why, facts = self._telling.crowded(job, name)
                yield number, why, {"position": position, **facts, **queue}

    def reasons(self, numbers: Iterable[int]) -> Iterator[tuple[int, *Reason]]:
        """Of these, as far as they are in the contest: without their positions."""
        for number in numbers:
            place = self.engine.waiting.get(number)
            if place is not None:
                name = self.names[place[2].machine]
                barred = self._telling.barred(place[2], name)
                yield number, *(self._telling.crowded(place[2], name) if barred is None else barred)

    def reason(self, number: int, job: Waiting, *, inside: Inside | None = None) -> Reason | None:
        """Of one alone: without its position."""
        request = self._request(number, job, job.walltime_s, self._clock.second(job.submitted_at))
        if request is None:
            return None
        barred = self._telling.barred(request, job.backend)
        if barred is not None:
            return barred
        return self._telling.crowded(request, job.backend, None if inside is None else inside.reservation_id)

    def would(self, number: int, job: Waiting) -> dict[str, object]:
        """What would start it now (Answers.would), after a decision: reservations are forgotten."""
        if job.backend not in self.halls or job.inside is not None or job.is_call:
            return {}
        request = self._request(number, job, job.walltime_s, self._now_s)
        if request is None:
            return {}
        answers = Answers(
            engine=self.engine,
            names=self.names,
            halls=self.halls,
            shapes=self._shapes,
            gate=self.gate,
            clock=self._clock,
        )
        return answers.would(request, self._now_s)

    def elsewhere(self, waiting: Queued, starting: Collection[int]) -> Elsewhere:
        """Where jobs would start besides where they wait, as things stand after a decision."""
        return Elsewhere(
            engine=self.engine,
            machines=self._machine,
            halls=self.halls,
            pools=self._pools,
            shapes=self._shapes,
            gate=self.gate,
            telling=self._telling,
            request=self._request,
            now_s=self._now_s,
            waiting=waiting,
            starting=starting,
        )

    def spent(self, known: Mapping[tuple[Asker, str], int]) -> None:
        """What was used of limits by the month since the terms were read, as the gate of the world before knows it."""
        for (asker, backend), micro_nu in known.items():
            if self._leaf(asker) is not None:
                self.gate.used(asker, backend, micro_nu)

    def past(self) -> dict[Branch, int]:
        """What each branch has used, without what runs: for the tree after this one."""
        used = self.engine.past()
        return self._leaves.past | {branch: used[node] for branch, node in self._leaves.branches().items()}

    def owed(self) -> dict[UUID, int]:
        """What each organisation has held beyond its entitlement lately, in micro-NU per hour."""
        known = self._leaves.organisations().items()
        return {organisation: self.order.debt(top) for organisation, top in known if self.order.knows(top)}

    def figures(self, waiting: Mapping[ServiceClass, int]) -> Figures:
        """waiting: how many of each class, which the book knows."""
        held, capacity, furthest = self.order.spread()
        return Figures(
            waiting=waiting,
            held_nu_per_h=held / _MICRO,
            capacity_nu_per_h=capacity / _MICRO,
            borrowed_nu_per_h=self.gate.borrowing.borrowed() / _MILLI,
            share_error=furthest / max(1, capacity),
        )

    # -- inside --------------------------------------------------------------------------------------------------------

    def _built(self, policy: Policy) -> list[Hall]:
        for name in self.names:
            pool = self._pools[name]
            units = units_of(pool.total, self._terms.nu_per_hour.get(name, 1.0))
            self.halls[name] = Hall(name, self._shapes, units_of=units, overdue_s=policy.overdue_s, devices=self.halls)
            self._tell(pool)
        return list(self.halls.values())

    def _remember(self, before: World | None) -> None:
        """How long the yardstick has waited, and who is due; and when what runs was submitted."""
        known = came(self._terms.lived, self._clock) if before is None else before.came_s
        self.came_s: Mapping[int, int] = known
        for machine, name in enumerate(self.names):
            if before is None:
                self.order.lived(machine, ended(self._terms.lived, name, self.halls[name].units_of, self._clock))
            elif name in before.halls:
                self.order.remembers(machine, before.order, before.names.index(name))

    def _tell(self, pool: Pool) -> None:
        hall, clock = self.halls[pool.name], self._clock
        hall.counted(pool.total, pool.free, online=pool.online, look_ahead=pool.look_ahead, draining=pool.draining)
        hall.windows((clock.second(each.since), clock.next_second(each.until)) for each in pool.windows)

    def _hold(self, number: int, held: Holding) -> None:
        asked_at = self._pools[held.backend].asked_at
        is_counted = held.accepted and (asked_at is None or held.sent_at is None or held.sent_at < asked_at)
        uncounted = self._uncounted[held.backend]
        (uncounted.discard if is_counted else uncounted.add)(number)
        until_s = self._clock.next_second(held.until)
        if held.asked_to_leave_at is not None:
            leaves_s = self._clock.next_second(held.asked_to_leave_at) + self._leave_s
            until_s = min(until_s, leaves_s) if leaves_s > self._now_s else until_s
        sent_s = None if held.sent_at is None else self._clock.second(held.sent_at)
        self.halls[held.backend].held(
            number,
            self._shapes.of(held.needs, held.calls, footing(held)),
            until_s,
            accepted=is_counted,
            started=held.started,
            sent_s=sent_s,
            reservation=held.reservation_id,
        )

    def _request(self, number: int, job: Waiting | Holding, limit_s: int, submitted_s: int) -> Request | None:
        """None: there is no room for one more branch."""
        leaf = self._leaf(asker_of(job))
        if leaf is None:
            return None
        if job.micro_nu or job.calls_micro_nu:
            self.gate.micro_nu[number] = job.micro_nu, job.calls_micro_nu
        return Request(
            number,
            leaf,
            max(1, self.halls[job.backend].units_of(job.needs)),
            max(0, limit_s),
            submitted_s,
            self._machine[job.backend],
            self._shapes.of(job.needs, job.calls, footing(job)),
            tier_of(footing(job)),
        )

    def _leaf(self, asker: Asker) -> int | None:
        """None: there is no room for one more branch, and all must be made anew."""
        tree, before = self._leaves.tree, self._grown_to
        node = self._leaves.of(asker)
        while self._grown_to < len(tree.paths):
            if not self.order.grown(self._grown_to):
                self.is_outgrown = True
                return None
            self._grown_to += 1
        if self._grown_to > before:
            self.gate.grown(self._terms)  # of the limits, those of the new branches
        return node

    def _all_changed(self) -> None:
        for machine in range(len(self.names)):
            self.engine.changed(machine)


def _order(leaves: Leaves, rooms: Sequence[Hall], now_s: int, owed: Mapping[UUID, int]) -> Kyoyo:
    """With room for more branches, and with what is remembered."""
    order = Kyoyo(
        leaves.tree,
        [(max(1, room.total), 1) for room in rooms],
        spare=max(_SPARE, len(leaves)),
        singles=[max(1, room.units_of(_NODE)) for room in rooms],
    )
    order.began(now_s)
    for organisation, top in leaves.organisations().items():
        order.owes(top, owed.get(organisation, 0))
    return order


def askers_of(queued: Queued) -> set[Asker]:
    """Of the rows that wait."""
    found = queued.rows()
    if found is None:
        return set()
    columns, rows = found
    hurried = np.array([each.service_class is ServiceClass.INTERACTIVE for each in columns.shapes], dtype=np.intp)
    different = np.unique(2 * columns.leaf[rows] + hurried[columns.shape[rows]]).tolist()
    return {Asker(columns.leaves[each // 2], is_hurried=bool(each % 2)) for each in different}


def asker_of(job: Waiting | Holding) -> Asker:
    return Asker(job.leaf, job.is_call, job.service_class is ServiceClass.INTERACTIVE and not job.is_call)


def _debts(terms: Terms, organisations: Iterable[UUID]) -> dict[UUID, int]:
    """What organisations owe where nothing is remembered, in micro-NU per hour: what they held on average in the last
    day beyond their weight's part of what all of these held.
    """
    held = {each: terms.lately_micro_nu.get(each, 0) * _LN2_MILLI // (_MILLI * _DAY_H) for each in organisations}
    weights = {each: terms.standings[each].weight if each in terms.standings else 1 for each in held}
    all_held, all_weights = sum(held.values()), sum(weights.values())
    return {each: held[each] - all_held * weights[each] // all_weights for each in held}
