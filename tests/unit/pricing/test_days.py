from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.days import Month, cut_at_midnight, day_of, midnight
from pricing.errors import MonthInvalid

MIDNIGHT = datetime(2026, 3, 31, 15, tzinfo=UTC)  # 1 April 00:00 in Tokyo
SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  naive bounds
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=40))


def test_a_day_is_a_day_in_tokyo_and_begins_with_its_midnight() -> None:
    assert day_of(MIDNIGHT) == date(2026, 4, 1)
    assert day_of(MIDNIGHT - timedelta(microseconds=1)) == date(2026, 3, 31)
    assert midnight(date(2026, 4, 1)) == MIDNIGHT


@given(MOMENTS, LENGTHS)
def test_pieces_are_the_interval_without_gap_or_overlap_each_in_one_day(since: datetime, length: timedelta) -> None:
    until = since + length
    pieces = cut_at_midnight(since, until)
    assert pieces[0].since == since
    assert pieces[-1].until == until
    assert [piece.until for piece in pieces[:-1]] == [piece.since for piece in pieces[1:]]
    assert [piece.day for piece in pieces] == sorted({piece.day for piece in pieces})
    for piece in pieces:
        assert midnight(piece.day) <= piece.since <= piece.until <= midnight(piece.day + timedelta(days=1))


@given(MOMENTS, LENGTHS, st.floats(0, 1, exclude_max=True))
def test_each_instant_lies_in_exactly_one_piece_that_of_its_day(
    since: datetime, length: timedelta, share: float
) -> None:
    moment = since + length * share
    inside = [piece for piece in cut_at_midnight(since, since + length) if piece.since <= moment < piece.until]
    assert [piece.day for piece in inside] == ([day_of(moment)] if moment < since + length else [])


def test_an_interval_that_ends_at_midnight_has_no_piece_of_the_next_day() -> None:
    assert [piece.day for piece in cut_at_midnight(MIDNIGHT - SECOND, MIDNIGHT)] == [date(2026, 3, 31)]


def test_an_empty_interval_is_one_empty_piece() -> None:
    (piece,) = cut_at_midnight(MIDNIGHT, MIDNIGHT)
    assert (piece.day, piece.since, piece.until) == (date(2026, 4, 1), MIDNIGHT, MIDNIGHT)


def test_an_interval_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        cut_at_midnight(MIDNIGHT, MIDNIGHT - SECOND)


def test_a_month_is_half_open_in_tokyo() -> None:
    april = Month.parse("2026-04")
    assert (april.since, april.until) == (MIDNIGHT, datetime(2026, 4, 30, 15, tzinfo=UTC))
    assert april.until == april.following.since
    assert str(Month.parse("2026-12").following) == "2027-01"
    assert Month.of(date(2026, 4, 30)) == april


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-0", "2026-4", "26-04", "2026-04-01", "二〇二六-04", "1999-12"]
)
def test_what_is_not_a_month_is_refused(text: str) -> None:
    with pytest.raises(MonthInvalid):
        Month.parse(text)
