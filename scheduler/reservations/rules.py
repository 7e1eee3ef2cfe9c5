"""Whether something may be booked, and when else it could be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from infra.tokyo import TOKYO
from scheduler.reservations.errors import (
    BadReservation,
    NoReservableUnits,
    ReservationInPast,
    ReservationQuotaExceeded,
)
from scheduler.reservations.model import Booking, Day, Hour, Quota

HOUR = timedelta(hours=1)
MAX_HOURS = 366 * 24


def require_sound(wish: Booking, *, now: datetime) -> None:
    """BadReservation, ReservationInPast: it begins with a whole hour that has not begun."""
    problems = {
        "no_units": wish.units < 1,
        "ends_first": wish.since >= wish.until,
        "whole_hours": _is_within_an_hour(wish.since) or _is_within_an_hour(wish.until),
        "too_long": wish.until - wish.since > MAX_HOURS * HOUR,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise BadReservation(
                problem=problem, since=wish.since.isoformat(), until=wish.until.isoformat(), units=wish.units
            )
    if wish.since < now:
        raise ReservationInPast(since=wish.since.isoformat(), next=next_hour(now).isoformat())


def require_within(quota: Quota, wish: Booking, *, own_units: int, now: datetime) -> None:
    """ReservationQuotaExceeded. own_units: the most that the organisation has at any time of it already."""
    days_ahead = -(-(wish.until - now) // timedelta(days=1))
    limits = (
        ("units", own_units + wish.units, quota.max_units),
        ("unit_hours", wish.units * wish.hours, quota.max_unit_hours),
        ("days_ahead", days_ahead, quota.max_days_ahead),
    )
    for limit, asked, maximum in limits:
        if asked > maximum:
            raise ReservationQuotaExceeded(limit=limit, asked=asked, maximum=maximum)


def require_free(wish: Booking, hours: Sequence[Hour]) -> None:
    """NoReservableUnits, with the next time at which it could be had. hours: in order, from its beginning on."""
    lacking = next((each for each in hours if each.at < wish.until and each.free < wish.units), None)
    if lacking is None:
        return
    other = first_free(hours, units=wish.units, lasts=wish.hours)
    raise NoReservableUnits(
        offering=wish.offering_id,
        units=wish.units,
        free=lacking.free,
        at=lacking.at.isoformat(),
        next=None if other is None else other.isoformat(),
    )


def first_free(hours: Iterable[Hour], *, units: int, lasts: int) -> datetime | None:
    """When so many are free for so many hours in a row. None: not in these, which are in order and without a gap."""
    begin, length = None, 0
    for each in hours:
        begin, length = (begin or each.at, length + 1) if each.free >= units else (None, 0)
        if length == lasts:
            return begin
    return None


def days_of(hours: Iterable[Hour]) -> list[Day]:
    """By day of Asia/Tokyo."""
    by_day = groupby(hours, key=lambda hour: hour.at.astimezone(TOKYO).date())
    days = [(day, list(all_)) for day, all_ in by_day]
    return [Day(day, max(each.units for each in all_), min(each.free for each in all_)) for day, all_ in days]


def next_hour(now: datetime) -> datetime:
    """The first whole hour that is not over yet."""
    begun = now.replace(minute=0, second=0, microsecond=0)
    return begun if begun == now else begun + HOUR


def _is_within_an_hour(moment: datetime) -> bool:
    return bool(moment.minute or moment.second or moment.microsecond) or moment.utcoffset() % HOUR != timedelta()  # type: ignore[operator]
