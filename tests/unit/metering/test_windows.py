from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Window
from metering.windows import clipped, next_window, share_of, unit_seconds

START = datetime(2026, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def hours(since: float, until: float) -> Window:
    return Window(at(since), at(until))


def test_the_next_window_overlaps_the_last() -> None:
    window = next_window(at(10), now=at(11), overlap=2 * HOUR, longest=24 * HOUR)
    assert window == hours(8, 11)


def test_a_long_stop_is_read_in_slices() -> None:
    assert next_window(at(0), now=at(100), overlap=HOUR, longest=24 * HOUR) == hours(-1, 24)


def test_the_watermark_never_runs_backward() -> None:
    assert next_window(at(10), now=at(9), overlap=HOUR, longest=24 * HOUR) == hours(9, 10)


def test_a_window_is_cut_at_the_instant_of_knowledge() -> None:
    assert clipped(hours(0, 10), at(4)) == hours(0, 4)
    assert clipped(hours(0, 10), at(40)) == hours(0, 10)
    assert clipped(hours(5, 10), at(4)) == hours(5, 5)


def test_use_is_shared_by_time() -> None:
    assert share_of(Decimal(7200), hours(0, 2), hours(1, 5)) == 3600
    assert share_of(Decimal(7200), hours(0, 2), hours(3, 5)) == 0


def test_what_ran_no_time_belongs_to_the_instant_of_its_end() -> None:
    assert share_of(Decimal(5), hours(1, 1), hours(1, 2)) == 5
    assert share_of(Decimal(5), hours(1, 1), hours(0, 1)) == 0


@given(
    st.decimals(0, 10**9, places=6),
    st.integers(0, 10**12),
    st.lists(st.integers(-(10**12), 2 * 10**12), max_size=8).map(sorted),
)
def test_the_parts_of_a_run_add_up_to_the_run(quantity: Decimal, ran_us: int, borders: list[int]) -> None:
    ran = Window(START, START + timedelta(microseconds=ran_us))
    cuts = [START - timedelta(days=30), *(START + timedelta(microseconds=us) for us in borders), at(24 * 30)]
    parts = [share_of(quantity, ran, Window(a, b)) for a, b in pairwise(cuts)]
    assert sum(parts) == quantity
    assert min(parts) >= 0


def test_units_count_from_each_change_to_the_next() -> None:
    changes = [(at(0), 8), (at(2), 0), (at(3), 4)]
    assert unit_seconds(changes, hours(1, 5)) == (8 * 1 + 4 * 2) * 3600
    assert unit_seconds(changes, hours(-5, 0)) == 0
    assert unit_seconds([], hours(0, 1)) == 0
    assert unit_seconds([(at(9), 8)], hours(0, 1)) == 0
