"""Advance reservations of the organisation: GPUs or QPUs that are its own for some hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from urllib.parse import quote

from kyoyo.models import Fields, Json
from kyoyo.transport import Transport


class Reservations:
    """What can be reserved, and what is. A job runs in one when it names it: `reservation="R3"`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def calendar(self, offering: str, *, first: date | None = None, days: int = 30) -> Sequence[Json]:
        """Day by day, in Japan's time: `units` that may be reserved at a time, and how many are `free` all day long."""
        begin = None if first is None else first.isoformat()
        return _items(self._transport.get("/calendar", offering=offering, first=begin, days=days))

    def list(self, *, ended: bool = False) -> Sequence[Json]:
        """The organisation's, by their beginning; `ended`: those that are over or cancelled, too."""
        return _items(self._transport.get("/reservations", ended="true" if ended else None))

    def book(self, offering: str, *, units: int, since: datetime, until: datetime, key: str | None = None) -> Json:
        """Reserve so many from one whole hour to another; both aware. Refused names the next time that is free."""
        wish = {"offering": offering, "units": units, "since": since.isoformat(), "until": until.isoformat()}
        return Fields(self._transport.post("/reservations", wish, key=key)).told

    def cancel(self, name: str) -> Json:
        """Give one up, by its name or id; until its `cancel_by`. NotFound, Conflict."""
        return Fields(self._transport.post(f"/reservations/{quote(name, safe='')}/cancel")).told

    # -- for operators ----------------------------------------------------------------------------------------------

    def set_capacity(
        self,
        offering: str,
        *,
        units: int,
        first_day: date,
        last_day: date | None = None,
        cancel_before_s: int | None = None,
    ) -> None:
        """So many of the machine behind an offering may be reserved on these days; without a last one, from then on."""
        wish: dict[str, object] = {"offering": offering, "units": units, "first_day": first_day.isoformat()}
        if last_day is not None:
            wish["last_day"] = last_day.isoformat()
        if cancel_before_s is not None:
            wish["cancel_before_s"] = cancel_before_s
        self._transport.post("/calendar", wish)

    def set_quota(self, organisation_id: str, *, units: int, unit_hours: int, days_ahead: int) -> None:
        """What an organisation may reserve from now on."""
        wish = {"max_units": units, "max_unit_hours": unit_hours, "max_days_ahead": days_ahead}
        self._transport.post(f"/organisations/{quote(organisation_id, safe='')}/reservation-quota", wish)

    def close(self, offering: str, *, since: datetime, until: datetime, reason: str) -> Json:
        """The machine behind an offering runs nothing then."""
        wish = {"offering": offering, "since": since.isoformat(), "until": until.isoformat(), "reason": reason}
        return Fields(self._transport.post("/closures", wish)).told

    def closures(self) -> Sequence[Json]:
        """When machines are closed, now and to come."""
        return _items(self._transport.get("/closures"))

    def lift(self, closure_id: str) -> None:
        """A closure will not be, or is over. NotFound."""
        self._transport.post(f"/closures/{quote(closure_id, safe='')}/lift")


def _items(told: object) -> Sequence[Json]:
    return Fields(told).items(lambda each: Fields(each).told)
