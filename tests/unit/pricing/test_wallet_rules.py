"""Prepaid value and the law, burn, limits, notices, and what may still be given out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tokyo import TOKYO
from pricing import burn, issuance, prepaid, thresholds
from pricing.budgets import Budget, BudgetPeriod, Spent, require_within
from pricing.days import day_of, midnight
from pricing.errors import BudgetExceeded, MoreThanDeliverable
from pricing.issuance import Deliverable, Issuance
from pricing.ledger.balances import LotBalance
from pricing.model import LotKind
from pricing.thresholds import IssuedLot
from pricing.units import MICRO
from tests.support.staff import an_id

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)  # noon in Tokyo
ORG = an_id("org")


def lot(amount: int, *, kind: LotKind = LotKind.GRANT, days: int | None = 100, key: object = 1) -> LotBalance:
    expires_at = None if days is None else NOW + timedelta(days=days)
    return LotBalance(lot_id=an_id("lot", key), kind=kind, expires_at=expires_at, available_micro_yen=amount)


# --- prepaid value ---


@pytest.mark.parametrize(
    ("paid_on", "lapses_on"),
    [
        (date(2026, 4, 10), date(2026, 10, 9)),
        (date(2026, 8, 31), date(2027, 2, 28)),
        (date(2026, 12, 31), date(2027, 6, 30)),
        (date(2026, 9, 1), date(2027, 2, 28)),
    ],
)
def test_prepaid_value_lapses_before_six_months_are_over(paid_on: date, lapses_on: date) -> None:
    paid_at = datetime(paid_on.year, paid_on.month, paid_on.day, 23, 59, tzinfo=TOKYO)
    assert prepaid.expiry(paid_at) == midnight(lapses_on)
    assert prepaid.is_exempt(paid_at, midnight(lapses_on))
    assert not prepaid.is_exempt(paid_at, midnight(lapses_on) + timedelta(microseconds=1))
    assert prepaid.expiry(paid_at, months=None) is None
    assert not prepaid.is_exempt(paid_at, None)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_life_of_prepaid_value_is_always_shorter_than_any_six_months(paid_at: datetime) -> None:
    lapses = prepaid.expiry(paid_at)
    assert lapses is not None
    assert timedelta(days=178) <= lapses - midnight(day_of(paid_at)) < timedelta(days=184)
    last = day_of(lapses - timedelta(microseconds=1))
    first = day_of(paid_at)
    months = (last.year - first.year) * 12 + last.month - first.month
    assert months < prepaid.LAWFUL_MONTHS or (months == prepaid.LAWFUL_MONTHS and last.day < first.day - 1)


@pytest.mark.parametrize(
    ("day", "base"),
    [
        (date(2027, 3, 30), date(2026, 9, 30)),
        (date(2027, 3, 31), date(2027, 3, 31)),
        (date(2026, 9, 29), date(2026, 3, 31)),
        (date(2026, 12, 31), date(2026, 9, 30)),
    ],
)
def test_the_base_dates_of_the_law(day: date, base: date) -> None:
    assert prepaid.base_date(day) == base


def test_only_more_than_ten_million_yen_of_lasting_value_obliges_and_all_of_it_warns() -> None:
    at_limit = prepaid.PrepaidBalance(
        on=date(2027, 3, 31), exempt_micro_yen=0, counted_micro_yen=prepaid.NOTIFY_ABOVE_YEN * MICRO
    )
    assert (at_limit.is_base_date, at_limit.must_notify, at_limit.warns, at_limit.deposit_yen) == (True, False, True, 0)
    above = replace(at_limit, counted_micro_yen=at_limit.counted_micro_yen + 1)
    assert (above.must_notify, above.deposit_yen) == (True, 5_000_001)
    exempt = replace(at_limit, exempt_micro_yen=at_limit.counted_micro_yen, counted_micro_yen=0, on=date(2027, 4, 1))
    assert (exempt.is_base_date, exempt.must_notify, exempt.warns) == (False, False, True)


# --- burn ---


def test_a_wallet_empties_in_its_order_and_what_lapses_first_is_seen() -> None:
    today = day_of(NOW)
    used = {today - timedelta(days=back): 3 * MICRO for back in range(1, 11)}
    lots = [
        lot(100 * MICRO, days=10, key="soon"),
        lot(7 * MICRO, kind=LotKind.PREPAID, key="paid"),
        lot(2 * MICRO, kind=LotKind.CREDIT, days=None, key="credit"),
    ]
    seen = burn.outlook(lots, used_by_day=used, opened_on=today - timedelta(days=10), now=NOW)
    assert (seen.days, seen.per_day_micro_yen) == (10, 3 * MICRO)
    assert seen.lapsing_micro_yen == 70 * MICRO, "ten days at 3 yen, then the grant is gone"
    assert seen.exhausted_on == today + timedelta(days=13), "9 yen are three more days"


def test_without_use_nothing_is_exhausted_and_all_that_lapses_will_lapse() -> None:
    seen = burn.outlook(
        [lot(5), lot(7, kind=LotKind.CREDIT, days=None, key=2)], used_by_day={}, opened_on=day_of(NOW), now=NOW
    )
    assert (seen.days, seen.per_day_micro_yen, seen.exhausted_on, seen.lapsing_micro_yen) == (0, 0, None, 5)


@given(
    amounts=st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 60)), max_size=5),
    per_day=st.integers(0, 10**8),
)
def test_what_there_is_is_used_or_lapses(amounts: list[tuple[int, int]], per_day: int) -> None:
    lots = [lot(amount, days=days, key=place) for place, (amount, days) in enumerate(amounts)]
    used = {day_of(NOW) - timedelta(days=1): per_day}
    seen = burn.outlook(lots, used_by_day=used, opened_on=day_of(NOW) - timedelta(days=1), now=NOW)
    total = sum(amount for amount, _ in amounts)
    assert 0 <= seen.lapsing_micro_yen <= total
    if per_day:
        assert seen.exhausted_on is not None
        days = (seen.exhausted_on - day_of(NOW)).days
        assert total - seen.lapsing_micro_yen < (days + 1) * per_day
    else:
        assert seen.lapsing_micro_yen == total


# --- limits ---


def a_budget(limit_yen: int, **changed: object) -> Budget:
    budget = Budget(
        id=an_id("budget"),
        organisation_id=ORG,
        project_id=an_id("project"),
        person_id=None,
        period=BudgetPeriod.MONTH,
        limit_yen=limit_yen,
        reason="a test",
        decided_by=an_id("owner"),
        decided_at=NOW,
    )
    return replace(budget, **changed)


def test_a_limit_counts_what_is_charged_and_what_open_holds_may_cost() -> None:
    spent = Spent(
        budget=a_budget(100), since=date(2026, 11, 1), charged_micro_yen=30 * MICRO, held_micro_yen=20 * MICRO
    )
    require_within([spent], needed_micro_yen=50 * MICRO)
    tighter = replace(spent, budget=a_budget(60, id=an_id("b"), project_id=None, person_id=an_id("member")))
    with pytest.raises(BudgetExceeded) as refused:
        require_within([spent, tighter], needed_micro_yen=50 * MICRO + 1)
    assert refused.value.facts == {
        "of": "member",
        "period": "month",
        "limit_yen": "60",
        "left_yen": "10",
        "needed_yen": "50.000001",
    }


def test_a_limit_covers_its_project_and_its_member() -> None:
    project, person = an_id("project"), an_id("person")
    assert a_budget(1).covers(project, person)
    assert not a_budget(1).covers(an_id("other"), person)
    both = a_budget(1, person_id=person)
    assert both.covers(project, person)
    assert not both.covers(project, an_id("somebody else"))
    assert a_budget(1, project_id=None).covers(an_id("other"), person)


@pytest.mark.parametrize(
    ("period", "at", "begins"),
    [
        (BudgetPeriod.MONTH, datetime(2027, 3, 31, 23, 59, tzinfo=TOKYO), date(2027, 3, 1)),
        (BudgetPeriod.FISCAL_YEAR, datetime(2027, 3, 31, 23, 59, tzinfo=TOKYO), date(2026, 4, 1)),
        (BudgetPeriod.FISCAL_YEAR, datetime(2027, 4, 1, tzinfo=TOKYO), date(2027, 4, 1)),
        (BudgetPeriod.FOREVER, NOW, date.min),
    ],
)
def test_periods_of_limits_are_those_of_tokyo(period: BudgetPeriod, at: datetime, begins: date) -> None:
    assert period.begins(at.astimezone(UTC)) == begins


# --- notices ---


def issued(free: int, of: int, **changed: object) -> IssuedLot:
    return IssuedLot(lot=lot(free, **changed), issued_micro_yen=of)


@pytest.mark.parametrize(("free", "percent"), [(26, None), (25, "75"), (11, "75"), (10, "90"), (1, "90"), (0, "100")])
def test_notice_is_given_at_three_quarters_nine_tenths_and_all(free: int, percent: str | None) -> None:
    told = thresholds.of_wallet(ORG, [issued(free, 100)], NOW)
    assert [each.facts["percent"] for each in told] == ([] if percent is None else [percent])


def test_a_threshold_is_told_once_and_again_when_value_came() -> None:
    (first,) = thresholds.of_wallet(ORG, [issued(20, 100)], NOW)
    (same,) = thresholds.of_wallet(ORG, [issued(12, 100)], NOW + timedelta(days=1))
    assert first.id == same.id
    more = [issued(20, 100), issued(5, 20, key="new")]
    (again,) = thresholds.of_wallet(ORG, more, NOW)
    assert again.id != first.id
    assert thresholds.of_wallet(ORG, [issued(0, 100, days=0)], NOW) == [], "what has lapsed is not in force"


def test_what_lapses_soon_is_told_at_thirty_days_and_at_seven() -> None:
    def told(days: int) -> list[str]:
        return [each.facts["days"] for each in thresholds.of_lapsing(ORG, [issued(5, 10, days=days)], NOW)]

    assert [told(31), told(30), told(8), told(7), told(0)] == [[], ["30"], ["30"], ["7"], []]
    assert thresholds.of_lapsing(ORG, [issued(0, 10, days=3)], NOW) == [], "nothing is left to lapse"


def test_a_limit_is_told_of_in_each_period() -> None:
    spent = Spent(budget=a_budget(100), since=date(2026, 11, 1), charged_micro_yen=95 * MICRO, held_micro_yen=0)
    (november,) = thresholds.of_budgets([spent])
    (december,) = thresholds.of_budgets([replace(spent, since=date(2026, 12, 1))])
    assert november.facts["percent"] == december.facts["percent"] == "90"
    assert november.id != december.id
    assert thresholds.of_budgets([replace(spent, budget=a_budget(0))]) == [], "a limit of nothing has no share"


# --- what may be given out ---


def test_value_is_given_out_only_for_what_the_machines_can_deliver() -> None:
    until = issuance.period_end(NOW)
    assert until == midnight(date(2027, 4, 1))
    day = until - timedelta(hours=24)
    gpus = Deliverable(
        resource_type="gpu-h200",
        component="gpu_s",
        per_hour=Decimal(8 * 3600),
        price_micro_yen=100 * MICRO,
        per=Decimal(3600),
    )
    can = issuance.deliverable_micro_yen([gpus], now=day, until=until)
    assert can == 24 * 8 * 100 * MICRO
    left = Issuance(until=until, deliverable_micro_yen=can, outstanding_micro_yen=can - 5)
    left.require(5)
    with pytest.raises(MoreThanDeliverable) as refused:
        left.require(6)
    assert refused.value.facts["left_yen"] == "0.000005"
    assert issuance.deliverable_micro_yen([], now=day, until=until) is None
    replace(left, deliverable_micro_yen=None).require(10**18)
    assert issuance.deliverable_micro_yen([gpus], now=until, until=until) == 0


@pytest.mark.parametrize(
    ("at", "end"),
    [
        (datetime(2027, 3, 31, 23, 59, 59, tzinfo=TOKYO), date(2027, 4, 1)),
        (datetime(2027, 4, 1, tzinfo=TOKYO), date(2028, 4, 1)),
    ],
)
def test_the_period_ends_with_the_fiscal_year(at: datetime, end: date) -> None:
    assert issuance.period_end(at.astimezone(UTC)) == midnight(end)
