"""Reservations on a real PostgreSQL: booked by many at once, kept free for their own, ended with their time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from accounts.model import Principal
from accounts.scopes import Scope
from hpc_adapters.contract import Placement, Resources
from hpc_adapters.simulated.behaviour import Behaviour
from infra.tokyo import TOKYO
from scheduler import service
from scheduler.core.model import EndReason, State
from scheduler.core.reasons import Why
from scheduler.errors import IdempotencyKeyReused
from scheduler.reservations import errors
from scheduler.reservations.model import Booking, Closure, Quota, Reservable, Reservation
from scheduler.submission import Submission
from tests.support.database import Database
from tests.support.market import GPU, NOW, QPU, an_id
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

HOUR = timedelta(hours=1)
TODAY = NOW.astimezone(TOKYO).date()
LONG = Behaviour(run_s=100_000).script().body


@pytest.fixture
async def world(database: Database) -> World:
    """Of 8 GPUs 6 may be reserved, today and ever after."""
    world = await open_world(database)
    await reservable(world, units=6)
    return world


def operator(world: World) -> Principal:
    return Principal(
        person_id=world.market.person,
        display_name="operator",
        organisation_id=None,
        role=None,
        staff_roles=frozenset(),
        scopes=frozenset({Scope.OPERATE.value}),
        token_id=an_id("token", "operator"),
    )


async def reservable(world: World, *, units: int, day: int | None = None, cancel_before_s: int = 7_200) -> None:
    first = TODAY if day is None else TODAY + timedelta(days=day)
    new = Reservable(
        backend=CLUSTER,
        first_day=first,
        last_day=None if day is None else first,
        units=units,
        cancel_before_s=cancel_before_s,
    )
    async with world.market.as_operator() as conn:
        await service.set_reservable(conn, actor=operator(world), new=new, now=world.now)


def booking(since_h: float, until_h: float, units: int = 4) -> Booking:
    return Booking(offering_id=GPU, units=units, since=_whole(since_h), until=_whole(until_h))


def _whole(hours: float) -> datetime:
    return NOW.replace(minute=0, second=0, microsecond=0) + HOUR * (1 + hours)


async def book(world: World, who: Principal, wish: Booking, *, key: str | None = None) -> Reservation:
    async with world.as_tenant(who) as conn:
        made, _ = await service.book(
            conn,
            principal=who,
            wish=wish,
            idempotency_key=key or f"book {next(world.numbers)}",
            reservation_id=world.new_id(),
            now=world.now,
        )
        return made


async def cancel(world: World, who: Principal, name: str) -> Reservation:
    async with world.as_tenant(who) as conn:
        return await service.cancel_reservation(conn, principal=who, name=name, now=world.now)


def in_it(name: str = "R1", **changed: object) -> Submission:
    return a_submission(**{"placement": Placement(reservation=name), "body": LONG, "walltime_s": 3_600, **changed})


# -- booking -----------------------------------------------------------------------------------------------------------


async def test_ten_at_the_same_moment_never_book_more_than_there_is(world: World) -> None:
    members = [await world.member(f"org-{number}") for number in range(10)]
    answers = await asyncio.gather(
        *(book(world, who, booking(1, 25, units=2)) for who in members), return_exceptions=True
    )
    assert sum(isinstance(each, Reservation) for each in answers) == 3
    assert sum(isinstance(each, errors.NoReservableUnits) for each in answers) == 7
    most = await world.market.database.owner.fetchval("SELECT max(units) FROM scheduler.reserved_hour")
    assert most == 6


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read"])
async def test_the_database_itself_holds_the_limit_against_whoever_asks_nobody(world: World, isolation: str) -> None:
    who = await world.member("alice")
    made = await book(world, who, booking(1, 3, units=2))
    database = world.market.database.owner
    columns = "organisation_id, person_id, offering_id, backend, units, gpus, cpus, memory_mb, qpus, since, until"

    async def insert(number: int) -> None:
        async with database.acquire() as conn, conn.transaction(isolation=isolation):
            await conn.execute("SELECT 1 FROM scheduler.reserved_hour")  # its snapshot is older than what it will meet
            await barrier.wait()
            await conn.execute(
                f"INSERT INTO scheduler.reservation (id, number, {columns}, cancel_by, idempotency_key, booked_at) "
                f"SELECT $1, $2::integer, {columns}, cancel_by, $2::text, booked_at FROM scheduler.reservation "
                "WHERE id = $3",
                world.new_id(),
                number,
                made.id,
            )

    barrier = asyncio.Barrier(6)
    answers = await asyncio.gather(*(insert(number) for number in range(2, 8)), return_exceptions=True)
    refused = [each for each in answers if each is not None]
    assert all(isinstance(each, asyncpg.PostgresError) for each in refused)
    assert {each.sqlstate for each in refused if isinstance(each, asyncpg.PostgresError)} <= {"KY007", "40001"}
    assert await database.fetchval("SELECT max(units) FROM scheduler.reserved_hour") <= 6
    if isolation == "read_committed":
        assert len(refused) == 4


async def test_what_is_not_free_is_refused_with_the_next_time_at_which_it_is(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await book(world, alice, booking(1, 5))
    await book(world, alice, booking(7, 8))
    with pytest.raises(errors.NoReservableUnits) as refused:
        await book(world, bob, booking(2, 4))
    assert refused.value.facts == {
        "offering": GPU,
        "units": 4,
        "free": 2,
        "at": _whole(2).isoformat(),
        "next": _whole(5).isoformat(),
    }
    with pytest.raises(errors.NoReservableUnits) as never:
        await book(world, bob, booking(2, 4, units=7))
    assert never.value.facts["next"] is None


async def test_a_day_may_have_a_capacity_of_its_own_and_a_closed_machine_has_none(world: World) -> None:
    alice = await world.member("alice")
    await reservable(world, units=0, day=2)
    closure = Closure(id=world.new_id(), backend=CLUSTER, since=_whole(5.5), until=_whole(6.5), reason="cooling")
    async with world.market.as_operator() as conn:
        await service.close_backend(conn, actor=operator(world), closure=closure, now=world.now)
    await book(world, alice, booking(1, 2))
    async with world.as_tenant(alice) as conn:
        days = await service.calendar(conn, offering_id=GPU, first=None, days=3, now=world.now)
    assert [(each.day - TODAY, each.units) for each in days] == [
        (timedelta(days=number), units) for number, units in enumerate((6, 6, 0))
    ]
    for wish in (booking(48, 49), booking(4, 6)):
        with pytest.raises(errors.NoReservableUnits):
            await book(world, alice, wish)
    async with world.market.as_operator() as conn:
        await service.lift_closure(conn, actor=operator(world), closure_id=closure.id, now=world.now)
        with pytest.raises(errors.ClosureNotFound):
            await service.lift_closure(conn, actor=operator(world), closure_id=closure.id, now=world.now)
    await book(world, alice, booking(4, 6))


async def test_sound_wishes_only_and_not_beyond_ones_quota(world: World) -> None:
    alice = await world.member("alice")
    async with world.market.as_operator() as conn:
        await service.set_reservation_quota(
            conn,
            actor=operator(world),
            organisation_id=alice.organisation_id or world.new_id(),
            quota=Quota(max_units=5, max_unit_hours=40, max_days_ahead=2),
            now=world.now,
        )
    sound = booking(1, 2)
    wrong = {
        "whole_hours": replace(sound, since=sound.since + timedelta(minutes=30)),
        "ends_first": replace(sound, since=sound.until),
        "no_units": replace(sound, units=0),
        "too_long": replace(sound, until=sound.since + timedelta(days=367)),
    }
    for problem, wish in wrong.items():
        with pytest.raises(errors.BadReservation) as bad:
            await book(world, alice, wish)
        assert bad.value.facts["problem"] == problem
    with pytest.raises(errors.ReservationInPast):
        await book(world, alice, booking(-2, 2))
    await book(world, alice, booking(1, 3, units=3))
    beyond = {"units": booking(2, 4, units=3), "unit_hours": booking(3, 24, units=2), "days_ahead": booking(60, 61)}
    for limit, wish in beyond.items():
        with pytest.raises(errors.ReservationQuotaExceeded) as refused:
            await book(world, alice, wish)
        assert refused.value.facts["limit"] == limit


async def test_the_same_key_books_once(world: World) -> None:
    alice = await world.member("alice")
    first = await book(world, alice, booking(1, 2), key="k")
    assert await book(world, alice, booking(1, 2), key="k") == first
    with pytest.raises(IdempotencyKeyReused):
        await book(world, alice, booking(1, 3), key="k")


async def test_nobody_sees_or_cancels_a_strangers_and_a_cancelled_one_is_free_again(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    made = await book(world, alice, booking(10, 12, units=6))
    for name in ("R1", "1", str(made.id)):
        with pytest.raises(errors.ReservationNotFound):
            await cancel(world, bob, name)
    async with world.as_tenant(bob) as conn:
        assert await service.reservations(conn, organisation_id=None, now=world.now) == []
    gone = await cancel(world, alice, "R1")
    assert gone.cancelled_at == world.now
    assert await cancel(world, alice, "r1") == gone
    assert (await book(world, bob, booking(10, 12, units=6))).name == "R1"


async def test_after_its_deadline_only_an_operator_cancels(world: World) -> None:
    alice = await world.member("alice")
    made = await book(world, alice, booking(1, 12))
    assert made.cancel_by == made.since - timedelta(hours=2)
    with pytest.raises(errors.ReservationDeadlinePassed) as late:
        await cancel(world, alice, "R1")
    assert late.value.facts["cancel_by"] == made.cancel_by.isoformat()
    async with world.market.as_operator() as conn:
        gone = await service.cancel_reservation(conn, principal=operator(world), name=str(made.id), now=world.now)
    assert gone.cancelled_at is not None


async def test_a_quantum_device_is_reserved_as_gpus_are(world: World) -> None:
    alice = await world.member("alice")
    wish = Booking(offering_id=QPU, units=1, since=_whole(1), until=_whole(2))
    with pytest.raises(errors.NoReservableUnits):
        await book(world, alice, wish)
    new = Reservable(backend="aer", first_day=TODAY, last_day=None, units=1, cancel_before_s=0)
    async with world.market.as_operator() as conn:
        await service.set_reservable(conn, actor=operator(world), new=new, now=world.now)
    assert (await book(world, alice, wish)).needs == Resources(qpus=1)


async def test_reserved_time_has_no_price_yet_and_says_so(world: World) -> None:
    new = Reservable(backend=CLUSTER, first_day=TODAY, last_day=None, units=6, cancel_before_s=0)
    async with world.market.as_operator() as conn:
        with pytest.raises(errors.ReservationsNotSold):
            await service.set_reservable(conn, actor=operator(world), new=new, price_percent=150, now=world.now)
        with pytest.raises(errors.InvalidReservable):
            await service.set_reservable(conn, actor=operator(world), new=replace(new, units=-1), now=world.now)


# -- jobs --------------------------------------------------------------------------------------------------------------


async def test_others_keep_clear_of_it_and_its_own_job_starts_with_it_and_ends_with_it(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    made = await book(world, alice, booking(1, 3, units=6))
    long = await world.submit(bob, a_submission(gpus=4, walltime_s=6 * 3_600, body=LONG))
    own = await world.submit(alice, in_it(gpus=6, walltime_s=2 * 3_600))
    await world.round()
    assert (await waits_of(world, long)) is Why.WALL
    assert (await waits_of(world, own)) is Why.RESERVATION_AHEAD
    await world.round((made.since - world.now).total_seconds())
    assert (await world.until(lambda job: job.state is State.RUNNING, own)).started_at is not None
    assert (await world.job(long)).state is State.QUEUED
    await world.round(2 * 3_600 - 60)
    assert (await world.job(own)).state is State.RUNNING
    ended = await world.until_ended(own)
    assert (ended.reason, ended.ended_at is not None and ended.ended_at <= made.until + timedelta(seconds=5)) == (
        EndReason.TIMED_OUT,
        True,
    )
    await world.until(lambda job: job.state is State.RUNNING, long)


async def waits_of(world: World, job: object) -> Why | None:
    seen = await world.job(job)  # type: ignore[arg-type]
    return None if seen.waiting is None else seen.waiting.reason


async def test_a_job_must_fit_into_its_reservation_or_is_shortened_if_it_asks_for_that(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    made = await book(world, alice, booking(1, 3))
    wrong = [
        (in_it("R2"), errors.ReservationNotFound),
        (in_it(gpus=5), errors.ReservationUnfit),
        (in_it(walltime_s=2 * 3_600 + 1), errors.WalltimeBeyondReservation),
    ]
    for request, refusal in wrong:
        with pytest.raises(refusal):
            await world.submit(alice, request)
    with pytest.raises(errors.ReservationNotFound):
        await world.submit(bob, in_it())
    short = await world.submit(alice, in_it(walltime_s=9_000, shorten=True))
    assert short.walltime_s == 7_200
    world.clock.advance((made.until - world.now).total_seconds())
    with pytest.raises(errors.ReservationEnded):
        await world.submit(alice, in_it())


async def test_what_waits_for_a_cancelled_reservation_ends_unstarted_and_free(world: World) -> None:
    alice = await world.member("alice")
    await book(world, alice, booking(10, 12))
    job = await world.submit(alice, in_it())
    await cancel(world, alice, "R1")
    ended = await world.until_ended(job)
    assert (ended.state, ended.reason) == (State.CANCELLED, EndReason.RESERVATION_OVER)
    closed_at, told = await world.money(job)
    assert closed_at is not None
    assert [tuple(each) for each in told] == [("never_ran", True)]


async def test_nothing_runs_across_a_closure_or_the_end_of_the_fiscal_year_or_of_a_declaration(world: World) -> None:
    alice = await world.member("alice")
    closure = Closure(
        id=world.new_id(), backend=CLUSTER, since=NOW + 2 * HOUR, until=NOW + 3 * HOUR, reason="maintenance"
    )
    async with world.market.as_operator() as conn:
        await service.close_backend(conn, actor=operator(world), closure=closure, now=world.now)
    job = await world.submit(alice, a_submission(walltime_s=3 * 3_600, body=LONG))
    await world.round()
    assert await waits_of(world, job) is Why.DEVICE_WINDOW
    world.clock.advance((datetime(2027, 3, 31, 13, 0, tzinfo=UTC) - world.now).total_seconds())
    await world.round()
    seen = await world.job(job)
    assert seen.waiting is not None
    assert seen.waiting.reason is Why.WALL
