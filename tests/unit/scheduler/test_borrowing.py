"""Nominal shares: how far an organisation goes beyond its own, and what it keeps free; and when it has that back."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.book.book import Book
from scheduler.core.book.borrowing import Borrowing, Nominal, Size
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Policy, Pool, Standing, Waiting

T0 = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
ORGANISATIONS = [UUID(int=each) for each in (1, 2, 3)]
A, B, C = ORGANISATIONS
PERCENT = st.none() | st.integers(0, 100)
NOMINAL = st.builds(
    Nominal,
    weight=st.integers(1, 5),
    max_borrow_percent=st.none() | st.sampled_from([0, 25, 50, 150]),
    max_lend_percent=PERCENT,
)
SET = st.dictionaries(st.sampled_from(ORGANISATIONS), NOMINAL, min_size=1)
# an organisation that wants so many GPUs, or (None) the end of what has run longest
ACTS = st.lists(st.none() | st.tuples(st.sampled_from(ORGANISATIONS), st.integers(1, 4)), max_size=60)


def share(nominal: Mapping[UUID, Nominal], organisation: UUID, gpus: int) -> Fraction:
    """Nominal, of a machine of so many GPUs."""
    weight = nominal[organisation].weight if organisation in nominal else 0
    return Fraction(weight * gpus, sum(each.weight for each in nominal.values()))


@dataclass
class Machine:
    """Of so many GPUs, with nothing but Borrowing before it."""

    gpus: int
    nominal: Mapping[UUID, Nominal]
    running: list[tuple[int, UUID, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.borrowing = Borrowing([Size(self.gpus * 1000, self.gpus)])
        self.borrowing.settle(self.nominal)
        self.held: Counter[UUID] = Counter()

    def starts(self, number: int, organisation: UUID, gpus: int) -> bool:
        if self.held.total() + gpus > self.gpus or not self.borrowing.allows(organisation, 0, gpus * 1000):
            return False
        self.borrowing.started(number, organisation, 0, gpus * 1000)
        self.running.append((number, organisation, gpus))
        self.held[organisation] += gpus
        return True

    def ends(self) -> None:
        if self.running:
            number, organisation, gpus = self.running.pop(0)
            self.borrowing.ended(number)
            self.held[organisation] -= gpus

    def kept(self) -> Fraction:
        """What stays free for those whose it is."""
        of = {each: share(self.nominal, each, self.gpus) for each in self.nominal}
        lends = {each: one.max_lend_percent for each, one in self.nominal.items()}
        own = {each: 0 if lends[each] is None else of[each] * (100 - lends[each]) / 100 for each in of}  # type: ignore[operator]
        return sum((max(Fraction(0), own[each] - self.held[each]) for each in of), start=Fraction(0))


@given(nominal=SET, acts=ACTS, gpus=st.integers(2, 24))
def test_nobody_goes_beyond_its_ceiling_or_borrows_what_others_keep(
    nominal: Mapping[UUID, Nominal], acts: Sequence[tuple[UUID, int] | None], gpus: int
) -> None:
    machine = Machine(gpus, nominal)
    for number, act in enumerate(acts):
        if act is None:
            machine.ends()
        elif machine.starts(number, *act):
            beyond = nominal[act[0]].max_borrow_percent if act[0] in nominal else None
            if beyond is not None:
                assert machine.held[act[0]] <= share(nominal, act[0], gpus) * (100 + beyond) / 100
            if machine.held[act[0]] > share(nominal, act[0], gpus):
                assert machine.held.total() + machine.kept() <= gpus


@given(weights=st.lists(st.integers(1, 5), min_size=3, max_size=3), acts=ACTS, gpus=st.integers(2, 24))
def test_where_nobody_lends_the_machine_is_divided_for_good(
    weights: Sequence[int], acts: Sequence[tuple[UUID, int] | None], gpus: int
) -> None:
    nominal = {
        each: Nominal(weight=weight, max_lend_percent=0) for each, weight in zip(ORGANISATIONS, weights, strict=True)
    }
    machine = Machine(gpus, nominal)
    for number, act in enumerate(acts):
        if act is None:
            machine.ends()
        else:
            fits = machine.held[act[0]] + act[1] <= share(nominal, act[0], gpus)
            assert machine.starts(number, *act) == fits


@given(acts=ACTS, gpus=st.integers(2, 24), weight=st.integers(1, 5), late=SET)
def test_what_is_counted_does_not_depend_on_when_limits_were_set(
    acts: Sequence[tuple[UUID, int] | None], gpus: int, weight: int, late: Mapping[UUID, Nominal]
) -> None:
    machine = Machine(gpus, {A: Nominal(weight=weight)})
    for number, act in enumerate(acts):
        machine.ends() if act is None else machine.starts(number, *act)
    anew = Borrowing([Size(gpus * 1000, gpus)])
    anew.settle(late)
    for number, organisation, size in machine.running:
        anew.started(number, organisation, 0, size * 1000)
    machine.borrowing.settle(late)
    for organisation in ORGANISATIONS:
        for size in range(1, 5):
            asked = organisation, 0, size * 1000
            assert machine.borrowing.refusal(*asked) == anew.refusal(*asked)
    assert machine.borrowing.borrowed() == anew.borrowed()


def test_a_refusal_tells_in_gpus_what_one_has_and_nothing_of_others() -> None:
    limited = {A: Nominal(weight=1, max_borrow_percent=50), B: Nominal(weight=2, max_lend_percent=0)}
    machine = Machine(9, limited)
    assert machine.starts(1, A, 3)
    assert machine.borrowing.refusal(A, 0, 2000) == (
        Why.BORROW_LIMIT,
        {"held": 3, "asked": 2, "nominal": 3, "max": 4.5},
    )
    assert machine.borrowing.refusal(A, 0, 1000) == (Why.KEPT_SHARE, {"held": 3, "asked": 1, "nominal": 3})
    assert machine.borrowing.refusal(C, 0, 1000) == (Why.KEPT_SHARE, {"held": 0, "asked": 1, "nominal": 0})
    assert machine.borrowing.refusal(B, 0, 6000) is None
    assert machine.borrowing.borrowed() == 0


def test_a_loan_on_nodes_that_drain_takes_nothing_from_what_others_keep() -> None:
    borrowing = Borrowing([Size(8_000, 8)])
    borrowing.settle({A: Nominal(weight=1, max_lend_percent=50), B: Nominal(weight=1)})
    borrowing.started(1, B, 0, 8_000)
    assert not borrowing.allows(B, 0, 2_000)
    borrowing.drains(0, 8_000)
    assert borrowing.allows(B, 0, 6_000)
    assert not borrowing.allows(B, 0, 7_000)


def test_a_machine_that_cannot_be_divided_is_shared_in_time_alone() -> None:
    borrowing = Borrowing([Size(36_000, 1), Size(8_000, 8)])
    borrowing.settle({each: Nominal(weight=1, max_borrow_percent=0, max_lend_percent=0) for each in (A, B)})
    assert borrowing.allows(A, 0, 36_000)
    borrowing.started(1, A, 0, 36_000)
    borrowing.started(2, A, 1, 4_000)
    assert not borrowing.allows(A, 1, 1_000)
    assert borrowing.borrowed() == 0


# -- with the whole book -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    at_s: int
    organisation: UUID
    gpus: int
    run_s: int
    service_class: ServiceClass = ServiceClass.STANDARD


JOBS = st.lists(
    st.builds(
        Job,
        at_s=st.sampled_from([0, 30, 200, 600]),
        organisation=st.sampled_from(ORGANISATIONS),
        gpus=st.integers(1, 3),
        run_s=st.integers(60, 900),
        service_class=st.sampled_from([ServiceClass.STANDARD, ServiceClass.SPOT]),
    ),
    max_size=25,
)


class Run:
    """Jobs that run exactly their limits, on one machine of so many GPUs, through the book. starts: (at_s, job)."""

    def __init__(
        self, gpus: int, jobs: Iterable[Job], nominal: Mapping[UUID, Nominal] | None = None, until_s: int = 10**6
    ) -> None:
        self.jobs = list(jobs)
        self.starts: list[tuple[int, int]] = []
        self.why: dict[int, Why] = {}
        weights = {each: one.weight for each, one in (nominal or {}).items()}
        self._gpus, self._until_s = gpus, until_s
        self._held: dict[int, Holding] = {}
        standings = {each: Standing(organisation_id=each, weight=weights.get(each, 1)) for each in ORGANISATIONS}
        self.book = Book(
            now=T0,
            pools={"m": self._pool()},
            terms=Terms(standings=standings, nominal=nominal or {}),
            calendar=Calendar(),
            policy=Policy(),
        )
        self._go()

    def held_at(self, at_s: int, organisation: UUID) -> int:
        """GPUs, when all that starts then has started."""
        return sum(
            self.jobs[number].gpus
            for since_s, number in self.starts
            if self.jobs[number].organisation == organisation and since_s <= at_s < since_s + self.jobs[number].run_s
        )

    def _go(self) -> None:
        events = [(job.at_s, 1, number) for number, job in enumerate(self.jobs)]
        heapq.heapify(events)
        while events and events[0][0] < self._until_s:
            at_s = events[0][0]
            while events and events[0][0] == at_s:
                _, is_arrival, number = heapq.heappop(events)
                if is_arrival:
                    self.book.waits(self.waiting(number), T0 + timedelta(seconds=at_s))
                else:
                    del self._held[number]
                    self.book.gone(self._id(number), T0 + timedelta(seconds=at_s), seq=number + 1)
            for number in self._decided(at_s):
                heapq.heappush(events, (at_s + self.jobs[number].run_s, 0, number))

    def _decided(self, at_s: int) -> list[int]:
        now = T0 + timedelta(seconds=at_s)
        self.book.pool(self._pool(), now)
        plan = self.book.decide(now)
        self.why |= {wait.attempt_id.int - 1000: wait.why for wait in plan.waits}
        numbers = [start.attempt_id.int - 1000 for start in plan.starts]
        for number in numbers:
            self._held[number] = self._holding(number, now)
            self.book.holds(self._held[number], now)
            self.starts.append((at_s, number))
        return numbers

    def tell_they_run(self, now: datetime) -> None:
        """All that was handed over is seen running since it was sent."""
        for each in self._held.values():
            self.book.holds(replace(each, started_at=each.sent_at), now)

    def _pool(self) -> Pool:
        """As the machine says of itself."""
        free = self._gpus - sum(each.needs.gpus for each in self._held.values())
        return Pool(name="m", total=Resources(gpus=self._gpus), free=Resources(gpus=free))

    def _id(self, number: int) -> UUID:
        return UUID(int=1000 + number)

    def waiting(self, number: int) -> Waiting:
        job = self.jobs[number]
        return Waiting(
            attempt_id=self._id(number),
            organisation_id=job.organisation,
            backend="m",
            needs=Resources(gpus=job.gpus),
            walltime_s=job.run_s,
            micro_nu=0,
            submitted_at=T0 + timedelta(seconds=job.at_s),
            service_class=job.service_class,
            seq=number + 1,
        )

    def _holding(self, number: int, now: datetime) -> Holding:
        job = self.jobs[number]
        return Holding(
            attempt_id=self._id(number),
            organisation_id=job.organisation,
            backend="m",
            needs=Resources(gpus=job.gpus),
            until=now + timedelta(seconds=job.run_s),
            sent_at=now,
            seq=number + 1,
            service_class=job.service_class,
        )


@given(jobs=JOBS, weights=st.lists(st.integers(1, 4), min_size=3, max_size=3))
@settings(max_examples=40)
def test_without_limits_every_decision_is_as_before(jobs: list[Job], weights: list[int]) -> None:
    nominal = dict(zip(ORGANISATIONS, (Nominal(weight=each) for each in weights), strict=True))
    free = {
        each: Nominal(weight=one.weight, max_borrow_percent=10_000, max_lend_percent=100)
        for each, one in nominal.items()
    }
    assert Run(6, jobs, nominal).starts == Run(6, jobs, free).starts


@given(jobs=JOBS, nominal=SET)
@settings(max_examples=40)
def test_the_book_starts_nothing_beyond_a_ceiling_and_tells_why(jobs: list[Job], nominal: dict[UUID, Nominal]) -> None:
    gpus = 6
    run = Run(gpus, jobs, nominal)
    for at_s, number in run.starts:
        organisation = run.jobs[number].organisation
        beyond = nominal[organisation].max_borrow_percent if organisation in nominal else None
        if beyond is not None:
            assert run.held_at(at_s, organisation) <= share(nominal, organisation, gpus) * (100 + beyond) / 100
    never = set(range(len(jobs))) - {number for _, number in run.starts}
    assert {run.why[number] for number in never} <= {Why.BORROW_LIMIT, Why.KEPT_SHARE}


@given(
    run_s=st.lists(st.integers(60, 900), min_size=30, max_size=30),
    asks_at_s=st.integers(1, 300),
    weight=st.integers(1, 3),
    lends=st.sampled_from([None, 100, 50]),
)
@settings(max_examples=30)
def test_what_is_lent_comes_back_within_the_longest_limit(
    run_s: list[int], asks_at_s: int, weight: int, lends: int | None
) -> None:
    """A has more work than the machine can hold when B, whose share was idle, asks for all of it."""
    nominal = {A: Nominal(weight=1), B: Nominal(weight=weight, max_lend_percent=lends)}
    gpus, of_b = 8, int(share(nominal, B, 8))
    lent = [Job(at_s=0, organisation=A, gpus=1, run_s=each) for each in run_s]
    asked = [Job(at_s=asks_at_s, organisation=B, gpus=1, run_s=2000) for _ in range(of_b)]
    run = Run(gpus, [*lent, *asked], nominal)
    assert run.held_at(asks_at_s + max(run_s), B) == of_b


@given(run_s=st.lists(st.integers(60, 900), min_size=30, max_size=30), asks_at_s=st.integers(1, 300))
@settings(max_examples=20)
def test_what_a_third_keeps_helps_a_lender_and_comes_back_too(run_s: list[int], asks_at_s: int) -> None:
    """B's share is lent to A, and C keeps its own: B asks for all of its own at once, then C."""
    nominal = {A: Nominal(weight=1), B: Nominal(weight=1), C: Nominal(weight=1, max_lend_percent=0)}
    lent = [Job(at_s=0, organisation=A, gpus=1, run_s=each) for each in run_s]
    gang = Job(at_s=asks_at_s, organisation=B, gpus=3, run_s=2000)
    late = Job(at_s=asks_at_s + 10, organisation=C, gpus=3, run_s=2000)
    run = Run(9, [*lent, gang, late], nominal)
    assert (run.held_at(0, A), run.held_at(asks_at_s, B)) == (6, 3)
    assert run.held_at(asks_at_s + 10 + max(run_s), C) == 3


