"""All that waits and runs, in memory: told what changed, asked what starts. Pure and deterministic.

What was decided is believed until the books say otherwise: a start of which they say nothing at the next decision did
not happen, and waits again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.book.ages import by_age, by_hand_over
from scheduler.core.book.aside import Aside, aside, never
from scheduler.core.book.charges import Charge, ran
from scheduler.core.book.compare import differences
from scheduler.core.book.elsewhere import Elsewhere
from scheduler.core.book.figures import Figures
from scheduler.core.book.leaves import Asker
from scheduler.core.book.queued import Columns, Queued
from scheduler.core.book.seconds import Clock
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.book.throttle import Throttle
from scheduler.core.book.turns import Turns
from scheduler.core.book.world import World, asker_of, askers_of
from scheduler.core.book.yielding import Yielding, chosen
from scheduler.core.decided import Way, settings_version, start_facts
from scheduler.core.engine import Ran
from scheduler.core.reasons import Why
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from scheduler.core.snapshot import Holding, Inside, Never, Plan, Policy, Pool, Preempt, Start, Wait, Waiting
from scheduler.core.walls import limit_inside

_EXPLAINED: Final = 500
"""Of so many jobs in the contest the reasons are looked at after a decision, positions included."""
POLICY: Final = "kyoyo"
"""In the records of decisions."""
_NOBODY: Final[Mapping[UUID, int]] = {}
_LONG: Final = 10_000
_AGAIN_S: Final = 10
"""So long a machine is left alone when nothing changes there: then time alone is a reason to look again."""


class Book:
    """pools: every backend that there is, as it last said of itself. An instant is never before the one of before."""

    def __init__(
        self,
        *,
        now: datetime,
        pools: Mapping[str, Pool],
        terms: Terms,
        calendar: Calendar,
        policy: Policy,
        waiting: Iterable[Waiting] = (),
        holding: Iterable[Holding] = (),
        columns: Columns | None = None,
    ) -> None:
        self._clock, self._policy, self._shapes = Clock.opened(now), policy, Shapes()
        self._version, self.is_void = settings_version(policy), False
        """Void: it cannot be right any more, and another is to be opened from what the database says."""
        self._pools, self._terms, self._calendar = dict(pools), terms, calendar
        self._ids: dict[int, UUID] = {}
        self._numbers: dict[UUID, int] = {}
        self._waiting = Queued(columns)
        self._holding: dict[int, Holding] = {}
        self._asides: dict[int, Aside] = {}
        self._nevers: dict[int, Never] = {}
        self._wakes: list[tuple[datetime, int]] = []
        self._insides: dict[int, Waiting] = {}
        self._yielding = Yielding()
        self._throttles: dict[UUID, Throttle] = {}
        self._unconfirmed: set[int] = set()
        self._fresh: set[int] = set()
        self._turns = Turns()
        self._opened_s, self._settled = self._clock.next_second(now), terms
        self._looked_at_s = self._ranked_at_s = self._contested = 0
        for each in sorted(holding, key=by_hand_over):
            self._holding[self._known(each.attempt_id, each.seq)] = each
        for one in sorted(waiting, key=by_age):
            self._waiting[self._known(one.attempt_id, one.seq)] = one
        self._open(now)

    # -- what is told --------------------------------------------------------------------------------------------------

    def waits(self, job: Waiting, now: datetime) -> None:
        """It waits in our queue, as it says: new, or other than it was."""
        number = self._known(job.attempt_id, job.seq)
        self._unconfirmed.discard(number)
        self._take_out(number, now)
        self._waiting[number] = job
        self._enter(number, job, now)

    def holds(self, held: Holding, now: datetime) -> Holding | None:
        """Its backend has it, or may. What was known of it, if it has started since."""
        number = self._known(held.attempt_id, held.seq)
        before = self._holding.get(number)
        self._unconfirmed.discard(number)
        self._holding[number] = held
        if number in self._waiting:
            self._leave_queue(number, has_started=True)
        self._hold(number, held, now)
        return before if before is not None and held.started and not before.started else None

    def gone(self, attempt_id: UUID, now: datetime, charge: Charge | None = None, *, seq: int = 0) -> Holding | None:
        """It neither waits nor runs any more. charge: None: it used nothing. What was known of it, if it ran."""
        number = seq or self._numbers.pop(attempt_id, 0)
        if not number:
            return None
        held = self._holding.get(number)
        self._unconfirmed.discard(number)
        self._take_out(number, now, charge)
        self._fresh.discard(number)
        self._ids.pop(number, None)
        return held

    def pool(self, pool: Pool, now: datetime) -> None:
        """What a backend says of itself now. A new one, or another size, is a new world."""
        known = self._pools.get(pool.name)
        if known == pool:
            return
        if known is not None and not pool.online:
            pool = replace(pool, total=known.total, free=known.free)  # its size is not nothing because it is silent
        self._pools[pool.name] = pool
        if known is None or known.total != pool.total:
            # what ran on a machine of which no size was known was counted for next to nothing
            self.is_void = self.is_void or (known is not None and known.total == Resources())
            self._renew(now)
        else:
            self._world.counted(pool, self._holding)

    def agreed(self, terms: Terms, now: datetime) -> None:
        """Other weights are a new world; all else changes at once. What was used is only asked of a new world."""
        before, self._terms = self._terms, terms
        if before.nu_per_hour != terms.nu_per_hour or self._world.weighs_otherwise(terms):
            self._renew(now)
        else:  # also where it is the same: a new month has begun with nothing used
            self._settled = terms
            self._world.settle(terms)

    def dated(self, calendar: Calendar) -> None:
        """Reservations and walls as they are now."""
        if calendar != self._calendar:
            self._calendar = calendar
            self._world.dated(calendar)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def decide(self, now: datetime, *, preempted: Mapping[UUID, int] = _NOBODY, explained: int = _EXPLAINED) -> Plan:
        """What starts now, in order; and of those that wait, the reasons that may be others than before.

        preempted: how many attempts of each organisation were asked to make room in the last hour.
        """
        now_s = self._clock.next_second(now)
        self._take_back(now_s)
        self._wake(now)
        if self._world.is_outgrown:
            self._open(now)
        world = self._world
        is_time = now_s - self._looked_at_s >= _AGAIN_S
        if is_time:
            self._looked_at_s = now_s
        for number in sorted(self._yielding.leaving & self._holding.keys()):
            self._hold(number, self._holding[number], now)  # it has left by then, or is expected at its walltime again
        world.watch(self._yielding.machines)
        world.begin(now, now_s, anew=is_time)
        self._contested = self.in_contest
        starts = self._start_inside(now, now_s)
        world.engine.decide(now_s, most=self._policy.max_starts - len(starts))
        for job, way, is_seated in world.engine.going:
            starts.append(self._started(job, way, is_seated=is_seated))
        preempts = tuple(self._make_room(now, Counter(preempted)))
        return Plan(
            starts=tuple(starts),
            waits=tuple(self._waits(now_s, explained)),
            nevers=tuple(self._nevers[number] for number in sorted(self._nevers, key=self._id_of)),
            preempts=preempts,
            more=len(starts) >= self._policy.max_starts,
        )

    def would(self, number: int) -> Mapping[str, object]:
        """What would start this one now, of those that wait (Wait.seq); as after the last decision."""
        job = self._waiting.get(number)
        return {} if job is None or number in self._unconfirmed else self._world.would(number, job)

    def elsewhere(self) -> Elsewhere:
        """Where what waits would start besides where it waits; as after the last decision."""
        return self._world.elsewhere(self._waiting, self._unconfirmed)

    def differs_from(self, waiting: Iterable[Waiting], holding: Iterable[Holding]) -> Sequence[str]:
        """What a reading of everything says otherwise, a line for each attempt; empty: nothing. A walk along all."""
        known = {job.attempt_id: job for job in self._waiting.jobs()}
        held = {each.attempt_id: each for each in self._holding.values()}
        return [*differences(known, waiting, "waits"), *differences(held, holding, "is held")]

    @property
    def waiting(self) -> int:
        """So many wait, for whatever."""
        return len(self._waiting)

    @property
    def in_contest(self) -> int:
        """So many wait for nothing but their turn and room."""
        return len(self._world.engine.waiting)

    def figures(self) -> Figures:
        """How the shares stand after the last decision."""
        waiting = self._waiting.classes()
        waiting.subtract(self._waiting[number].service_class for number in self._unconfirmed)  # they are about to start
        return self._world.figures(waiting)

    @property
    def has_spare_work(self) -> bool:
        """Whether something runs that may have to make room."""
        return bool(self._yielding.machines)

    # -- coming and going ----------------------------------------------------------------------------------------------

    def _known(self, attempt_id: UUID, seq: int) -> int:
        """Its number; in an invented world the order of telling."""
        number = seq or self._numbers.get(attempt_id)
        if number is None:
            number = self._numbers[attempt_id] = len(self._numbers) + 1
        self._ids[number] = attempt_id
        return number

    def _renew(self, now: datetime) -> None:
        """A new world; of a long queue that is left to whoever can open another book beside its other work."""
        if len(self._waiting) > _LONG:
            self.is_void = True
        else:
            self._open(now)

    def _open(self, now: datetime) -> None:
        """A new world: all that is known, told anew."""
        self._now = now
        before = getattr(self, "_world", None)
        self._world = World(
            clock=self._clock,
            now_s=self._clock.next_second(now),
            shapes=self._shapes,
            pools=self._pools,
            terms=self._terms,
            policy=self._policy,
            people=self._people(),
            used_at_s=self._opened_s,
            before=before,
        )
        if before is not None and self._terms is self._settled:
            self._world.spent(before.gate.spent)
        self._settled = self._terms
        self._world.dated(self._calendar)
        self._asides, self._nevers, self._insides, self._throttles, self._wakes = {}, {}, {}, {}, []
        self._unconfirmed = set()
        for number in sorted(self._holding):
            self._hold(number, self._holding[number], now)
        self._world.loaded(self._waiting)
        self._fresh = {number for number, _ in self._waiting.told()}
        for number, job in sorted(self._waiting.told(), key=lambda item: by_age(item[1])):
            self._enter(number, job, now)

    def _people(self) -> set[Asker]:
        told = {asker_of(job) for _, job in self._waiting.told()}
        return told | set(map(asker_of, self._holding.values())) | askers_of(self._waiting)

    def _enter(self, number: int, job: Waiting, now: datetime) -> None:
        self._now = now
        self._fresh.add(number)
        hopeless = never(job, now=now, grace_s=self._policy.reservation_grace_s)
        if hopeless is not None:
            self._nevers[number] = hopeless
            return
        apart = aside(job, now=now)
        if apart is None and job.backend not in self._pools:
            apart = Aside(Why.BACKEND_OFFLINE, {"backend": job.backend})
        if apart is not None:
            self._asides[number] = apart
            if apart.until is not None:
                heapq.heappush(self._wakes, (apart.until, number))
        elif job.inside is not None:
            self._insides[number] = job
        elif job.task is not None and job.task.max_running is not None:
            throttle = self._throttle(job.task.array_id, job.task.max_running)
            throttle.waits(number, job.task.index)
            self._let_in(throttle)
        else:
            self._arrive(number, job)

    def _throttle(self, array_id: UUID, most: int) -> Throttle:
        known = self._throttles.get(array_id)
        if known is None:
            known = self._throttles[array_id] = Throttle(most)
            known.running.update(number for number, held in self._holding.items() if held.array_id == array_id)
        return known

    def _arrive(self, number: int, job: Waiting) -> None:
        if not self._world.arrived(number, job):
            self._open(self._now)

    def _let_in(self, throttle: Throttle) -> None:
        for number in throttle.let_in():
            self._fresh.add(number)
            self._arrive(number, self._waiting[number])

    def _hold(self, number: int, held: Holding, now: datetime) -> None:
        self._yielding.held(number, held)
        if not self._world.held(number, held, self._clock.second(held.sent_at or now)):
            return self._open(now)
        if held.array_id is not None and held.array_id in self._throttles:
            self._throttles[held.array_id].runs(number)
        return None

    def _leave_queue(self, number: int, *, has_started: bool = False) -> None:
        """Of whatever kind of waiting; a start of ours that is confirmed has left it already."""
        job = self._waiting.pop(number)
        assert job is not None  # it waits
        self._asides.pop(number, None)
        self._nevers.pop(number, None)
        self._insides.pop(number, None)
        self._fresh.discard(number)
        self._world.left(number)
        if job.task is not None:
            self._leave_array(job.task.array_id, number, has_started=has_started)

    def _take_out(self, number: int, now: datetime, charge: Charge | None = None) -> None:
        now_s = self._clock.next_second(now)
        if number in self._waiting:
            self._leave_queue(number)
        held = self._holding.pop(number, None)
        self._yielding.gone(number, held)
        self._world.ended(number, now_s, self._ran(number, charge, now_s))
        if charge is not None and held is not None:
            self._world.used(held, charge.micro_nu)
        if held is not None and held.array_id is not None:
            self._leave_array(held.array_id, number)

    def _leave_array(self, array_id: UUID, number: int, *, has_started: bool = False) -> None:
        throttle = self._throttles.get(array_id)
        if throttle is None:
            return
        (throttle.runs if has_started else throttle.gone)(number)
        self._let_in(throttle)
        if not throttle and self._throttles.get(array_id) is throttle:
            del self._throttles[array_id]

    def _ran(self, number: int, charge: Charge | None, now_s: int) -> Ran:
        job = self._world.engine.running.get(number)
        return (now_s, now_s) if job is None else ran(charge, units=job.units, clock=self._clock, now_s=now_s)

    def _take_back(self, now_s: int) -> None:
        """Starts of which nobody has said anything since."""
        for number in sorted(self._unconfirmed):
            self._world.returned(number, now_s)
            self._fresh.add(number)
            job = self._waiting[number]
            if job.inside is not None:
                self._insides[number] = job
        self._unconfirmed.clear()

    def _wake(self, now: datetime) -> None:
        while self._wakes and self._wakes[0][0] <= now:
            _, number = heapq.heappop(self._wakes)
            apart = self._asides.get(number)
            if apart is not None and apart.until is not None and apart.until <= now:
                del self._asides[number]
                self._enter(number, self._waiting[number], now)
        for number, job in self._insides.items():
            hopeless = never(job, now=now, grace_s=self._policy.reservation_grace_s)
            if hopeless is not None:
                self._nevers[number] = hopeless
        for number in self._nevers:
            self._insides.pop(number, None)

    # -- what starts ---------------------------------------------------------------------------------------------------

    def _start_inside(self, now: datetime, now_s: int) -> list[Start]:
        """In reservations that are on, in the order of submission: they take nobody's turn."""
        starts: list[Start] = []
        for number, job in sorted(self._insides.items(), key=lambda item: by_age(item[1])):
            inside = job.inside
            assert inside is not None  # they are those that have one
            limit_s = self._limit_inside(job, inside, now)
            if len(starts) < self._policy.max_starts and self._world.starts_inside(number, job, inside, limit_s, now_s):
                del self._insides[number]
                self._unconfirmed.add(number)
                way, facts = Way.INSIDE.value, self._facts(job, Way.INSIDE)
                starts.append(
                    Start(attempt_id=job.attempt_id, backend=job.backend, limit_s=limit_s, way=way, facts=facts)
                )
        return starts

    def _limit_inside(self, job: Waiting, inside: Inside, now: datetime) -> int:
        grace_s = self._policy.reservation_grace_s
        return limit_inside(inside, walltime_s=job.walltime_s, now=now, grace_s=grace_s) or job.walltime_s

    def _started(self, job: Request, way: Way, *, is_seated: bool) -> Start:
        self._unconfirmed.add(job.number)
        return Start(
            attempt_id=self._id_of(job.number),
            backend=self._world.names[job.machine],
            ahead=is_seated,
            way=way.value,
            facts=self._facts(self._waiting[job.number], Way.SEAT if is_seated else way),
        )

    def _facts(self, job: Waiting, way: Way) -> Mapping[str, object]:
        """Of the record of its start."""
        organisation = job.organisation_id
        used_micro_nu = self._terms.used_micro_nu.get((organisation,), 0)
        return start_facts(
            job,
            way,
            standing=replace(self._world.gate.standing(organisation), used_micro_nu=used_micro_nu),
            free=self._world.free[job.backend],
            waiting=self._contested,
            policy=POLICY,
            settings=self._version,
        )

    # -- who makes room ------------------------------------------------------------------------------------------------

    def _make_room(self, now: datetime, recent: Counter[UUID]) -> Iterator[Preempt]:
        """For the first in line of each machine."""
        for name in sorted(self._yielding.machines & self._pools.keys()):
            number = self._world.halls[name].first
            first = None if number is None else self._waiting.get(number) or self._holding.get(number)
            if number is None or first is None:
                continue
            free, policy = self._world.halls[name].free_now, self._policy.preemption
            running, bookings = self._holding.values(), self._calendar.bookings
            asked, victims = chosen(first, free, running, bookings, policy=policy, recent=recent, now=now)
            if asked and self._gives_way(victims, number, name, now):
                recent.update(each.organisation_id for each in victims)
                yield from asked

    def _gives_way(self, victims: Sequence[Holding], number: int, name: str, now: datetime) -> bool:
        """Whether it starts when these have left; if something else is in its way too, they stay."""
        for each in victims:
            self.holds(replace(each, leaving=True, asked_to_leave_at=now), now)
        by_s = self._clock.next_second(now) + self._policy.preemption.leave_s + 1
        if self._world.could_start(number, name, by_s):
            return True
        for each in victims:
            self.holds(each, now)
        return False

    # -- why the others wait -------------------------------------------------------------------------------------------

    def _waits(self, now_s: int, explained: int) -> list[Wait]:
        """Of those that are new or other, and of all where they are few; else of some after the others, in turn.

        Places are told where all are few: in a long line others tell them (the forecast).
        """
        if self.in_contest <= explained:
            ranked = list(self._world.waits_in_line(now_s, explained))
        elif now_s - self._ranked_at_s >= _AGAIN_S:
            self._ranked_at_s = now_s
            ranked = list(self._world.reasons(self._turns.next(self._world.engine.waiting, explained)))
        else:
            ranked = []
        known = {wait[0] for wait in ranked}
        waits = [self._wait(*each) for each in ranked]
        for number in sorted(self._fresh)[:explained]:
            self._fresh.discard(number)
            if number not in known and number in self._waiting and number not in self._unconfirmed:
                found = self._reason(number)
                if found is not None:
                    waits.append(found)
        return waits

    def _reason(self, number: int) -> Wait | None:
        job = self._waiting[number]
        apart = self._asides.get(number)
        if apart is not None:
            return self._wait(number, apart.why, apart.facts)
        if number in self._nevers:
            return None
        if number not in self._insides and job.task is not None and job.task.array_id in self._throttles:
            throttle = self._throttles[job.task.array_id]
            if throttle.is_out(number):
                facts = {"running": len(throttle.running), "max": throttle.most}
                return self._wait(number, Why.ARRAY_THROTTLE, facts)
        inside = job.inside if number in self._insides else None
        found = self._world.reason(number, job, inside=inside)
        return None if found is None else self._wait(number, *found)

    def _wait(self, number: int, why: Why, facts: Mapping[str, object]) -> Wait:
        return Wait(attempt_id=self._id_of(number), why=why, facts=facts, seq=number)

    def _id_of(self, number: int) -> UUID:
        known = self._ids.get(number) or self._waiting.id_of(number)
        assert known is not None  # it waits, or has just started
        return known
