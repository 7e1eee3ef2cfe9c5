"""An invented site for the book alone: people, machines that fail and lie, and what the database would say of it all.

Time goes on only by `wait`. The site knows nothing of the book's inside: whether a plan is right, it tells from its
own facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID

from pricing.model import ServiceClass
from scheduler.core.book.book import Book
from scheduler.core.book.charges import Charge
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.branches import Branch, branches_of
from scheduler.core.resources import total
from scheduler.core.snapshot import (
    Booking,
    Holding,
    Inside,
    Limits,
    Place,
    Plan,
    Policy,
    Pool,
    Standing,
    Start,
    Task,
    Waiting,
)
from tests.support.site_checks import Checks, Machine, gpus, organisation

T0 = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
MICRO = 1_000_000


class Hand(Enum):
    """What becomes of a start that was decided."""

    OVER = "it runs"
    SLOW = "sent, and the backend has not confirmed it"
    LOST = "nobody hears of it again"
    REFUSED = "it was on its way, waits again, and not before half a minute is over"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody asks for. run_s: how long it really runs; beyond limit_s it is ended."""

    organisation: int = 1
    person: int = 1
    backend: str = "m"
    gpus: int = 1
    limit_s: int = 600
    run_s: int = 600
    service_class: ServiceClass = ServiceClass.STANDARD
    array: int | None = None
    max_running: int | None = None
    inside: int | None = None
    """Of which booking it is."""
    begin_in_s: int = 0
    calls: str | None = None


def person(number: int) -> UUID:
    return UUID(int=2_000 + number)


