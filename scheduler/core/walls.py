"""What nothing may run into, and what a reservation means for its own jobs. Pure.

A job is held against its requested walltime: it starts only if it would be over by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from infra.tokyo import TOKYO
from scheduler.core.snapshot import Booking, Inside, Pool, Wall

ELIGIBILITY = "eligibility"
FISCAL_YEAR = "fiscal_year"
RESERVATION = "reservation"
_APRIL = 4


def fiscal_year_end(now: datetime) -> datetime:
    """The instant at which the Japanese fiscal year of an instant is over: 1 April, midnight in Tokyo, in UTC."""
    here = now.astimezone(TOKYO)
    return datetime(here.year + (here.month >= _APRIL), _APRIL, 1, tzinfo=TOKYO).astimezone(UTC)


def first_wall(walls: Iterable[Wall], *, since: datetime, until: datetime) -> Wall | None:
    """The earliest at which something that runs during [since, until) would still run. None: it passes by all."""
    met = [each for each in walls if since <= each.at < until]
    return min(met, key=lambda each: (each.at, each.kind), default=None)


def limit_inside(inside: Inside, *, walltime_s: int, now: datetime, grace_s: int) -> int | None:
    """So many seconds a job may have in its reservation, if it starts now or at its beginning. None: it never will.

    All that it asked for; what is left of the reservation where its owner wants it shortened, or where it only lacks
    what passed between the reservation's beginning and our coming to it (at most grace_s).
    """
    left_s = int((inside.until - max(now, inside.since)).total_seconds())
    if inside.is_cancelled or left_s < 1:
        return None
    if walltime_s <= left_s:
        return walltime_s
    return left_s if inside.shorten or walltime_s - left_s <= grace_s else None


def booked_out(bookings: Sequence[Booking], device: Pool, *, since: datetime, until: datetime) -> Booking | None:
    """The first reservation because of which a QPU could not answer everybody during [since, until)."""
    met = [each for each in bookings if each.backend == device.name and each.since < until and since < each.until]
    for each in sorted(met, key=lambda booking: (booking.since, booking.reservation_id)):
        at = max(each.since, since)
        taken = sum(other.needs.qpus for other in met if other.since <= at < other.until)
        if taken >= device.total.qpus:
            return each
    return None


def is_on(booking: Booking, now: datetime) -> bool:
    """Whether it has begun and is not over."""
    return booking.since <= now < booking.until
