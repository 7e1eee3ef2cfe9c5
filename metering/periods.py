"""Periods of reporting: months, quarters and fiscal years of Asia/Tokyo. Pure.

A fiscal year runs from April to March and is named by the year in which it begins (年度); its first quarter begins in
April. Periods are half-open: midnight belongs to the day that begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hpc_adapters.contract import Window
from infra.tokyo import TOKYO
from metering.errors import UnknownPeriod

FORMS = ("2026-11", "2026-Q3", "FY2026")
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")
_FISCAL_YEAR = re.compile(r"FY([0-9]{4})")
_FIRST_YEAR, _LAST_YEAR = 2000, 2200
_APRIL = 4


class PeriodKind(StrEnum):
    MONTH = "month"
    QUARTER = "quarter"
    FISCAL_YEAR = "fiscal_year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """[since, until) in UTC; `code` names it and reads back with `parse`."""

    kind: PeriodKind
    code: str
    since: datetime
    until: datetime
    label_ja: str
    label_en: str

    @property
    def window(self) -> Window:
        return Window(self.since, self.until)


def parse(code: str) -> Period:
    """From '2026-11' (month), '2026-Q3' (third quarter of fiscal year 2026) or 'FY2026'. UnknownPeriod."""
    for form, make in ((_MONTH, month), (_QUARTER, quarter)):
        if found := form.fullmatch(code):
            return make(_year(found[1], code), int(found[2]))
    if found := _FISCAL_YEAR.fullmatch(code):
        return fiscal_year(_year(found[1], code))
    raise UnknownPeriod(period=code[:20], forms=list(FORMS))


def month(year: int, number: int) -> Period:
    """A calendar month, 1 to 12."""
    since, label = _first_of(year, number), f"{year}年{number}月"
    return _period(PeriodKind.MONTH, f"{year:04d}-{number:02d}", since, 1, label, since.strftime("%B %Y"))


def quarter(year: int, number: int) -> Period:
    """A quarter, 1 to 4, of the fiscal year `year`: the first is April to June."""
    since = _first_of(year, _APRIL + 3 * (number - 1))
    label = f"{year}年度第{number}四半期"
    return _period(PeriodKind.QUARTER, f"{year:04d}-Q{number}", since, 3, label, f"FY{year} Q{number}")


def fiscal_year(year: int) -> Period:
    """April of `year` to March of the next."""
    return _period(PeriodKind.FISCAL_YEAR, f"FY{year:04d}", _first_of(year, _APRIL), 12, f"{year}年度", f"FY{year}")


def period_of(kind: PeriodKind, moment: datetime) -> Period:
    """The period of this kind in which an instant lies."""
    local = moment.astimezone(TOKYO)
    fiscal, months_in = divmod(local.year * 12 + local.month - _APRIL, 12)
    match kind:
        case PeriodKind.MONTH:
            return month(local.year, local.month)
        case PeriodKind.QUARTER:
            return quarter(fiscal, months_in // 3 + 1)
        case PeriodKind.FISCAL_YEAR:
            return fiscal_year(fiscal)


def months_of(period: Period) -> list[Period]:
    """The months that make up a period, in order."""
    months = [period_of(PeriodKind.MONTH, period.since)]
    while months[-1].until < period.until:
        months.append(period_of(PeriodKind.MONTH, months[-1].until))
    return months


def _year(digits: str, code: str) -> int:
    if not _FIRST_YEAR <= int(digits) <= _LAST_YEAR:
        raise UnknownPeriod(period=code, forms=list(FORMS))
    return int(digits)


def _first_of(year: int, month_number: int) -> datetime:
    """Midnight at the start of a month in Japan; month 13 is January of the next year."""
    return datetime(year + (month_number - 1) // 12, (month_number - 1) % 12 + 1, 1, tzinfo=TOKYO)


def _period(kind: PeriodKind, code: str, since: datetime, months: int, label_ja: str, label_en: str) -> Period:
    until = _first_of(since.year, since.month + months)
    return Period(
        kind=kind,
        code=code,
        since=since.astimezone(UTC),
        until=until.astimezone(UTC),
        label_ja=label_ja,
        label_en=label_en,
    )
