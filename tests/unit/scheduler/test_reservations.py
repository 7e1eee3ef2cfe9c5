"""Advance reservations and other walls in the plan: nobody runs into one, and what is reserved is for its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core.cycle import plan
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Booking, Holding, Inside, Policy, Pool, Snapshot, Standing, Wait, Waiting, Wall
from scheduler.core.walls import fiscal_year_end
from tests.unit.scheduler.test_cycle import NOW, ORGANISATIONS, World

HOUR = timedelta(hours=1)


class Reserved(World):
    """A world with reservations; `booking` numbers them 1, 2, …"""

    def __init__(self) -> None:
        super().__init__()
        self.bookings: list[Booking] = []
        self.walls: list[Wall] = []

    def booking(self, since_h: float, until_h: float, *, gpus: int = 8) -> Reserved:
        name = UUID(int=9000 + len(self.bookings) + 1)
        since, until = NOW + since_h * HOUR, NOW + until_h * HOUR
        self.bookings.append(
            Booking(reservation_id=name, backend="h200", needs=Resources(gpus=gpus), since=since, until=until)
        )
        return self

    def inside(self, number: int = 1, **known: object) -> Inside:
        booking = self.bookings[number - 1]
        usual = Inside(
            reservation_id=booking.reservation_id, name=f"R{number}", since=booking.since, until=booking.until
        )
        return replace(usual, **known)  # type: ignore[arg-type]  any subset of the fields

    def snapshot(self) -> Snapshot:
        return replace(super().snapshot(), bookings=self.bookings, walls=self.walls)


def reserved(gpus: int = 8) -> Reserved:
    world = Reserved()
    world.pool(gpus=gpus)
    return world


# -- for everybody else ------------------------------------------------------------------------------------------------


def test_what_could_still_run_when_a_reservation_begins_waits_and_says_so() -> None:
    world = reserved().booking(2, 4)
    world.jobs("a", hours=3).jobs("a", hours=2)
    assert world.started() == [2]
    wait = world.wait_of(1)
    assert wait.why is Why.WALL
    assert (wait.facts["kind"], wait.facts["at"]) == ("reservation", (NOW + 2 * HOUR).isoformat())
    assert wait.facts["earliest"] == (NOW + 4 * HOUR).isoformat()


def test_units_beside_a_reservation_stay_everybodys() -> None:
    world = reserved().booking(2, 4, gpus=6)
    world.jobs("a", 3, hours=10)
    assert world.started() == [1, 2]


def test_what_is_reserved_now_is_not_there_for_others_though_nobody_uses_it() -> None:
    world = reserved().booking(-1, 4, gpus=6)
    world.jobs("a", 3)
    assert world.started() == [1, 2]
    assert world.wait_of(3).facts["free"] == {"gpus": 0}


def test_a_reservation_that_is_over_holds_nothing() -> None:
    world = reserved().booking(-3, 0)
    assert world.jobs("a", 8, hours=10).started() == list(range(1, 9))


def test_of_the_first_that_must_wait_for_a_reservation_the_start_is_kept() -> None:
    world = reserved().booking(1, 2).runs("a", gpus=4, hours=0.5)
    world.jobs("b", gpus=8, hours=1)  # only after the reservation
    world.jobs("a", gpus=4, hours=0.75).jobs("a", gpus=4, hours=3)
    assert world.started() == [2]
    assert world.wait_of(1).facts["earliest"] == (NOW + 2 * HOUR).isoformat()


def test_no_job_is_sent_ahead_that_could_meet_a_reservation_from_the_backends_own_queue() -> None:
    world = reserved().booking(5, 6).runs("a", gpus=8, hours=2)
    world.pools["h200"] = replace(world.pools["h200"], look_ahead=2, free=Resources())
    world.jobs("b", gpus=8, hours=2).jobs("b", gpus=8, hours=2)
    starts = world.plan().starts
    assert [(each.attempt_id.int - 1000, each.ahead) for each in starts] == [(1, True)]


# -- for its own jobs --------------------------------------------------------------------------------------------------


def test_its_own_jobs_wait_for_it_and_start_when_it_begins() -> None:
    early, begun = reserved().booking(1, 5), reserved().booking(0, 4)
    for world in (early, begun):
        world.jobs("a", inside=world.inside(), hours=4)
    assert early.started() == []
    assert early.wait_of(1).why is Why.RESERVATION_AHEAD
    assert begun.started() == [1]


def test_they_start_before_all_others_and_take_no_turn_and_no_quota() -> None:
    world = reserved().booking(0, 4, gpus=2)
    world.organisation("a", max_running_jobs=1, used_micro_nu=10**12)
    world.jobs("b", 6).jobs("a", 2, inside=world.inside()).jobs("a", 2)
    world.policy = Policy(max_starts=3)
    assert world.started() == [7, 8, 1]


def test_they_have_no_more_than_what_is_reserved() -> None:
    world = reserved().booking(0, 4, gpus=2)
    world.jobs("a", 3, inside=world.inside())
    assert world.started() == [1, 2]
    assert world.wait_of(3).why is Why.NO_CAPACITY


def test_they_end_with_it() -> None:
    world = reserved().booking(-0.05, 4)  # three minutes ago
    world.jobs("a", hours=4.05, inside=world.inside())
    (start,) = world.plan().starts
    assert start.limit_s == 4 * 3600


def test_what_no_longer_fits_into_its_time_never_starts_unless_it_may_be_shortened() -> None:
    world = reserved().booking(-2, 1)
    world.jobs("a", hours=2, inside=world.inside()).jobs("a", hours=2, inside=world.inside(shorten=True))
    world.jobs("a", hours=0.5, inside=world.inside(is_cancelled=True))
    decided = world.plan()
    assert [(each.attempt_id.int - 1000, each.limit_s) for each in decided.starts] == [(2, 3600)]
    assert {(each.attempt_id.int - 1000, each.reservation) for each in decided.nevers} == {(1, "R1"), (3, "R1")}


def test_a_job_that_overran_into_it_is_waited_for() -> None:
    world = reserved().booking(0, 4).runs("b", gpus=1, hours=-0.01)
    world.pools["h200"] = replace(world.pools["h200"], free=Resources(gpus=7))
    world.jobs("a", gpus=8, inside=world.inside()).jobs("a", gpus=7, inside=world.inside())
    assert world.started() == []
    assert world.wait_of(1).facts["free"] == {"gpus": 7}


# -- other walls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["eligibility", "fiscal_year"])
def test_nothing_runs_across_the_end_of_eligibility_or_of_the_year(kind: str) -> None:
    world, wall = reserved(), Wall(at=NOW + 2 * HOUR, kind=kind)
    if kind == "eligibility":
        world.organisation("a", walls=(wall,))
    else:
        world.walls = [wall]
    world.jobs("a", hours=2).jobs("a", hours=2.1).jobs("b", hours=2.1)
    assert world.started() == ([1, 3] if kind == "eligibility" else [1])
    assert world.wait_of(2).facts == {"kind": kind, "at": wall.at.isoformat()}


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (datetime(2026, 3, 31, 14, 59, tzinfo=UTC), datetime(2026, 3, 31, 15, 0, tzinfo=UTC)),
        (datetime(2026, 3, 31, 15, 0, tzinfo=UTC), datetime(2027, 3, 31, 15, 0, tzinfo=UTC)),
        (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 3, 31, 15, 0, tzinfo=UTC)),
    ],
)
def test_the_fiscal_year_ends_with_march_in_tokyo(now: datetime, end: datetime) -> None:
    assert fiscal_year_end(now) == end


def test_gpus_do_not_start_beside_a_device_that_is_reserved_before_they_end() -> None:
    world = reserved().booking(1, 2, gpus=0)
    world.bookings[0] = replace(world.bookings[0], backend="qpu", needs=Resources(qpus=1))
    world.pools["qpu"] = Pool(name="qpu", total=Resources(qpus=1), free=Resources(qpus=1))
    world.jobs("a", hours=2, calls="qpu").jobs("a", hours=1, calls="qpu")
    assert world.started() == [2]
    assert world.wait_of(1).facts["backend"] == "qpu"


def test_a_reserved_device_runs_its_own_circuits_and_nobody_elses() -> None:
    world = reserved().booking(0, 2, gpus=0)
    world.bookings[0] = replace(world.bookings[0], backend="qpu", needs=Resources(qpus=1))
    world.pools["qpu"] = Pool(name="qpu", total=Resources(qpus=1), free=Resources(qpus=1))
    circuit = {"backend": "qpu", "needs": Resources(qpus=1), "hours": 0.1}
    world.jobs("b", **circuit).jobs("a", inside=world.inside(), **circuit)  # type: ignore[arg-type]  any of its fields
    assert world.started() == [2]
    assert world.wait_of(1).why is Why.NO_CAPACITY


# -- whatever comes ----------------------------------------------------------------------------------------------------

SIZE = 8
moments = st.integers(0, 12)


@st.composite
def calendars(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Reservations (since, until, gpus) in hours that together never exceed the machine."""
    kept: list[tuple[int, int, int]] = []
    for since, lasts, gpus in draw(st.lists(st.tuples(moments, st.integers(1, 5), st.integers(1, SIZE)), max_size=5)):
        until = since + lasts
        taken = max(sum(g for s, u, g in kept if s <= hour < u) for hour in range(since, until))
        if taken + gpus <= SIZE:
            kept.append((since, until, gpus))
    return kept


