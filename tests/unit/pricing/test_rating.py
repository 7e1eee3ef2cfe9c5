from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.days import cut_at_midnight
from pricing.model import Component, UsageToRate
from pricing.rating import RatedPiece, rate
from pricing.units import amount_down, decimal, micro
from tests.support.market import QPU_OFFERING, QPU_PRICES, an_id, gpu_price, gpu_usage
from tests.support.prices import a_version

MIDNIGHT = datetime(2026, 3, 31, 15, tzinfo=UTC)
ROUND = a_version(prices=[gpu_price("360")])
QUANTUM = a_version(QPU_OFFERING, QPU_PRICES)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  naive bounds
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=9))
QUANTITIES = st.integers(0, 10**13)


def _usage(component: str, quantity: Decimal, since: datetime, until: datetime) -> UsageToRate:
    return UsageToRate(
        usage_record_id=an_id("usage"), component=component, quantity=quantity, started_at=since, ended_at=until
    )


def test_usage_is_priced_at_list_market_and_our_price_side_by_side() -> None:
    assert rate(gpu_usage("u", 1800), ROUND) == (
        RatedPiece(
            usage_record_id=an_id("usage", "u"),
            component=Component.GPU_S,
            day=date(2026, 4, 1),
            effective_at=gpu_usage("u", 1800).started_at,
            quantity_micro=micro(1800),
            list_micro_yen=micro(200),
            market_micro_yen=micro(250),
            price_micro_yen=micro(180),
        ),
    )


def test_gpu_time_over_midnight_is_cut_in_proportion() -> None:
    over = _usage("gpu_s", Decimal(7200), MIDNIGHT - timedelta(minutes=15), MIDNIGHT + timedelta(minutes=45))
    before, after = rate(over, ROUND)
    assert (before.day, before.quantity_micro, before.price_micro_yen) == (date(2026, 3, 31), micro(1800), micro(180))
    assert (after.day, after.quantity_micro, after.price_micro_yen) == (date(2026, 4, 1), micro(5400), micro(540))
    assert after.effective_at == MIDNIGHT


@given(QUANTITIES, MOMENTS, LENGTHS, st.integers(0, 400_000_000))
def test_pieces_add_up_to_the_whole_to_the_micro_yen(
    quantity: int, since: datetime, length: timedelta, price: int
) -> None:
    version = a_version(prices=[gpu_price(str(decimal(price)))])
    pieces = rate(_usage("gpu_s", decimal(quantity), since, since + length), version)
    assert sum(piece.quantity_micro for piece in pieces) == quantity
    assert sum(piece.price_micro_yen for piece in pieces) == amount_down(
        quantity, price_micro_yen=price, per_micro=micro(3600)
    )
    assert all(piece.price_micro_yen >= 0 and piece.quantity_micro >= 0 for piece in pieces)
    assert [piece.day for piece in pieces] == [cut.day for cut in cut_at_midnight(since, since + length)]


@given(QUANTITIES, MOMENTS, LENGTHS)
def test_every_piece_is_within_a_micro_yen_of_its_share(quantity: int, since: datetime, length: timedelta) -> None:
    for piece, cut in zip(
        rate(_usage("gpu_s", decimal(quantity), since, since + length), ROUND),
        cut_at_midnight(since, since + length),
        strict=True,
    ):
        share = (cut.until - cut.since) / length if length else 1
        exact = share * quantity * micro(360) / micro(3600)
        assert abs(piece.price_micro_yen - exact) <= 1 + exact * 1e-9  # the float is the inexact one


def test_what_is_counted_is_not_cut_and_belongs_to_the_day_of_its_end() -> None:
    since, until = MIDNIGHT - timedelta(seconds=5), MIDNIGHT
    for component, quantity in (("qpu_s", Decimal("3.000000")), ("shot", Decimal(4000))):
        (piece,) = rate(_usage(component, quantity, since, until), QUANTUM)
        assert (piece.day, piece.effective_at) == (date(2026, 4, 1), MIDNIGHT)


def test_usage_of_no_length_is_one_piece() -> None:
    (piece,) = rate(_usage("gpu_s", Decimal(10), MIDNIGHT, MIDNIGHT), ROUND)
    assert (piece.day, piece.price_micro_yen) == (date(2026, 4, 1), micro(1))


def test_cpu_time_is_recorded_and_not_rated() -> None:
    assert rate(gpu_usage("u", 3600, component="cpu_s"), ROUND) == ()


def test_nothing_is_ever_priced_zero_for_want_of_a_price() -> None:
    with pytest.raises(KeyError):
        rate(gpu_usage("u", 1, component="qpu_s"), ROUND)
