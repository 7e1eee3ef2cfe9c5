"""Accounting time: days and months of Asia/Tokyo, half-open, over instants in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from infra.tokyo import TOKYO
from pricing.errors import MonthInvalid


def day_of(moment: datetime) -> date:
    """The accounting day to which an instant belongs; midnight belongs to the day that begins."""
    return moment.astimezone(TOKYO).date()


def midnight(day: date) -> datetime:
    """The instant at which an accounting day begins, in UTC."""
    return datetime.combine(day, time(), TOKYO).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """The part [since, until) of an interval that lies in one accounting day."""

    day: date
    since: datetime
    until: datetime


def cut_at_midnight(since: datetime, until: datetime) -> tuple[Piece, ...]:
    """Cut [since, until) into its accounting days, in order. An empty interval is one empty piece of its day.

    ValueError when it ends before it begins.
    """
    if until < since:
        raise ValueError(f"ends before it begins: {since} .. {until}")
    pieces: list[Piece] = []
    at = since
    while not pieces or at < until:
        day = day_of(at)
        end = min(until, midnight(day + timedelta(days=1)))
        pieces.append(Piece(day, at, end))
        at = end
    return tuple(pieces)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of accounting days, e.g. 2026-04."""

    year: int
    number: int

    def __post_init__(self) -> None:
        if not (1 <= self.number <= 12 and 2000 <= self.year <= 9998):  # noqa: PLR2004  months of a year
            raise MonthInvalid(month=f"{self.year}-{self.number}")

    @classmethod
    def parse(cls, text: str) -> Month:
        """From 'YYYY-MM'. MonthInvalid."""
        year, dash, number = text.partition("-")
        digits = text.isascii() and year.isdigit() and number.isdigit()
        if not (digits and dash and len(year) == 4 and len(number) == 2):  # noqa: PLR2004  YYYY-MM
            raise MonthInvalid(month=text[:20])
        return cls(int(year), int(number))

    @classmethod
    def of(cls, day: date) -> Month:
        """The month of an accounting day."""
        return cls(day.year, day.month)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def following(self) -> Month:
        """The month after."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def since(self) -> datetime:
        """The instant at which it begins, in UTC."""
        return midnight(self.first)

    @property
    def until(self) -> datetime:
        """The instant at which the next one begins, in UTC."""
        return midnight(self.following.first)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"
