"""The values of reservations. Units are GPUs or QPUs; times are whole hours, half-open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from hpc_adapters.contract import Resources

_NAME = re.compile(r"R([1-9][0-9]{0,8})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What is asked for."""

    offering_id: str
    units: int
    since: datetime
    until: datetime

    @property
    def hours(self) -> int:
        """How long it is."""
        return int((self.until - self.since).total_seconds()) // 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Units of a backend that are an organisation's own for a time."""

    id: UUID
    organisation_id: UUID
    number: int
    person_id: UUID
    offering_id: str
    backend: str
    units: int
    needs: Resources
    since: datetime
    until: datetime
    cancel_by: datetime
    booked_at: datetime
    cancelled_at: datetime | None = None

    @property
    def name(self) -> str:
        """What its organisation calls it."""
        return f"R{self.number}"

    def state(self, now: datetime) -> str:
        """'booked', 'on', 'over' or 'cancelled'."""
        if self.cancelled_at is not None:
            return "cancelled"
        return "booked" if now < self.since else "on" if now < self.until else "over"

    def is_over(self, now: datetime) -> bool:
        """Nothing can run in it any more."""
        return self.cancelled_at is not None or now >= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What an organisation may reserve."""

    max_units: int = 32
    """At a time on one backend, all its reservations together."""
    max_unit_hours: int = 5_376
    """Of one reservation."""
    max_days_ahead: int = 60
    """It ends so many days from its booking at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservable:
    """How much of a backend may be reserved on days of Asia/Tokyo, the last included; last_day None: from then on."""

    backend: str
    first_day: date
    last_day: date | None
    units: int
    cancel_before_s: int
    """Cancelled without consequence until so long before its beginning."""


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a backend's calendar. units: that may be reserved; reserved: by everybody together."""

    at: datetime
    units: int
    reserved: int

    @property
    def free(self) -> int:
        """What can still be booked."""
        return max(0, self.units - self.reserved)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the calendar. units: the most that may be reserved in any of its hours; free: for all the day."""

    day: date
    units: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A backend runs nothing during [since, until)."""

    id: UUID
    backend: str
    since: datetime
    until: datetime
    reason: str


def number_of(name: str | None) -> int | None:
    """The number of a reservation of ours by its name, R1, R2, …; None: it is none of ours, but the site's."""
    found = None if name is None else _NAME.fullmatch(name)
    return None if found is None else int(found[1])
