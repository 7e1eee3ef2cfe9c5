"""Advance reservations: the calendar, booking and cancelling, and the jobs that run in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from accounts import service as accounts
from accounts.model import Principal, Scope
from infra.db.connection import Conn, notify
from infra.tokyo import TOKYO
from pricing import service as pricing
from pricing.days import midnight
from pricing.errors import OfferingRetired
from pricing.model import JobSize, Offering
from scheduler import policy
from scheduler.errors import IdempotencyKeyReused
from scheduler.hybrid import Hybrid
from scheduler.options import shown
from scheduler.reservations import rules
from scheduler.reservations.errors import (
    ReservationDeadlinePassed,
    ReservationEnded,
    ReservationNotFound,
    ReservationUnfit,
    WalltimeBeyondReservation,
)
from scheduler.reservations.model import Booking, Day, Reservation, number_of
from scheduler.service.admitting import organisation_of, resources_of
from scheduler.store import jobs as job_store
from scheduler.store import reservations as store
from scheduler.submission import Submission, checked_key

MAX_CALENDAR_DAYS = 100


async def calendar(conn: Conn, *, offering_id: str, first: date | None, days: int, now: datetime) -> Sequence[Day]:
    """So many days of Asia/Tokyo of the machine behind an offering, from `first` or from now on. UnknownOffering."""
    offering = await pricing.offering(conn, offering_id)
    begin = midnight(now.astimezone(TOKYO).date() if first is None else first)
    until = midnight(begin.astimezone(TOKYO).date() + timedelta(days=min(max(days, 1), MAX_CALENDAR_DAYS)))
    since = max(begin, rules.next_hour(now))
    if since >= until:
        return []
    return rules.days_of(await store.hours(conn, offering.backend, since=since, until=until))


async def book(
    conn: Conn,
    *,
    principal: Principal,
    wish: Booking,
    idempotency_key: str | None,
    reservation_id: UUID,
    now: datetime,
) -> tuple[Reservation, bool]:
    """Reserve units for the caller's organisation; False: this very booking had come before.

    BadReservation, ReservationInPast, ReservationQuotaExceeded, NoReservableUnits; IdempotencyKeyReused;
    UnknownOffering, OfferingRetired; those of accounts.require_eligible().
    """
    principal.require(Scope.JOBS_WRITE)
    organisation_id, key = organisation_of(principal), checked_key(idempotency_key)
    offering = await pricing.offering(conn, wish.offering_id)
    await job_store.lock_queue(conn, organisation_id)
    earlier = await store.of_key(conn, organisation_id, principal.person_id, key)
    if earlier is not None:
        if (earlier.offering_id, earlier.units, earlier.since, earlier.until) != _told(wish):
            raise IdempotencyKeyReused(job_id=str(earlier.id))
        return earlier, False
    await accounts.require_eligible(conn, organisation_id, now=now)
    rules.require_sound(wish, now=now)
    if offering.retired_at is not None and offering.retired_at <= wish.until:
        raise OfferingRetired(offering=offering.id)
    await _require_free(conn, organisation_id, offering, wish, now=now)
    new = await _new(conn, principal, offering, wish, reservation_id=reservation_id, now=now)
    if not await store.insert(conn, new, key=key):  # only past a lock that somebody did not take
        await _require_free(conn, organisation_id, offering, wish, now=now)
        raise LookupError(f"{offering.backend} has no units for {wish}, and all of them")
    await _note(conn, principal, "reservation.book", new, now=now)
    return new, True


async def _require_free(conn: Conn, organisation_id: UUID, offering: Offering, wish: Booking, *, now: datetime) -> None:
    """Under the calendar's lock: what is free now stays so. ReservationQuotaExceeded, NoReservableUnits."""
    await store.lock_calendar(conn, offering.backend)
    quota = await store.quota(conn, organisation_id, at=now) or policy.DEFAULT_RESERVATION_QUOTA
    own = await store.own_peak(conn, organisation_id, offering.backend, since=wish.since, until=wish.until)
    rules.require_within(quota, wish, own_units=own, now=now)
    horizon = max(wish.until, rules.next_hour(now + timedelta(days=quota.max_days_ahead)))
    rules.require_free(wish, await store.hours(conn, offering.backend, since=wish.since, until=horizon))


async def _new(
    conn: Conn, principal: Principal, offering: Offering, wish: Booking, *, reservation_id: UUID, now: datetime
) -> Reservation:
    organisation_id = organisation_of(principal)
    needs = resources_of(offering, JobSize(walltime_s=1, gpus=wish.units))
    if needs.qpus:
        needs = replace(needs, qpus=wish.units)
    before_s = await store.cancel_before_s(conn, offering.backend, wish.since.astimezone(TOKYO).date())
    return Reservation(
        id=reservation_id,
        organisation_id=organisation_id,
        number=await store.next_number(conn, organisation_id),
        person_id=principal.person_id,
        offering_id=offering.id,
        backend=offering.backend,
        units=wish.units,
        needs=needs,
        since=wish.since,
        until=wish.until,
        cancel_by=wish.since - timedelta(seconds=before_s),
        booked_at=now,
    )


