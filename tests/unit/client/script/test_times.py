from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.errors import UsageError
from kyoyo.script.times import begin_of, walltime_s

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 11, 21, 14, 30, 20, tzinfo=TOKYO)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("10:00", 600),
        ("4:00:00", 14_400),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("0-00:00:01", 1),
        ("90s", 90),
        ("4h", 14_400),
        ("1h30m", 5_400),
        ("2D", 172_800),
    ],
)
def test_a_time_limit_is_read_as_slurm_reads_it(text: str, seconds: int) -> None:
    assert walltime_s(text) == seconds


@given(st.integers(1, 10**8))
def test_every_number_of_seconds_survives_being_written_as_days_and_clock(seconds: int) -> None:
    days, rest = divmod(seconds, 86_400)
    assert walltime_s(f"{days}-{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}") == seconds
    assert walltime_s(f"{seconds}s") == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0:00", "-5", "1:2:3:4", "infinite", "4 h", "1-", "１０", "1e3", "1.5h", "h"]
)
def test_a_time_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        walltime_s(text)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("now", "2026-11-21T14:30:20"),
        ("now+60", "2026-11-21T14:31:20"),
        ("now+1hour", "2026-11-21T15:30:20"),
        ("now + 2 days", "2026-11-23T14:30:20"),
        ("now+90min", "2026-11-21T16:00:20"),
        ("16:00", "2026-11-21T16:00:00"),
        ("14:30", "2026-11-21T14:30:00"),
        ("13:59:59", "2026-11-22T13:59:59"),
        ("4:30pm", "2026-11-21T16:30:00"),
        ("12am", None),
        ("12:00AM", "2026-11-22T00:00:00"),
        ("teatime", "2026-11-21T16:00:00"),
        ("noon", "2026-11-22T12:00:00"),
        ("today", "2026-11-21T00:00:00"),
        ("tomorrow", "2026-11-22T00:00:00"),
        ("2026-12-01", "2026-12-01T00:00:00"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00:07", "2026-12-01T09:00:07"),
        ("12/01", "2026-12-01T00:00:00"),
        ("12/01/27", "2027-12-01T00:00:00"),
        ("01/02", "2027-01-02T00:00:00"),
        ("120127", "2027-12-01T00:00:00"),
        ("2026-02-30", None),
        ("25:00", None),
        ("now+1fortnight", None),
        ("now-1hour", None),
        ("now+999999weeks", None),
        ("2026-12-01T", None),
        ("soon", None),
    ],
)
def test_a_begin_time_is_read_in_the_users_time_zone(text: str, local: str | None) -> None:
    if local is None:
        with pytest.raises(UsageError, match="not a time to begin"):
            begin_of(text)
        return
    assert begin_of(text).at(NOW.astimezone(UTC), TOKYO) == datetime.fromisoformat(local).replace(tzinfo=TOKYO)


def test_a_leap_day_of_no_year_is_refused_when_that_year_has_none() -> None:
    with pytest.raises(UsageError, match="no day 29 in month 2"):
        begin_of("02/29").at(NOW, TOKYO)


@given(st.integers(0, 500), st.sampled_from(["", "s", "seconds", "minutes", "hours", "days", "weeks"]))
def test_so_long_from_now_is_exact(count: int, unit: str) -> None:
    seconds = {"": 1, "s": 1, "seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}[unit]
    assert begin_of(f"now+{count}{unit}").at(NOW) == NOW + timedelta(seconds=count * seconds)


@given(st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2027-12-31")), st.times())
def test_a_time_of_day_is_the_next_one_that_comes(wall: datetime, clock: object) -> None:
    now = wall.replace(tzinfo=TOKYO)
    begin = begin_of(f"{clock:%H:%M}").at(now, TOKYO)
    assert timedelta(minutes=-1) < begin - now <= timedelta(days=1)


@given(st.text())
def test_no_text_raises_anything_but_a_named_refusal(text: str) -> None:
    with suppress(UsageError):
        begin_of(text)
    with suppress(UsageError):
        walltime_s(text)
