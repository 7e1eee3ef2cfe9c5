"""The price book: what a rule gives, how versions follow each other, and what the proposal's text keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.model import CustomerClass
from pricing.errors import (
    CoefficientWrong,
    PriceBackdated,
    PriceGap,
    PriceRuleBroken,
    PriceVersionExists,
    PriceVersionsOverlap,
)
from pricing.model import Component, ForeignPrice, NewPrice, ServiceClass
from pricing.pricebook import (
    NewVersion,
    Rule,
    Term,
    content_of,
    history,
    require_coefficients,
    require_term,
    versions_of,
)
from tests.support.market import GPU, NOW, an_id, gpu_price
from tests.support.prices import a_version


def day(number: int) -> datetime:
    return NOW + timedelta(days=number)


def require(new: Term, others: list[Term], retires_at: datetime | None = None) -> None:
    require_term(new, others, offering_id=GPU, retires_at=retires_at, now=NOW)


def test_versions_follow_each_other() -> None:
    first, later = Term(day(0)), Term(day(10))
    require(first, [])
    require(later, [first])
    require(Term(day(5), day(10)), [first, later])  # a promotion, after which the price is the later one's
    require(Term(day(5), day(20)), [first], retires_at=day(20))


REFUSED: list[tuple[Term, list[Term], type[Exception]]] = [
    (Term(day(-1)), [], PriceBackdated),
    (Term(day(3), day(3)), [], PriceBackdated),
    (Term(day(0)), [Term(day(0))], PriceVersionExists),
    (Term(day(5)), [Term(day(0)), Term(day(10))], PriceVersionsOverlap),
    (Term(day(5), day(11)), [Term(day(0)), Term(day(10))], PriceVersionsOverlap),
    (Term(day(7)), [Term(day(5), day(10)), Term(day(10))], PriceVersionsOverlap),
    (Term(day(5), day(9)), [Term(day(0)), Term(day(10))], PriceGap),
    (Term(day(5), day(9)), [Term(day(0))], PriceGap),
]


@pytest.mark.parametrize(("new", "others", "refusal"), REFUSED)
def test_overlaps_and_gaps_are_refused_by_name(new: Term, others: list[Term], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        require(new, others)


def test_an_end_before_the_offerings_retirement_leaves_a_gap() -> None:
    with pytest.raises(PriceGap):
        require(Term(day(5), day(19)), [], retires_at=day(20))


TERMS = st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(1, 14)), max_size=8)


@given(TERMS)
def test_whatever_is_published_each_instant_from_the_first_on_has_exactly_one_price(wishes: list[Any]) -> None:
    published: list[Term] = []
    for since, until in wishes:
        new = Term(day(since), None if until is None else day(until))
        try:
            require(new, published)
        except (PriceBackdated, PriceVersionExists, PriceVersionsOverlap, PriceGap):
            continue
        published.append(new)
    starts = sorted(each.valid_from for each in published)
    assert len(set(starts)) == len(starts)
    for each in published:  # where an end was said, the next one begins
        following = next((start for start in starts if start > each.valid_from), None)
        assert each.valid_until in (None, following)


@given(st.integers(0, 10**15), st.integers(0, 10_000), st.integers(0, 20_000))
def test_a_rules_price_is_rounded_down_once(list_micro_yen: int, class_bp: int, service_bp: int) -> None:
    price = Rule(class_bp, service_bp).price_of(list_micro_yen)
    exact = Decimal(list_micro_yen) * class_bp * service_bp / 10**8
    assert price <= exact < price + 1


def a_new(**other: Any) -> NewVersion:
    return NewVersion(
        id=UUID(int=1),
        offering_id=GPU,
        customer_class=CustomerClass.STARTUP,
        service_class=ServiceClass.STANDARD,
        valid_from=NOW,
        tax_rate_bp=1000,
        prices=(gpu_price("240"),),
        **other,
    )


def test_a_price_is_what_its_rule_says() -> None:
    require_coefficients(a_new())
    require_coefficients(a_new(rule=Rule(6_000, 10_000)))  # 60 % of 400
    with pytest.raises(PriceRuleBroken) as refused:
        require_coefficients(a_new(rule=Rule(6_001, 10_000)))
    assert refused.value.facts == {"component": "gpu_s", "price_yen": "240", "rule_yen": "240.04"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"slice_below_gpus": -1},
        {"slice_premium_bp": 100_001},
        {"minimum_s": 3_601},
        {"rule": Rule(10_001, 10_000)},
        {"rule": Rule(-1, 10_000)},
        {"rule": Rule(10_000, 20_001)},
    ],
)
def test_coefficients_have_their_ranges(wrong: dict[str, Any]) -> None:
    with pytest.raises(CoefficientWrong):
        require_coefficients(a_new(**wrong))


AMOUNTS = st.integers(0, 10**18)
PRICES = st.builds(
    NewPrice,
    component=st.sampled_from(Component),
    per=st.decimals("0.000001", "100000", places=6),
    price_micro_yen=AMOUNTS,
    list_micro_yen=AMOUNTS,
    market_reference_id=st.uuids(),
    foreign=st.none()
    | st.builds(
        ForeignPrice,
        currency=st.just("USD"),
        amount=st.decimals("0", "100000", places=6),
        exchange_rate=st.decimals("0.00000001", "1000", places=8),
        source=st.text(min_size=1),
        on=st.dates(date(2000, 1, 1)),
    ),
)
VERSIONS = st.builds(
    NewVersion,
    id=st.uuids(),
    offering_id=st.just(GPU),
    customer_class=st.sampled_from(CustomerClass),
    service_class=st.sampled_from(ServiceClass),
    valid_from=st.none() | st.datetimes(timezones=st.just(UTC)),
    tax_rate_bp=st.integers(0, 10_000),
    prices=st.lists(PRICES, max_size=2).map(tuple),
    valid_until=st.none() | st.datetimes(timezones=st.just(UTC)),
    rule=st.none() | st.builds(Rule, st.integers(0, 10_000), st.integers(0, 10_000)),
    slice_below_gpus=st.integers(0, 100),
    slice_premium_bp=st.integers(0, 100_000),
    minimum_s=st.integers(0, 3_600),
)


@given(st.lists(VERSIONS, max_size=3, unique_by=lambda each: each.id))
def test_a_proposals_text_keeps_everything_and_tells_the_latest_first(versions: list[NewVersion]) -> None:
    back = versions_of(content_of(versions))
    assert sorted(back, key=lambda each: each.id) == sorted(versions, key=lambda each: each.id)
    told = [each.valid_from for each in back if each.valid_from is not None]
    assert told == sorted(told, reverse=True)


def test_the_history_tells_until_when_each_price_held() -> None:
    first = a_version()
    second = replace(first, id=an_id("second"), valid_from=day(10))
    other = replace(first, id=an_id("other"), service_class=ServiceClass.SPOT)
    found = {each.version.id: each.valid_until for each in history([second, other, first], {}, {GPU: day(30)})}
    assert found == {first.id: day(10), second.id: day(30), other.id: day(30)}
    assert [each.valid_until for each in history([first], {}, {GPU: None})] == [None]