@pytest.mark.parametrize("lends", [None, 100, 50, 0])
def test_borrowed_share_that_is_held_by_spot_work_is_reclaimed_at_once(lends: int | None) -> None:
    """As far as it was lent at all, for standard work within the nominal share: no end need be waited for."""
    nominal = {A: Nominal(weight=1), B: Nominal(weight=1, max_lend_percent=lends)}
    lent = [Job(at_s=0, organisation=A, gpus=1, run_s=9000, service_class=ServiceClass.SPOT) for _ in range(9)]
    run = Run(8, [*lent, Job(at_s=3600, organisation=B, gpus=4, run_s=600)], nominal, until_s=1)
    later = T0 + timedelta(hours=1)
    held = run.held_at(0, A)
    run.tell_they_run(later)
    run.book.waits(run.waiting(9), later)
    plan = run.book.decide(later)
    assert held == {None: 8, 100: 8, 50: 6, 0: 4}[lends]
    assert len(plan.preempts) == held - 4
    assert len(plan.starts) == (held == 4)


def test_the_figures_tell_how_the_shares_stand() -> None:
    """A holds 6 of 8 GPUs, 2 beyond its nominal share, and is entitled to 3 or 4 while C asks for all of them."""
    nominal = {A: Nominal(weight=1, max_borrow_percent=50), B: Nominal(weight=1)}
    spot = ServiceClass.SPOT
    run = Run(8, [Job(0, A, 1, 600) for _ in range(7)] + [Job(0, C, 8, 600, spot)], nominal, until_s=1)
    told = run.book.figures()
    assert dict(told.waiting) == {ServiceClass.STANDARD: 1, spot: 1}
    assert (told.held_nu_per_h, told.capacity_nu_per_h, told.borrowed_nu_per_h) == (6, 8, 2)
    assert told.share_error == pytest.approx(0.5)