async def cancel_reservation(conn: Conn, *, principal: Principal, name: str, now: datetime) -> Reservation:
    """Give a reservation up; what waits for it is ended. Again: nothing happens.

    ReservationNotFound; ReservationDeadlinePassed (an operator may still do it, by its id).
    """
    found = await reservation(conn, principal=principal, name=name)
    if found.cancelled_at is not None:
        return found
    is_operator = Scope.OPERATE in principal.scopes
    if not is_operator:
        principal.require(Scope.JOBS_WRITE)
    last = found.until if is_operator else found.cancel_by
    if now >= last:
        raise ReservationDeadlinePassed(reservation=found.name, cancel_by=last.isoformat())
    await store.lock_calendar(conn, found.backend)
    await store.cancel(conn, found, by=principal.person_id, now=now)
    await _note(conn, principal, "reservation.cancel", found, now=now)
    return replace(found, cancelled_at=now)


async def reservation(conn: Conn, *, principal: Principal, name: str) -> Reservation:
    """One by its name (R3, or 3) within the organisation, or by its id. ReservationNotFound."""
    number = number_of(name if name[:1] in {"R", "r"} else f"R{name}")
    found = None
    if number is not None and principal.organisation_id is not None:
        found = await store.of_number(conn, principal.organisation_id, number)
    elif number is None and (identity := _as_id(name)) is not None:
        found = await store.of_id(conn, identity)
    if found is None or principal.organisation_id not in {None, found.organisation_id}:
        raise ReservationNotFound(reservation=shown(name))
    return found


async def reservations(
    conn: Conn, *, organisation_id: UUID | None, now: datetime, ended: bool = False
) -> Sequence[Reservation]:
    """An organisation's, or (None) everybody's, by their beginning. ended: those that are over, too."""
    return await store.reservations(conn, organisation_id=organisation_id, until_after=None if ended else now)


# -- jobs in one -------------------------------------------------------------------------------------------------------


async def placed(
    conn: Conn, organisation_id: UUID, request: Submission, *, now: datetime
) -> tuple[Submission, Reservation | None]:
    """The request, its walltime within its reservation; None: it names none of ours.

    ReservationNotFound, ReservationEnded, ReservationUnfit; WalltimeBeyondReservation, unless it may be shortened.
    """
    _require_no_phase(request)
    number = number_of(request.placement.reservation)
    if number is None:
        return request, None
    found = await store.of_number(conn, organisation_id, number)
    if found is None:
        raise ReservationNotFound(reservation=f"R{number}")
    if found.is_over(now):
        raise ReservationEnded(reservation=found.name, until=(found.cancelled_at or found.until).isoformat())
    _require_fits(request, found)
    return _within(request, found, now=now), found


def _within(request: Submission, found: Reservation, *, now: datetime) -> Submission:
    left_s = int((found.until - max(now, found.since)).total_seconds())
    if request.walltime_s <= left_s:
        return request
    if not request.shorten or left_s < 1:
        raise WalltimeBeyondReservation(
            reservation=found.name, walltime_s=request.walltime_s, left_s=left_s, until=found.until.isoformat()
        )
    return replace(request, walltime_s=left_s)


def _require_no_phase(request: Submission) -> None:
    """A hybrid job's phases are at home on several machines, each at its own time."""
    if not isinstance(request, Hybrid):
        return
    for phase in request.phases:
        name = phase.request.placement.reservation
        if name is not None and number_of(name) is not None:
            raise ReservationUnfit(reservation=name, problem="of_phases", offering="", units=0)


def _require_fits(request: Submission, found: Reservation) -> None:
    problems = {
        "other_offering": request.offering_id != found.offering_id,
        "in_session": request.session_job is not None,
        "beyond_units": request.gpus > found.needs.gpus,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise ReservationUnfit(
                reservation=found.name, problem=problem, offering=found.offering_id, units=found.units
            )


# -- inside ------------------------------------------------------------------------------------------------------------


async def _note(conn: Conn, principal: Principal, action: str, about: Reservation, *, now: datetime) -> None:
    await accounts.append_audit(
        conn,
        actor=principal.person_id,
        organisation_id=about.organisation_id,
        action=action,
        subject=f"reservation:{about.id}",
        facts={
            "number": about.number,
            "offering": about.offering_id,
            "units": about.units,
            "since": about.since.isoformat(),
            "until": about.until.isoformat(),
        },
        now=now,
    )
    await notify(conn, "dispatch")


def _told(wish: Booking) -> tuple[str, int, datetime, datetime]:
    return wish.offering_id, wish.units, wish.since, wish.until


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
