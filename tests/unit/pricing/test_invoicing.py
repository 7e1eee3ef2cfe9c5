from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import invoicing
from pricing.days import Month
from pricing.invoicing import Cover, Invoice, Rounding, UsageSum
from pricing.ledger import balances
from pricing.ledger.balances import Part
from pricing.model import Component, LotKind
from pricing.units import MICRO, micro
from tests.support.market import NEXT_YEAR, NOW, an_id

ORG = an_id("org")


def _usage(
    charged: str, *, list_yen: str | None = None, price: str | None = None, rate: int = 1000, offering: str = "gpu"
) -> UsageSum:
    return UsageSum(
        offering_id=offering,
        component=Component.GPU_S,
        tax_rate_bp=rate,
        quantity=Decimal(1),
        list_micro_yen=micro(list_yen or price or charged),
        price_micro_yen=micro(price or charged),
        charged_micro_yen=micro(charged),
    )


def _cover(
    before: str = "0", after: str = "0", *, grant: str = "0", prepaid: str = "0", credit: str = "0", rate: int = 1000
) -> Cover:
    parts = [
        Part(
            lot_id=an_id(kind),
            kind=kind,
            expires_at=NEXT_YEAR if kind is LotKind.GRANT else None,
            amount_micro_yen=micro(yen),
        )
        for kind, yen in ((LotKind.GRANT, grant), (LotKind.PREPAID, prepaid), (LotKind.CREDIT, credit))
    ]
    drawn = [balances.draw(parts, net_micro_yen=micro(net), tax_rate_bp=rate) for net in (before, after)]
    return invoicing.cover_of_job(rate, before=drawn[0], after=drawn[1])


def _draft(*usage: UsageSum, covers: tuple[Cover, ...] = (), rounding: Rounding = Rounding.DOWN) -> Invoice:
    return invoicing.draft(
        organisation_id=ORG,
        month=Month(2026, 4),
        usage=usage,
        covers=covers,
        open_jobs=0,
        now=NOW,
        rounding=rounding,
    )


def test_an_empty_month_is_an_invoice_of_nothing() -> None:
    invoice = _draft()
    assert (invoice.groups, invoice.total_yen, invoice.amount_due_yen) == ((), 0, 0)


def test_tax_is_computed_once_per_rate_and_not_per_line() -> None:
    # Three lines of 105 yen: 10.5 yen of tax each. Per line that would be 30; once it is 31.
    invoice = _draft(*[_usage("105", offering=name) for name in "abc"])
    assert (invoice.subtotal_yen, invoice.tax_yen, invoice.total_yen) == (315, 31, 346)


def test_each_tax_rate_is_rounded_by_itself() -> None:
    invoice = _draft(_usage("105", rate=1000), _usage("105", rate=800))
    assert [(group.tax_rate_bp, group.taxable_yen, group.tax_yen) for group in invoice.groups] == [
        (800, 105, 8),
        (1000, 105, 10),
    ]
    assert invoice.total_yen == 228


@pytest.mark.parametrize(
    ("rounding", "taxable", "tax"), [(Rounding.DOWN, 105, 10), (Rounding.HALF_UP, 106, 11), (Rounding.UP, 106, 11)]
)
def test_the_way_of_rounding_is_a_setting(rounding: Rounding, taxable: int, tax: int) -> None:
    (group,) = _draft(_usage("105.5"), rounding=rounding).groups
    assert (group.taxable_yen, group.tax_yen) == (taxable, tax)


def test_a_line_shows_list_price_discount_waiver_and_charge() -> None:
    (group,) = _draft(_usage("70", price="80", list_yen="100")).groups
    (line,) = group.lines
    assert (line.list_yen, line.discount_yen, line.waived_yen, line.charged_yen) == (100, 20, 10, 70)


def test_what_grants_cover_is_a_line_of_its_own_and_is_not_taxed() -> None:
    invoice = _draft(_usage("1000"), covers=(_cover("0", "1000", grant="400", credit="5000"),))
    (group,) = invoice.groups
    assert [line.charged_yen for line in group.lines] == [1000, -400]
    assert (group.taxable_yen, group.tax_yen) == (600, 60)
    assert (invoice.prepaid_applied_yen, invoice.amount_due_yen) == (0, 660)


def test_a_job_over_the_end_of_a_month_uses_its_grant_in_the_order_of_days() -> None:
    whole = {"grant": "400", "credit": "5000"}
    april = _draft(_usage("300"), covers=(_cover("0", "300", **whole),))
    may = _draft(_usage("700"), covers=(_cover("300", "1000", **whole),))
    assert (april.total_yen, may.total_yen) == (0, 660)


def test_prepaid_value_pays_and_only_credit_is_due() -> None:
    covers = (_cover("0", "100", prepaid="110"), _cover("0", "200", credit="220"))
    invoice = _draft(_usage("300"), covers=covers)
    assert (invoice.total_yen, invoice.prepaid_applied_yen, invoice.amount_due_yen) == (330, 110, 220)


def test_nothing_is_due_when_everything_was_paid_before_whatever_the_fractions() -> None:
    covers = (_cover("0", "0.000009", prepaid="0.000009"), _cover("0", "100.5", prepaid="110.55"))
    invoice = _draft(_usage("100.500009"), covers=covers)
    assert (invoice.total_yen, invoice.amount_due_yen) == (110, 0)


AMOUNTS = st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=12)


@given(AMOUNTS, st.sampled_from(Rounding))
def test_shown_lines_add_up_to_the_shown_total_each_within_a_yen(amounts: list[int], rounding: Rounding) -> None:
    total = invoicing.to_yen(sum(amounts), rounding)
    shown = invoicing.shown_yen(amounts, total)
    assert sum(shown) == total
    assert all(abs(yen * MICRO - amount) <= MICRO for yen, amount in zip(shown, amounts, strict=True))


def test_the_largest_remainder_gets_the_yen() -> None:
    assert invoicing.shown_yen([micro("1.2"), micro("1.9"), micro("1.9")], 5) == [1, 2, 2]
    assert invoicing.shown_yen([micro("1.5"), micro("1.5")], 3) == [2, 1]
    with pytest.raises(ValueError, match="do not fit"):
        invoicing.shown_yen([micro("1.5")], 4)


@st.composite
def _usages(draw: st.DrawFn) -> UsageSum:
    charged = draw(st.integers(0, 10**10))
    price = charged + draw(st.integers(0, 10**8))
    return UsageSum(
        offering_id=draw(st.sampled_from("abc")),
        component=draw(st.sampled_from(Component)),
        tax_rate_bp=draw(st.sampled_from([800, 1000])),
        quantity=Decimal(1),
        list_micro_yen=price + draw(st.integers(0, 10**8)),
        price_micro_yen=price,
        charged_micro_yen=charged,
    )


@given(st.lists(_usages(), max_size=8), st.sampled_from(Rounding))
def test_every_shown_column_adds_up(usage: list[UsageSum], rounding: Rounding) -> None:
    invoice = _draft(*usage, rounding=rounding)
    for group in invoice.groups:
        assert sum(line.charged_yen for line in group.lines) == group.taxable_yen
        for line in group.lines:
            assert line.list_yen - line.discount_yen - line.waived_yen == line.charged_yen
            assert min(line.discount_yen, line.waived_yen, line.charged_yen) >= 0
    assert invoice.total_yen == sum(group.taxable_yen + group.tax_yen for group in invoice.groups)