@dataclass
class Site(Checks):
    """charged: whether what ends is charged for; else nobody's use is remembered."""

    machines: dict[str, Machine]
    organisations: Sequence[int] = (1, 2)
    weights: dict[int, int] = field(default_factory=dict)
    max_running: int = 100
    limits: dict[Place, Limits] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    charged: bool = True
    opening: Callable[..., Book] = Book
    explained: int = 500
    now: datetime = T0

    def __post_init__(self) -> None:
        self.waiting: dict[UUID, Waiting] = {}
        self.holding: dict[UUID, Holding] = {}
        self.ends: dict[UUID, datetime] = {}
        self.wishes: dict[UUID, Wish] = {}
        self.bookings: dict[int, Booking] = {}
        self.spent: Counter[Place] = Counter()
        self.done: list[UUID] = []
        self.again: list[UUID] = []
        self.given_up: list[UUID] = []
        self.reasons: dict[UUID, str] = {}
        self.asked: list[tuple[datetime, UUID]] = []
        self.book = self.fresh()

    # -- as the database would say it ----------------------------------------------------------------------------------

    def terms(self) -> Terms:
        standings = {
            organisation(each): Standing(
                organisation_id=organisation(each), weight=self.weights.get(each, 1), max_running_jobs=self.max_running
            )
            for each in self.organisations
        }
        monthly = [place for place, limits in self.limits.items() if limits.max_month_micro_nu is not None]
        return Terms(
            standings=standings,
            limits=dict(self.limits),
            month_micro_nu={place: self.spent[place] for place in monthly},
        )

    def calendar(self) -> Calendar:
        return Calendar(bookings=tuple(each for each in self.bookings.values() if each.until > self.now))

    def pool(self, name: str) -> Pool:
        machine = self.machines[name]
        held = total(each.needs for each in self.holding.values() if each.backend == name and each.accepted)
        free = max(0, machine.gpus - held.gpus - machine.foreign) + machine.lie
        return Pool(
            name=name,
            total=gpus(machine.gpus),
            free=gpus(free),
            online=machine.online,
            look_ahead=machine.look_ahead,
        )

    def fresh(self) -> Book:
        """As a new leader opens it."""
        return self.opening(
            now=self.now,
            pools={name: self.pool(name) for name in self.machines},
            terms=self.terms(),
            calendar=self.calendar(),
            policy=self.policy,
            waiting=list(self.waiting.values()),
            holding=list(self.holding.values()),
        )

    def restart(self) -> None:
        self.reasons.clear()
        self.book = self.fresh()

    # -- what happens --------------------------------------------------------------------------------------------------

    def submit(self, wish: Wish) -> UUID:
        number = len(self.wishes) + 1
        attempt_id = UUID(int=number)
        job = self._asked(number, wish)
        self.wishes[attempt_id], self.waiting[attempt_id] = wish, job
        self.book.waits(job, self.now)
        return attempt_id

    def wait(self, seconds: float) -> None:
        """What is over by then ends, each at its time."""
        until = self.now + timedelta(seconds=seconds)
        for attempt_id, at in sorted(self.ends.items(), key=lambda item: (item[1], item[0])):
            if at <= until:
                self.now = max(self.now, at)
                self.end(attempt_id)
        self.now = until

    def end(self, attempt_id: UUID) -> None:
        """It runs no more; if it waits, it is withdrawn."""
        held = self.holding.pop(attempt_id, None)
        self.waiting.pop(attempt_id, None)
        self.ends.pop(attempt_id, None)
        self.reasons.pop(attempt_id, None)
        self.done.append(attempt_id)
        if held is not None and held.asked_to_leave_at is not None:
            self._comes_again(attempt_id, held)
        charge = None if held is None else self._charge(held)
        self.book.gone(attempt_id, self.now, charge, seq=attempt_id.int)

    def put_off(self, attempt_id: UUID, seconds: float) -> None:
        """It ends so much later than it would."""
        self.ends[attempt_id] += timedelta(seconds=seconds)

    def _comes_again(self, attempt_id: UUID, held: Holding) -> None:
        """It made room: another attempt of the same work, which is charged anew."""
        self.again.append(self.done.pop())
        again = self.submit(replace(self.wishes[attempt_id], begin_in_s=0))
        self.waiting[again] = replace(self.waiting[again], submitted_at=held.sent_at or self.now)
        self.book.waits(self.waiting[again], self.now)

    def book_time(self, *, backend: str, size: int, in_s: int, for_s: int, of: int = 1) -> int:
        """Of an organisation; as the calendar does, only what is there and nobody else has booked. 0: not so."""
        since = self.now.replace(microsecond=0) + timedelta(seconds=in_s)
        until = since + timedelta(seconds=for_s)
        others = [each for each in self.bookings.values() if each.backend == backend and each.until > self.now]
        held = [each for each in self.holding.values() if each.backend == backend and each.until > since]
        if others or total(each.needs for each in held).gpus + size > self.machines[backend].gpus:
            return 0
        number = len(self.bookings) + 1
        self.bookings[number] = Booking(
            reservation_id=UUID(int=5_000 + number), backend=backend, needs=gpus(size), since=since, until=until
        )
        self.book.dated(self.calendar())
        return number

    def cancel_booking(self, number: int) -> None:
        """Nothing runs in it: as the service demands."""
        booking = self.bookings[number]
        if any(each.reservation_id == booking.reservation_id for each in self.holding.values()):
            return
        self.bookings[number] = replace(booking, until=self.now)
        self.book.dated(self.calendar())
        for attempt_id, job in list(self.waiting.items()):
            if job.inside is not None and job.inside.reservation_id == booking.reservation_id:
                self.waiting[attempt_id] = replace(job, inside=replace(job.inside, is_cancelled=True))
                self.book.waits(self.waiting[attempt_id], self.now)

    def agree(self) -> None:
        """Weights or limits are others."""
        self.book.agreed(self.terms(), self.now)

    # -- what is asked -------------------------------------------------------------------------------------------------

    def decide(self, hand: Callable[[Start], Hand] = lambda _: Hand.OVER) -> Plan:
        """As the dispatcher: the backends are asked, the book decides, and what starts is handed over."""
        for name in self.machines:
            self.book.pool(self.pool(name), self.now)
        self.book.dated(self.calendar())
        hour = self.now - timedelta(hours=1)
        recent = Counter(of for at, of in self.asked if at > hour)
        plan = self.book.decide(self.now, preempted=recent, explained=self.explained)
        self.check(plan)
        self._carry_out(plan, hand)
        return plan

    def _carry_out(self, plan: Plan, hand: Callable[[Start], Hand]) -> None:
        for wait in plan.waits:
            self.reasons[wait.attempt_id] = wait.why.value
        for never in plan.nevers:
            self.given_up.append(never.attempt_id)
            self.end(never.attempt_id)
        for start in plan.starts:
            self._hand_over(start, hand(start))
        for asked in plan.preempts:
            held = self.holding[asked.attempt_id]
            leaving = replace(held, leaving=True, asked_to_leave_at=self.now)
            self.holding[asked.attempt_id] = leaving
            self.asked.append((self.now, held.organisation_id))
            self.ends[asked.attempt_id] = min(self.ends[asked.attempt_id], self.now + timedelta(seconds=30))
            self.book.holds(leaving, self.now)

    def confirm(self, attempt_id: UUID, *, times: int = 1) -> None:
        """A backend's late word, once or more often."""
        self.holding[attempt_id] = replace(self.holding[attempt_id], accepted=True, started=True, started_at=self.now)
        for _ in range(times):
            self.book.holds(self.holding[attempt_id], self.now)

    def _hand_over(self, start: Start, hand: Hand) -> None:
        job, wish = self.waiting[start.attempt_id], self.wishes[start.attempt_id]
        if hand is Hand.LOST:
            return
        if hand is Hand.REFUSED:
            self.book.holds(self._held(job, job.walltime_s, is_confirmed=False), self.now)
            refused = replace(job, not_before=self.now + timedelta(seconds=30))
            self.waiting[start.attempt_id] = refused
            self.book.waits(refused, self.now)
            return
        limit_s = job.walltime_s if start.limit_s is None else start.limit_s
        held = self._held(job, limit_s, is_confirmed=hand is Hand.OVER)
        del self.waiting[start.attempt_id]
        self.reasons.pop(start.attempt_id, None)
        self.holding[start.attempt_id] = held
        self.ends[start.attempt_id] = self.now + timedelta(seconds=min(wish.run_s, limit_s))
        self.book.holds(held, self.now)

    def _held(self, job: Waiting, limit_s: int, *, is_confirmed: bool) -> Holding:
        return Holding(
            attempt_id=job.attempt_id,
            organisation_id=job.organisation_id,
            backend=job.backend,
            needs=job.needs,
            until=self.now + timedelta(seconds=limit_s),
            accepted=is_confirmed,
            started=is_confirmed,
            sent_at=self.now,
            array_id=None if job.task is None else job.task.array_id,
            reservation_id=None if job.inside is None else job.inside.reservation_id,
            project_id=job.project_id,
            person_id=job.person_id,
            micro_nu=job.micro_nu,
            calls=job.calls,
            seq=job.seq,
            service_class=job.service_class,
            started_at=self.now if is_confirmed else None,
        )

    def _asked(self, number: int, wish: Wish) -> Waiting:
        inside = None if wish.inside is None else self.bookings[wish.inside]
        task = None
        if wish.array is not None:
            task = Task(UUID(int=4_000 + wish.array), number, wish.max_running)
        return Waiting(
            attempt_id=UUID(int=number),
            organisation_id=organisation(wish.organisation),
            project_id=UUID(int=3_000 + wish.organisation),
            person_id=person(wish.person),
            backend=wish.backend,
            needs=gpus(wish.gpus),
            walltime_s=wish.limit_s,
            micro_nu=wish.gpus * wish.limit_s * MICRO // 3600,
            submitted_at=self.now,
            service_class=wish.service_class,
            begin_at=self.now + timedelta(seconds=wish.begin_in_s) if wish.begin_in_s else None,
            task=task,
            inside=None if inside is None else _inside(inside, wish.inside or 0),
            calls=wish.calls,
            seq=number,
        )

    def _charge(self, held: Holding) -> Charge | None:
        sent_at = held.sent_at or self.now
        used = held.needs.gpus * int((self.now - sent_at).total_seconds()) * MICRO // 3600
        if not self.charged:
            return None
        for branch in branches_of(held.leaf):
            self.spent[branch, None] += used
            self.spent[branch, held.backend] += used
        return Charge(used, self.now)

    # -- in the end ----------------------------------------------------------------------------------------------------

    def drain(self, *, rounds: int, step_s: float = 60) -> int:
        """No more faults, nothing new: how many rounds until nothing is left."""
        for done in range(rounds):
            if not self.waiting and not self.holding:
                return done
            self.decide()
            self.wait(step_s)
        raise AssertionError([self.waiting.values(), self.holding.values(), self.reasons])


def told_alike(one: Plan, other: Plan) -> bool:
    """The same starts in the same order, the same ends, and one reason where both tell one."""
    said = {wait.attempt_id: wait.why for wait in one.waits}
    same = all(said.get(wait.attempt_id, wait.why) is wait.why for wait in other.waits)
    ends = [tuple(each.attempt_id for each in plan.nevers) for plan in (one, other)]
    return same and list(one.starts) == list(other.starts) and ends[0] == ends[1]


def _inside(booking: Booking, number: int) -> Inside:
    return Inside(
        reservation_id=booking.reservation_id,
        name=f"R{number}",
        since=booking.since,
        until=booking.until,
        is_cancelled=False,
    )


def branch_of(number: int, who: int | None = None) -> Branch:
    """An organisation, or one person in its project."""
    top = organisation(number)
    return (top,) if who is None else (top, UUID(int=3_000 + number), person(who))