arrivals = st.lists(
    st.tuples(moments, st.integers(1, SIZE), st.integers(1, 8), st.sampled_from("ab"), st.integers(0, 5)), max_size=14
)


@given(calendars(), arrivals)
def test_never_oversubscribed_and_no_reservation_is_delayed_by_what_started_before_it(
    calendar: list[tuple[int, int, int]], asked: list[tuple[int, int, int, str, int]]
) -> None:
    """Hour by hour, everything takes its full walltime. Whatever is reserved is free for its own at any time of it."""
    story = _Story(calendar, asked)
    for hour in range(20):
        story.pass_(hour)


class _Story:
    """asked: (hour, gpus, hours, organisation, reservation; 0: none)."""

    def __init__(self, calendar: list[tuple[int, int, int]], asked: list[tuple[int, int, int, str, int]]) -> None:
        self.world = Reserved()
        self.world.pool(gpus=SIZE)
        for since, until, gpus in calendar:
            self.world.booking(since, until, gpus=gpus)
        self.asked = asked
        self.running: list[Holding] = []
        self.done: set[UUID] = set()

    def pass_(self, hour: int) -> None:
        now = NOW + hour * HOUR
        self.running = [each for each in self.running if now < each.until]
        waiting = [job for number, job in enumerate(self._jobs(), 1) if self.asked[number - 1][0] <= hour]
        waiting = [job for job in waiting if job.attempt_id not in self.done]
        free = Resources(gpus=SIZE - _gpus(self.running))
        decided = plan(
            Snapshot(
                now=now,
                pools={"h200": Pool(name="h200", total=Resources(gpus=SIZE), free=free)},
                waiting=waiting,
                holding=self.running,
                standings={each: Standing(organisation_id=each) for each in ORGANISATIONS.values()},
                bookings=self.world.bookings,
            )
        )
        by_id = {job.attempt_id: job for job in waiting}
        for start in decided.starts:
            job, limit_s = by_id[start.attempt_id], start.limit_s
            until = now + timedelta(seconds=job.walltime_s if limit_s is None else limit_s)
            self.running.append(_held(job, until))
        self.done |= {each.attempt_id for each in decided.starts} | {each.attempt_id for each in decided.nevers}
        self._check(now, decided.waits)

    def _check(self, now: datetime, waits: tuple[Wait, ...] | object) -> None:
        assert _gpus(self.running) <= SIZE
        others_hold = _gpus(each for each in self.running if not self._is_within(each, now))
        reserved_now = sum(each.needs.gpus for each in self.world.bookings if each.since <= now < each.until)
        assert others_hold + reserved_now <= SIZE
        for booking in self.world.bookings:
            own = [each for each in self.running if each.reservation_id == booking.reservation_id]
            assert _gpus(own) <= booking.needs.gpus
            assert all(booking.since <= now and each.until <= booking.until for each in own)

    def _is_within(self, held: Holding, now: datetime) -> bool:
        return any(each.reservation_id == held.reservation_id for each in self.world.bookings)

    def _jobs(self) -> list[Waiting]:
        world = World()
        for _, gpus, hours, name, number in self.asked:
            inside = self.world.inside(number) if 0 < number <= len(self.world.bookings) else None
            most = gpus if inside is None else min(gpus, self.world.bookings[number - 1].needs.gpus)
            world.jobs(name, gpus=most, hours=hours, inside=inside)
        return world.waiting


def _held(job: Waiting, until: datetime) -> Holding:
    return Holding(
        attempt_id=job.attempt_id,
        organisation_id=job.organisation_id,
        backend=job.backend,
        needs=job.needs,
        until=until,
        reservation_id=None if job.inside is None else job.inside.reservation_id,
    )


def _gpus(held: object) -> int:
    return sum(each.needs.gpus for each in held)  # type: ignore[attr-defined]


@given(calendars(), arrivals, st.randoms())
def test_the_order_of_what_is_told_changes_nothing(
    calendar: list[tuple[int, int, int]], asked: list[tuple[int, int, int, str, int]], random: object
) -> None:
    story = _Story(calendar, asked)
    snapshot = replace(
        story.world.snapshot(),
        waiting=story._jobs(),
        standings={each: Standing(organisation_id=each) for each in ORGANISATIONS.values()},
    )
    shuffled, booked = list(snapshot.waiting), list(snapshot.bookings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(booked)  # type: ignore[attr-defined]
    first, second = plan(snapshot), plan(replace(snapshot, waiting=shuffled, bookings=booked))
    assert first.starts == second.starts
    assert {each.attempt_id: each for each in first.waits} == {each.attempt_id: each for each in second.waits}
