"""Time limits and begin times, in sbatch's grammar. Pure: what time it is now is an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo

from kyoyo.errors import UsageError

_COLONS = re.compile(r"(?:(?P<days>\d{1,5})-)?(?P<fields>\d{1,9}(?::\d{1,9}){0,2})", re.ASCII)
_SUFFIXED = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)
_SECONDS = (86_400, 3_600, 60, 1)

_NAMED = {"midnight": 0, "noon": 12, "elevenses": 11, "fika": 15, "teatime": 16}
_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_FROM_NOW = re.compile(r"now(?:\s*\+\s*(?P<count>\d{1,9})\s*(?P<unit>[a-z]*))?", re.ASCII)
_AGO = re.compile(r"now\s*-\s*(?P<count>\d{1,9})\s*(?P<unit>[a-z]*)", re.ASCII)
_DASHED = re.compile(r"(?P<date>\d{1,2}[./]\d{1,2}(?:[./]\d{2,4})?|\d{4}|\d{6})(?:-(?P<clock>[\d:]+))?", re.ASCII)
_CLOCK = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?\s*(?P<half>[ap]m)?", re.ASCII)
_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})(?:/(?P<year>\d{2}|\d{4}))?", re.ASCII),
    re.compile(r"(?P<month>\d{2})(?P<day>\d{2})(?P<year>\d{2})?", re.ASCII),
)
_HALF_DAY = 12
_LONGEST_S = 10 * 366 * 86_400
"""Nobody waits ten years; beyond that the calendar itself ends some time."""
_TOMORROW = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """When a job may begin: so long from now, or at a time of day on a day (or the next one that comes)."""

    from_now_s: int | None = None
    clock: time | None = None
    year: int | None = None
    month: int | None = None
    day: int | None = None
    days_on: int | None = None
    """0 for today, 1 for tomorrow."""

    def at(self, now: datetime, zone: tzinfo | None = None) -> datetime:
        """The instant, seen from now in a time zone (None: this machine's own). UsageError: there is no such day."""
        if self.from_now_s is not None:
            return now + timedelta(seconds=self.from_now_s)
        wall = now.astimezone(zone).replace(tzinfo=None)
        try:
            chosen = self._on_the_wall(wall)
        except ValueError as none:
            raise UsageError(key="wrong.no_day", month=self.month, day=self.day) from none
        return chosen.replace(tzinfo=zone) if zone else chosen.astimezone()

    def _on_the_wall(self, wall: datetime) -> datetime:
        clock = self.clock or time()
        if self.days_on is not None:
            return datetime.combine(wall.date() + timedelta(days=self.days_on), clock)
        if self.month is None or self.day is None:
            today = datetime.combine(wall.date(), clock)
            return today if today >= wall.replace(second=0, microsecond=0) else today + _TOMORROW
        if self.year is not None:
            return datetime.combine(datetime(self.year, self.month, self.day).date(), clock)  # noqa: DTZ001  a wall clock
        this_year = datetime.combine(datetime(wall.year, self.month, self.day).date(), clock)  # noqa: DTZ001  the same
        return this_year if this_year >= wall else this_year.replace(year=wall.year + 1)


def walltime_s(text: str) -> int:
    """Seconds of a time limit: Slurm's MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS, or 90s, 30m, 4h, 2d, 1h30m."""
    if suffixed := _SUFFIXED.fullmatch(text.strip().lower()):
        parts = [int(part or 0) for part in suffixed.groups()]
        seconds = sum(part * unit for part, unit in zip(parts, _SECONDS, strict=True))
    elif colons := _COLONS.fullmatch(text.strip()):
        seconds = _slurm_seconds(colons["days"], [int(part) for part in colons["fields"].split(":")])
    else:
        raise UsageError(key="wrong.time", text=repr(text))
    if seconds <= 0:
        raise UsageError(key="wrong.no_time", text=repr(text))
    return seconds


def seconds_of(time: str | int) -> int:
    """A time limit as walltime_s takes it, or seconds."""
    return walltime_s(time) if isinstance(time, str) else time


def begin_of(text: str) -> Begin:
    """now+1hour, 16:00, 4:30pm, teatime, tomorrow, 2026-12-01, 2026-12-01T09:00, 12/01, 120126. UsageError."""
    told = text.strip().lower()
    if relative := _FROM_NOW.fullmatch(told):
        return Begin(from_now_s=_seconds_of(text, relative["count"], relative["unit"]))
    if told in {"today", "tomorrow"}:
        return Begin(days_on=int(told == "tomorrow"))
    if clock := _clock(told):
        return Begin(clock=clock)
    date, joint, rest = told.partition("t") if not told.startswith("t") else ("", "", "")
    found = next(filter(None, (each.fullmatch(date) for each in _DATES)), None)
    clock = _clock(rest)
    if found is None or (joint and clock is None):
        raise UsageError(key="wrong.begin", text=repr(text))
    return _dated({name: int(value) for name, value in found.groupdict().items() if value}, clock, text)


def instant_of(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A time in the past or to come, as sacct's windows have them: also now-2hours, 1121-09:00, and 09:00 of today."""
    told = text.strip().lower()
    if past := _AGO.fullmatch(told):
        return now - timedelta(seconds=_seconds_of(text, past["count"], past["unit"]))
    if date := _DASHED.fullmatch(told):
        told = f"{date['date'].replace('.', '/')}{'t' if date['clock'] else ''}{date['clock'] or ''}"
    begin = begin_of(told)
    if begin.from_now_s is not None:
        return begin.at(now)
    wall = now.astimezone(zone)
    if begin.month is None and begin.days_on is None:
        begin = replace(begin, days_on=0)
    elif begin.month is not None and begin.year is None:
        begin = replace(begin, year=wall.year)
    return begin.at(now, zone)


def _seconds_of(text: str, count: str | None, unit: str | None) -> int:
    if count is None:
        return 0
    fitting = {size for name, size in _UNITS.items() if unit and f"{name}s".startswith(unit)} if unit else {1}
    seconds = int(count) * fitting.pop() if len(fitting) == 1 else _LONGEST_S
    if seconds >= _LONGEST_S:
        raise UsageError(key="wrong.begin", text=repr(text))
    return seconds


def _clock(told: str) -> time | None:
    if told in _NAMED:
        return time(_NAMED[told])
    found = _CLOCK.fullmatch(told)
    if found is None:
        return None
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= _HALF_DAY:
            return None
        hour = hour % _HALF_DAY + (_HALF_DAY if found["half"] == "pm" else 0)
    try:
        return time(hour, int(found["minute"]), int(found["second"] or 0))
    except ValueError:
        return None


def _dated(parts: dict[str, int], clock: time | None, text: str) -> Begin:
    year = parts.get("year")
    if year is not None and year < 100:  # noqa: PLR2004  two digits
        year += 2000
    try:
        datetime(year or 2024, parts["month"], parts["day"])  # noqa: DTZ001  only whether there is such a day
    except ValueError as none:
        raise UsageError(key="wrong.begin", text=repr(text)) from none
    return Begin(clock=clock, year=year, month=parts["month"], day=parts["day"])


def _slurm_seconds(days: str | None, parts: list[int]) -> int:
    if days is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return int(days) * 86_400 + hours * 3_600 + minutes * 60 + seconds
    match parts:
        case [minutes]:
            return minutes * 60
        case [minutes, seconds]:
            return minutes * 60 + seconds
        case _:
            return parts[0] * 3_600 + parts[1] * 60 + parts[2]
