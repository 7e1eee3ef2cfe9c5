from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.units import amount_down, amount_up, ceil_div, decimal, micro, tax_on, with_tax, without_tax, yen_text

AMOUNTS = st.integers(min_value=-(10**15), max_value=10**15)
COUNTS = st.integers(min_value=0, max_value=10**12)
PRICES = st.integers(min_value=0, max_value=10**10)
PER = st.integers(min_value=1, max_value=10**10)


@pytest.mark.parametrize(
    ("micro_yen", "text"),
    [(0, "0"), (1_200_000_000, "1200"), (250_000, "0.25"), (-3_000_001, "-3.000001"), (-500_000, "-0.5")],
)
def test_yen_are_written_exactly_and_without_needless_zeros(micro_yen: int, text: str) -> None:
    assert yen_text(micro_yen) == text


@given(AMOUNTS)
def test_text_and_number_lead_back_to_the_same_amount(micro_yen: int) -> None:
    assert micro(yen_text(micro_yen)) == micro_yen
    assert micro(decimal(micro_yen)) == micro_yen


@pytest.mark.parametrize("value", ["0.0000001", "NaN", "Infinity", Decimal("1.2345678")])
def test_an_amount_that_is_not_exact_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="six decimal places"):
        micro(value)


@given(COUNTS, PRICES, PER)
def test_a_charge_rounds_down_and_a_ceiling_up_by_less_than_a_micro_yen(quantity: int, price: int, per: int) -> None:
    down = amount_down(quantity, price_micro_yen=price, per_micro=per)
    up = amount_up(quantity, price_micro_yen=price, per_micro=per)
    assert down * per <= quantity * price <= up * per
    assert 0 <= up - down <= 1


@given(COUNTS, COUNTS, PRICES, PER)
def test_parts_never_cost_more_than_the_whole(one: int, other: int, price: int, per: int) -> None:
    def cost(quantity: int) -> int:
        return amount_down(quantity, price_micro_yen=price, per_micro=per)

    assert cost(one) + cost(other) <= cost(one + other)


@given(st.integers(min_value=0, max_value=10**15), st.integers(min_value=0, max_value=10_000))
def test_tax_rounds_down(net: int, rate_bp: int) -> None:
    assert tax_on(net, rate_bp) * 10_000 <= net * rate_bp < (tax_on(net, rate_bp) + 1) * 10_000
    assert with_tax(net, rate_bp) == net + tax_on(net, rate_bp)


@given(st.integers(0, 10**15), st.integers(0, 5_000))
def test_without_tax_is_the_most_that_is_covered_with_it(gross: int, rate_bp: int) -> None:
    net = without_tax(gross, rate_bp)
    assert with_tax(net, rate_bp) <= gross < with_tax(net + 1, rate_bp)


def test_a_quotient_can_be_rounded_up() -> None:
    assert [ceil_div(n, 3) for n in (-4, -3, 0, 1, 3, 4)] == [-1, -1, 0, 1, 1, 2]
