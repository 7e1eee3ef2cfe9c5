"""Advance reservations: the calendar, booking and cancelling; and what an operator sets of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, Field

from accounts.model import Scope
from portal.api.wire import Count, In, Items, Out, Word
from portal.auth.caller import Caller, Operator, needs
from portal.auth.idempotency import IdempotencyKey
from pricing import service as pricing
from scheduler import service as scheduler
from scheduler.reservations.model import Booking, Closure, Quota, Reservable, Reservation

router = APIRouter(tags=["reservations"])
Reader = Annotated[Caller, needs(Scope.JOBS_READ, Scope.OPERATE)]
Writer = Annotated[Caller, needs(Scope.JOBS_WRITE)]
Canceller = Annotated[Caller, needs(Scope.JOBS_WRITE, Scope.OPERATE)]
_FIRST_YEAR, _LAST_YEAR = 2020, 2200


def _of_our_time(day: date) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValueError("out of range")
    return day


def _in_utc(moment: datetime) -> datetime:
    _of_our_time(moment)
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Day = Annotated[date, AfterValidator(_of_our_time)]


class DayOut(Out):
    """A day of Japan. `units`: the most that may be reserved in an hour of it; `free`: can still be, all day long."""

    day: date
    units: int
    free: int


class NewReservation(In):
    """So many GPUs or QPUs behind an offering, from one whole hour to another."""

    offering: Annotated[Word, Field(examples=["gpu-demo"])]
    units: Annotated[Count, Field(examples=[8])]
    since: Annotated[Moment, Field(examples=["2026-12-01T10:00:00+09:00"])]
    until: Annotated[Moment, Field(examples=["2026-12-03T10:00:00+09:00"])]


class ReservationOut(Out):
    """`name`: what a job that runs in it gives as its `reservation`. `cancel_by`: until then it may be cancelled.

    The reserved time itself is not billed at present; what runs in it is billed as ever.
    """

    id: UUID
    name: str
    organisation_id: UUID
    offering: str
    units: int
    since: datetime
    until: datetime
    cancel_by: datetime
    booked_at: datetime
    cancelled_at: datetime | None
    state: Annotated[str, Field(description="booked, on, over or cancelled.")]


class NewReservable(In):
    """From `first_day` to `last_day` (without one: from then on) so many units may be reserved at a time.

    What is booked stays booked. The last word about a day holds.
    """

    offering: Annotated[Word, Field(description="Stands for the machine behind it.", examples=["gpu-demo"])]
    first_day: Day
    last_day: Day | None = None
    units: Annotated[Count, Field(examples=[64])]
    cancel_before_s: Annotated[Count, Field(description="A reservation is cancelled until so long before it.")] = 54_000
    price_percent: Annotated[Count, Field(description="Of the offering's price. Only 0: reserved time is free.")] = 0


class NewQuota(In):
    """What an organisation may reserve, from now on."""

    max_units: Annotated[Count, Field(description="At a time on one machine.")]
    max_unit_hours: Annotated[Count, Field(description="Of one reservation.")]
    max_days_ahead: Annotated[Count, Field(description="It ends so many days from now at most.")]


class NewClosure(In):
    """A time in which the machine behind an offering runs nothing, such as maintenance."""

    offering: Word
    since: Moment
    until: Moment
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class ClosureOut(Out):
    id: UUID
    backend: str
    since: datetime
    until: datetime
    reason: str


@router.get("/calendar")
async def get_calendar(
    caller: Reader,
    offering: Annotated[Word, Query()],
    first: Annotated[Day | None, Query(description="Default: today, from the next whole hour on.")] = None,
    days: Annotated[int, Query(ge=1, le=100)] = 30,
) -> Items[DayOut]:
    """How much can be reserved, day by day."""
    async with caller.transaction() as conn:
        found = await scheduler.calendar(conn, offering_id=offering, first=first, days=days, now=caller.now)
    return Items(items=[DayOut(day=each.day, units=each.units, free=each.free) for each in found])


@router.get("/reservations")
async def list_reservations(caller: Reader, *, ended: bool = False) -> Items[ReservationOut]:
    """The organisation's reservations by their beginning; an operator sees everybody's. `ended`: those too."""
    async with caller.transaction() as conn:
        found = await scheduler.reservations(
            conn, organisation_id=caller.principal.organisation_id, now=caller.now, ended=ended
        )
    return Items(items=[_out(each, caller.now) for each in found])


@router.post("/reservations", status_code=HTTPStatus.CREATED)
async def book_reservation(caller: Writer, new: NewReservation, key: IdempotencyKey) -> ReservationOut:
    """Reserves units for the organisation. Nobody else's job runs on them then, and no job runs into that time."""
    wish = Booking(offering_id=new.offering, units=new.units, since=new.since, until=new.until)
    async with caller.transaction() as conn:
        made, _ = await scheduler.book(
            conn,
            principal=caller.principal,
            wish=wish,
            idempotency_key=key,
            reservation_id=caller.new_id(),
            now=caller.now,
        )
    return _out(made, caller.now)


