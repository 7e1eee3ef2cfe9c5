"""The backstop's number: never below what can be paid, never endless."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.site.budget import LEAST_MINUTES, MOST_MINUTES, gpu_minutes

YEN = 1_000_000
PER_GPU_S = Decimal(300 * YEN) / 3600


@pytest.mark.parametrize(
    ("used_s", "payable_yen", "minutes"),
    [(0, 0, LEAST_MINUTES), (0, 3000, 900), (3600, 0, 90), (3600, 3000, 990), (61, 3000, 902)],
)
def test_what_was_used_and_what_can_be_paid_with_room(used_s: int, payable_yen: int, minutes: int) -> None:
    told = gpu_minutes(used_gpu_s=Decimal(used_s), payable_micro_yen=payable_yen * YEN, micro_yen_per_gpu_s=PER_GPU_S)
    assert told == minutes


@given(st.integers(0, 10**12), st.integers(0, 10**18), st.integers(0, 10**9))
def test_it_never_stops_what_is_paid_for(used_s: int, payable: int, price: int) -> None:
    told = gpu_minutes(
        used_gpu_s=Decimal(used_s), payable_micro_yen=payable, micro_yen_per_gpu_s=Decimal(price) if price else None
    )
    needed_s = used_s + (payable / price if price else 0)
    assert told >= min(needed_s / 60, MOST_MINUTES)
    assert LEAST_MINUTES <= told <= MOST_MINUTES


def test_a_price_of_nothing_is_the_most() -> None:
    assert gpu_minutes(used_gpu_s=Decimal(0), payable_micro_yen=0, micro_yen_per_gpu_s=Decimal(0)) == MOST_MINUTES
