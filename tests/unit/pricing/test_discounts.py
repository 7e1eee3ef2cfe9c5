"""Promotions and the volume discount: negative lines that add up, and never take more than is paid."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.discounts import (
    PROMOTION,
    VOLUME,
    Promoted,
    Promotion,
    RateMonth,
    Tier,
    reductions,
    volume_discount,
)
from pricing.errors import PolicyWrong
from pricing.policies import reference_age, require_policy
from pricing.policies import volume_discount as tiers_of
from pricing.reference import ReferenceAge
from pricing.units import micro
from tests.support.market import NOW

TIERS = (Tier(micro("1000"), 500), Tier(micro("10000"), 1_000))


def a_promotion(number: int = 1, *, percent_bp: int | None = 1_000, yen: str | None = None) -> Promotion:
    return Promotion(
        id=UUID(int=number),
        title_ja="春",
        title_en="Spring",
        starts_at=NOW,
        ends_at=NOW + timedelta(days=30),
        percent_bp=None if yen else percent_bp,
        month_micro_yen=None if yen is None else micro(yen),
    )


@pytest.mark.parametrize(
    ("month", "off"), [("0", "0"), ("1000", "0"), ("1001", "0.05"), ("10000", "450"), ("20000", "1450"), ("-5", "0")]
)
def test_each_part_of_a_month_has_its_own_tier(month: str, off: str) -> None:
    assert volume_discount(micro(month), TIERS) == micro(off)


@given(st.integers(0, 10**13), st.integers(0, 10**10))
def test_more_never_costs_less(month: int, more: int) -> None:
    assert month - volume_discount(month, TIERS) <= month + more - volume_discount(month + more, TIERS)


MONTHS = st.lists(
    st.builds(
        RateMonth,
        tax_rate_bp=st.sampled_from([0, 800, 1_000]),
        charged_micro_yen=st.integers(-(10**12), 10**12),
        granted_micro_yen=st.integers(-(10**11), 10**12),
    ),
    max_size=3,
    unique_by=lambda each: each.tax_rate_bp,
)
PROMOTED = st.lists(
    st.builds(
        Promoted,
        promotion=st.sampled_from([a_promotion(1), a_promotion(2, percent_bp=10_000), a_promotion(3, yen="500")]),
        tax_rate_bp=st.sampled_from([0, 800, 1_000]),
        charged_micro_yen=st.integers(-(10**11), 10**12),
    ),
    max_size=5,
    unique_by=lambda each: (each.promotion.id, each.tax_rate_bp),
)


@given(MONTHS, PROMOTED)
def test_all_together_never_take_more_than_is_paid_and_each_is_a_negative_line(
    months: list[RateMonth], promoted: list[Promoted]
) -> None:
    found = reductions(months, promoted, TIERS)
    assert all(each.micro_yen < 0 for each in found)
    for month in months:
        taken = -sum(each.micro_yen for each in found if each.tax_rate_bp == month.tax_rate_bp)
        assert taken <= month.own_micro_yen
    assert {each.tax_rate_bp for each in found} <= {each.tax_rate_bp for each in months}
    fixed = -sum(each.micro_yen for each in found if each.promotion and each.promotion.month_micro_yen)
    assert fixed <= micro("500")  # once a month, whatever the rates
    promoted_off = sum(each.micro_yen for each in found if each.code == PROMOTION)
    left = sum(each.own_micro_yen for each in months) + promoted_off
    assert -sum(each.micro_yen for each in found if each.code == VOLUME) == volume_discount(left, TIERS)
    assert reductions(list(reversed(months)), list(reversed(promoted)), TIERS) == found


def test_what_grants_cover_is_not_discounted_again() -> None:
    half = [RateMonth(tax_rate_bp=1_000, charged_micro_yen=micro("400"), granted_micro_yen=micro("200"))]
    jobs = [Promoted(promotion=a_promotion(), tax_rate_bp=1_000, charged_micro_yen=micro("300"))]
    (line,) = reductions(half, jobs, ())
    assert line.micro_yen == -micro("15")  # 10 % of the half of 300
    covered = [RateMonth(tax_rate_bp=1_000, charged_micro_yen=micro("400"), granted_micro_yen=micro("400"))]
    assert reductions(covered, jobs, TIERS) == []


def test_a_policy_has_its_default_and_its_form() -> None:
    assert reference_age(None) == ReferenceAge(90, 180)
    assert tiers_of(None) == ()
    assert tiers_of({"tiers": [{"above_yen": "0", "percent_bp": 1}]}) == (Tier(0, 1),)
    age = {"warn_after_days": 30, "block_after_days": 60}
    assert reference_age(age) == ReferenceAge(30, 60)
    rising = {"above_yen": "5", "percent_bp": 5}
    for name, wrong in (
        ("nothing", {}),
        ("market_reference_age", {}),
        ("market_reference_age", []),
        ("market_reference_age", {**age, "more": 1}),
        ("market_reference_age", {"warn_after_days": 61, "block_after_days": 60}),
        ("market_reference_age", {"warn_after_days": True, "block_after_days": 60}),
        ("volume_discount", {"tiers": [rising, rising]}),
        ("volume_discount", {"tiers": [{"above_yen": "x", "percent_bp": 5}]}),
        ("volume_discount", {"tiers": [{"above_yen": "-1", "percent_bp": 5}]}),
        ("volume_discount", {"tiers": [{"above_yen": "1", "percent_bp": 10_000}]}),
        ("volume_discount", {"tiers": 3}),
        ("volume_discount", {"tiers": [], "more": 1}),
        ("volume_discount", {"tiers": [{"above_yen": "1", "percent_bp": "5"}]}),
    ):
        with pytest.raises(PolicyWrong):
            require_policy(name, wrong)
