"""Splitting, matching, dunning and patience: pure rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.collectable import CollectLine, TaxedLines, split_tax
from pricing.payments import (
    GRACE,
    CaseKind,
    Stage,
    Unpaid,
    book,
    differences,
    idempotency_key,
    next_try,
    reminders_due,
    standing,
    transfer_case,
)
from pricing.units import micro
from tests.support.collecting import a_collectable
from tests.support.market import an_id

DUE = date(2026, 5, 31)


@given(st.lists(st.integers(-10_000, 1_000_000), min_size=1, max_size=40), st.integers(0, 100_000))
def test_a_split_tax_adds_up_and_stays_within_a_yen(amounts: list[int], tax: int) -> None:
    total = sum(amounts)
    if total <= 0:
        return
    split = split_tax(tax, amounts)
    assert sum(split) == tax
    assert all(abs(part * total - tax * amount) < total for part, amount in zip(split, amounts, strict=True))


def test_three_lines_of_105_yen_carry_31_yen_of_tax_and_not_30() -> None:
    assert split_tax(31, [105, 105, 105]) == [11, 10, 10]


def test_a_tax_on_nothing_is_refused() -> None:
    assert split_tax(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="nothing"):
        split_tax(1, [5, -5])


def test_what_does_not_add_up_is_not_asked_for() -> None:
    lines = (CollectLine(description="GPU", amount_yen=1000),)
    groups = (TaxedLines(rate_bp=1000, tax_yen=100, lines=lines),)
    assert a_collectable(amount_yen=1100, groups=groups).amount_yen == 1100
    for wrong in (1099, 1101):
        with pytest.raises(ValueError, match="does not come to"):
            a_collectable(amount_yen=wrong, groups=groups)


def test_a_key_differs_by_kind_id_and_revision_and_by_nothing_else() -> None:
    keys = {idempotency_key(kind, an_id(i), r) for kind in ("draft", "send") for i in range(3) for r in range(3)}
    assert len(keys) == 18
    assert idempotency_key("draft", an_id(0), 0) in keys


@pytest.mark.parametrize(
    ("available", "opens", "kind"),
    [
        (0, [100], None),
        (0, [], None),
        (99, [100], CaseKind.UNDERPAID),
        (99, [100, 500], CaseKind.UNDERPAID),
        (1, [], CaseKind.OVERPAID),
        (150, [100], CaseKind.UNMATCHED),  # Stripe would have used it: a person looks
    ],
)
def test_what_stays_of_a_transfer_has_a_meaning(available: int, opens: list[int], kind: CaseKind | None) -> None:
    assert transfer_case(available, opens) == kind


def test_a_payment_repays_what_is_open_and_the_rest_becomes_prepaid() -> None:
    assert book(100, open_yen=100).repaid_micro_yen == micro("100")
    over = book(100, open_yen=60)
    assert (over.repaid_micro_yen, over.prepaid_micro_yen) == (micro("60"), micro("40"))
    assert book(100, open_yen=0).prepaid_micro_yen == micro("100")


def _standing(today: date, *, open_yen: int = 500, disputed_yen: int = 0) -> Stage:
    unpaid = [Unpaid(number="I-1", due_date=DUE, open_yen=open_yen)]
    return standing(unpaid, disputed_yen=disputed_yen, today=today).stage


def test_dunning_reminds_waits_and_then_refuses_new_work() -> None:
    assert _standing(DUE) is Stage.GOOD  # the last day on which it is in time
    assert _standing(DUE + timedelta(days=1)) is Stage.REMINDED
    assert _standing(DUE + GRACE) is Stage.REMINDED
    assert _standing(DUE + GRACE + timedelta(days=1)) is Stage.REFUSING
    assert _standing(DUE + timedelta(days=400), open_yen=0) is Stage.GOOD


def test_a_dispute_refuses_new_work_at_once() -> None:
    assert _standing(DUE, disputed_yen=1) is Stage.REFUSING


def test_the_oldest_unpaid_invoice_says_when_work_will_be_refused() -> None:
    late = [Unpaid(number=f"I-{i}", due_date=DUE + timedelta(days=30 * i), open_yen=10 * (i + 1)) for i in (2, 0, 1)]
    found = standing(late, disputed_yen=0, today=DUE + timedelta(days=31))
    assert [each.number for each in found.overdue] == ["I-0", "I-1"]
    assert (found.overdue_yen, found.refusing_from) == (30, DUE + GRACE + timedelta(days=1))


def test_reminders_come_after_a_day_a_week_and_at_the_end_of_the_grace() -> None:
    days = (0, 1, 6, 7, 13, 14, 300)
    assert [reminders_due(DUE, DUE + timedelta(days=each)) for each in days] == [0, 1, 1, 2, 2, 3, 3]


def test_patience_doubles_up_to_an_hour() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    waits = [(next_try(ordinal, now=now) - now).total_seconds() / 60 for ordinal in (1, 2, 3, 6, 7, 50)]
    assert waits == [1, 2, 4, 32, 60, 60]


def test_differences_name_what_is_missing_and_what_differs_by_a_yen() -> None:
    found = differences(
        "payment", ours={"pi_1": 100, "pi_2": 200, "pi_4": 1}, theirs={"pi_1": 100, "pi_2": 201, "pi_3": 5}
    )
    assert [(each.stripe_id, each.ours_yen, each.theirs_yen) for each in found] == [
        ("pi_2", 200, 201),
        ("pi_3", None, 5),
        ("pi_4", 1, None),
    ]
