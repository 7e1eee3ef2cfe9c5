"""What an operator sets: how much may be reserved when and by whom, and when a machine is closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from accounts.errors import InvalidPeriod
from accounts.model import Principal, Scope
from accounts.names import clean_name
from infra.db.connection import Conn, notify
from pricing.days import midnight
from scheduler import policy
from scheduler.reservations.errors import (
    ClosureNotFound,
    InvalidReservable,
    ReservationQuotaExists,
    ReservationsNotSold,
)
from scheduler.reservations.model import Closure, Quota, Reservable
from scheduler.store import reservations as store

_MAX_CANCEL_BEFORE_S = 90 * 86_400


async def set_reservable(
    conn: Conn, *, actor: Principal, new: Reservable, price_percent: int = 0, now: datetime
) -> None:
    """So much may be reserved on these days, from now on; what is booked stays. InvalidReservable, InvalidPeriod.

    price_percent: of the offering's price, for reserved time. Not 0: ReservationsNotSold.
    """
    actor.require(Scope.OPERATE)
    if price_percent:
        raise ReservationsNotSold(price_percent=price_percent)
    limits = (("units", new.units, policy.MAX_SETTING), ("cancel_before_s", new.cancel_before_s, _MAX_CANCEL_BEFORE_S))
    _require_in_range(limits)
    if new.last_day is not None and new.last_day < new.first_day:
        raise InvalidPeriod(valid_from=midnight(new.first_day), valid_until=midnight(new.last_day))
    await store.lock_calendar(conn, new.backend)
    await store.add_reservable(conn, new, by=actor.person_id, now=now)
    facts = {
        "first_day": new.first_day.isoformat(),
        "last_day": None if new.last_day is None else new.last_day.isoformat(),
        "units": new.units,
        "cancel_before_s": new.cancel_before_s,
    }
    await _note(conn, actor, "reservable.set", f"backend:{new.backend}", facts, now=now)


async def set_reservation_quota(
    conn: Conn, *, actor: Principal, organisation_id: UUID, quota: Quota, now: datetime
) -> None:
    """What an organisation may reserve from now on. InvalidReservable, ReservationQuotaExists, OrganisationNotFound."""
    actor.require(Scope.OPERATE)
    await accounts.organisation(conn, organisation_id)
    facts = {
        "max_units": quota.max_units,
        "max_unit_hours": quota.max_unit_hours,
        "max_days_ahead": quota.max_days_ahead,
    }
    _require_in_range((field, value, policy.MAX_SETTING) for field, value in facts.items())
    if not await store.add_quota(conn, organisation_id, quota, effective_at=now):
        raise ReservationQuotaExists(effective_at=now.isoformat())
    subject = f"organisation:{organisation_id}"
    await _note(conn, actor, "reservation_quota.set", subject, facts, now=now, organisation_id=organisation_id)


async def close_backend(conn: Conn, *, actor: Principal, closure: Closure, now: datetime) -> None:
    """Nothing starts there that could still run then, and nothing is reserved. InvalidPeriod, InvalidName."""
    actor.require(Scope.OPERATE)
    if closure.since >= closure.until or closure.until <= now:
        raise InvalidPeriod(valid_from=closure.since, valid_until=closure.until)
    clean_name(closure.reason, field="reason")
    await store.lock_calendar(conn, closure.backend)
    await store.add_closure(conn, closure, by=actor.person_id, now=now)
    facts = {"since": closure.since.isoformat(), "until": closure.until.isoformat(), "reason": closure.reason}
    await _note(conn, actor, "closure.set", f"backend:{closure.backend}", facts, now=now)


async def lift_closure(conn: Conn, *, actor: Principal, closure_id: UUID, now: datetime) -> None:
    """It will not be, or is over. ClosureNotFound."""
    actor.require(Scope.OPERATE)
    if not await store.lift_closure(conn, closure_id, by=actor.person_id, now=now):
        raise ClosureNotFound
    await _note(conn, actor, "closure.lift", f"closure:{closure_id}", {}, now=now)


async def closures(conn: Conn, *, now: datetime) -> list[Closure]:
    """Those that are on or to come, by their beginning."""
    return await store.closures(conn, now=now)


def _require_in_range(limits: Iterable[tuple[str, int, int]]) -> None:
    for field, value, maximum in limits:
        if not 0 <= value <= maximum:
            raise InvalidReservable(field=field, value=value, minimum=0, maximum=maximum)


async def _note(
    conn: Conn,
    actor: Principal,
    action: str,
    subject: str,
    facts: Mapping[str, object],
    *,
    now: datetime,
    organisation_id: UUID | None = None,
) -> None:
    await accounts.append_audit(
        conn,
        actor=actor.person_id,
        organisation_id=organisation_id,
        action=action,
        subject=subject,
        facts=dict(facts),
        now=now,
    )
    await notify(conn, "dispatch")
