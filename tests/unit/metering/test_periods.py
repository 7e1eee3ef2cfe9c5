from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import UnknownPeriod
from metering.periods import PeriodKind, fiscal_year, month, months_of, parse, period_of, quarter

MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2190, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def utc(*of: int) -> datetime:
    return datetime(*of, tzinfo=UTC)


def test_a_month_begins_and_ends_at_midnight_in_tokyo() -> None:
    april = parse("2026-04")
    assert (april.since, april.until) == (utc(2026, 3, 31, 15), utc(2026, 4, 30, 15))
    assert (april.label_ja, april.label_en) == ("2026年4月", "April 2026")


def test_december_ends_in_the_next_year() -> None:
    assert parse("2026-12").until == utc(2026, 12, 31, 15)


def test_a_leap_day_belongs_to_its_month() -> None:
    assert parse("2028-02").until - parse("2028-02").since == timedelta(days=29)


def test_quarters_count_from_april() -> None:
    first, last = parse("2026-Q1"), parse("2026-Q4")
    assert (first.since, first.until) == (utc(2026, 3, 31, 15), utc(2026, 6, 30, 15))
    assert (last.since, last.until) == (utc(2026, 12, 31, 15), utc(2027, 3, 31, 15))
    assert last.label_ja == "2026年度第4四半期"


def test_a_fiscal_year_runs_from_april_to_march() -> None:
    year = parse("FY2026")
    assert (year.since, year.until, year.label_ja) == (utc(2026, 3, 31, 15), utc(2027, 3, 31, 15), "2026年度")


def test_the_last_instant_of_march_belongs_to_the_old_year() -> None:
    midnight = utc(2027, 3, 31, 15)
    assert period_of(PeriodKind.FISCAL_YEAR, midnight).code == "FY2027"
    assert period_of(PeriodKind.FISCAL_YEAR, midnight - timedelta(microseconds=1)).code == "FY2026"
    assert period_of(PeriodKind.QUARTER, midnight - timedelta(microseconds=1)).code == "2026-Q4"


@pytest.mark.parametrize(
    "code", ["2026-13", "2026-00", "2026-Q0", "2026-Q5", "FY26", "2026", "", "0000-01", "２０２６-01"]
)
def test_what_is_no_period_is_refused(code: str) -> None:
    with pytest.raises(UnknownPeriod):
        parse(code)


@given(MOMENTS, st.sampled_from(PeriodKind))
def test_every_instant_lies_in_its_period_and_the_code_reads_back(moment: datetime, kind: PeriodKind) -> None:
    period = period_of(kind, moment)
    assert period.since <= moment < period.until
    assert parse(period.code) == period


@given(st.integers(2001, 2199))
def test_months_and_quarters_make_up_the_year_without_gap(year: int) -> None:
    whole = fiscal_year(year)
    for parts in (months_of(whole), [quarter(year, n) for n in (1, 2, 3, 4)]):
        assert (parts[0].since, parts[-1].until) == (whole.since, whole.until)
        assert all(one.until == other.since for one, other in pairwise(parts))
    assert months_of(whole)[9] == month(year + 1, 1)