@router.get("/reservations/{name}")
async def get_reservation(caller: Reader, name: str) -> ReservationOut:
    """One by its name, such as R3, or by its id."""
    async with caller.transaction() as conn:
        found = await scheduler.reservation(conn, principal=caller.principal, name=name)
    return _out(found, caller.now)


@router.post("/reservations/{name}/cancel")
async def cancel_reservation(caller: Canceller, name: str) -> ReservationOut:
    """Gives a reservation up, until its `cancel_by`. Jobs that wait for it end, unstarted and free.

    An operator names it by its id, and may do so until its end.
    """
    async with caller.transaction() as conn:
        gone = await scheduler.cancel_reservation(conn, principal=caller.principal, name=name, now=caller.now)
    return _out(gone, caller.now)


# -- what an operator sets ---------------------------------------------------------------------------------------------


@router.post("/calendar", status_code=HTTPStatus.NO_CONTENT, tags=["operator"])
async def set_reservable(caller: Operator, new: NewReservable) -> None:
    """How much may be reserved on which days."""
    async with caller.transaction() as conn:
        sold = await pricing.offering(conn, new.offering)
        await scheduler.set_reservable(
            conn,
            actor=caller.principal,
            new=Reservable(
                backend=sold.backend,
                first_day=new.first_day,
                last_day=new.last_day,
                units=new.units,
                cancel_before_s=new.cancel_before_s,
            ),
            price_percent=new.price_percent,
            now=caller.now,
        )


@router.post("/organisations/{organisation_id}/reservation-quota", status_code=HTTPStatus.NO_CONTENT, tags=["operator"])
async def set_reservation_quota(caller: Operator, organisation_id: UUID, new: NewQuota) -> None:
    """What an organisation may reserve."""
    async with caller.transaction() as conn:
        await scheduler.set_reservation_quota(
            conn,
            actor=caller.principal,
            organisation_id=organisation_id,
            quota=Quota(**new.model_dump()),
            now=caller.now,
        )


@router.get("/closures", tags=["operator"])
async def list_closures(caller: Reader) -> Items[ClosureOut]:
    """When machines are closed, now and to come."""
    async with caller.transaction() as conn:
        found = await scheduler.closures(conn, now=caller.now)
    return Items(items=[_closure(each) for each in found])


@router.post("/closures", status_code=HTTPStatus.CREATED, tags=["operator"])
async def close_backend(caller: Operator, new: NewClosure) -> ClosureOut:
    """Nothing starts there that could still run then, and nothing is reserved. What is booked already stays booked."""
    async with caller.transaction() as conn:
        sold = await pricing.offering(conn, new.offering)
        closure = Closure(id=caller.new_id(), backend=sold.backend, since=new.since, until=new.until, reason=new.reason)
        await scheduler.close_backend(conn, actor=caller.principal, closure=closure, now=caller.now)
    return _closure(closure)


@router.post("/closures/{closure_id}/lift", status_code=HTTPStatus.NO_CONTENT, tags=["operator"])
async def lift_closure(caller: Operator, closure_id: UUID) -> None:
    """It will not be, or is over before its time."""
    async with caller.transaction() as conn:
        await scheduler.lift_closure(conn, actor=caller.principal, closure_id=closure_id, now=caller.now)


def _out(found: Reservation, now: datetime) -> ReservationOut:
    return ReservationOut(
        id=found.id,
        name=found.name,
        organisation_id=found.organisation_id,
        offering=found.offering_id,
        units=found.units,
        since=found.since,
        until=found.until,
        cancel_by=found.cancel_by,
        booked_at=found.booked_at,
        cancelled_at=found.cancelled_at,
        state=found.state(now),
    )


def _closure(found: Closure) -> ClosureOut:
    return ClosureOut(id=found.id, backend=found.backend, since=found.since, until=found.until, reason=found.reason)
