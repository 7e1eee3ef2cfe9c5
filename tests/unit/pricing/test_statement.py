from __future__ import annotations

from datetime import timedelta

from pricing.days import Month
from pricing.ledger.balances import LotBalance
from pricing.ledger.templates import Template
from pricing.model import LotKind
from pricing.statement import Balance, Movement, Position, Statement, Totals
from tests.support.market import NEXT_YEAR, an_id

ORG = an_id("org")


def _moved(template: Template, bucket: str, kind: LotKind | None, amount: int) -> Movement:
    return Movement(template=template, bucket=bucket, lot_kind=kind, amount_micro_yen=amount)


MOVEMENTS = [
    _moved(Template.ISSUE_GRANT, "available", LotKind.GRANT, 100),
    _moved(Template.RECEIVE_PAYMENT, "available", LotKind.PREPAID, 500),
    _moved(Template.OPEN_CREDIT_LINE, "available", LotKind.CREDIT, 1000),
    _moved(Template.HOLD, "available", LotKind.GRANT, -60),
    _moved(Template.HOLD, "held", LotKind.GRANT, 60),
    _moved(Template.HOLD, "available", LotKind.CREDIT, -300),
    _moved(Template.HOLD, "held", LotKind.CREDIT, 300),
    _moved(Template.SETTLE, "held", LotKind.GRANT, -50),
    _moved(Template.SETTLE, "held", LotKind.CREDIT, -200),
    _moved(Template.SETTLE, "owed", None, -200),
    _moved(Template.RELEASE, "held", LotKind.GRANT, -10),
    _moved(Template.RELEASE, "available", LotKind.GRANT, 10),
    _moved(Template.REFUND, "available", LotKind.CREDIT, 20),
    _moved(Template.REFUND, "owed", None, 20),
    _moved(Template.REPAY_CREDIT, "available", LotKind.CREDIT, 80),
    _moved(Template.REPAY_CREDIT, "owed", None, 80),
    _moved(Template.EXPIRE, "available", LotKind.GRANT, -50),
    _moved(Template.PAY_BACK, "available", LotKind.PREPAID, -40),
]


def test_where_value_came_from_is_where_it_went() -> None:
    totals = Totals.of(MOVEMENTS)
    assert totals == Totals(
        granted_micro_yen=100,
        paid_in_micro_yen=500,
        credit_used_micro_yen=280,  # 200 used, 20 of it given back; 100 still held
        used_micro_yen=230,
        expired_micro_yen=50,
        refunded_micro_yen=40,
        held_micro_yen=100,
        remaining_micro_yen=460,
    )
    assert totals.difference_micro_yen == 0


def test_a_posting_that_belongs_to_no_template_breaks_the_equation() -> None:
    stray = Movement(template="by hand", bucket="available", lot_kind=LotKind.PREPAID, amount_micro_yen=7)
    assert Totals.of([*MOVEMENTS, stray]).difference_micro_yen == -7


def test_a_statement_that_lacks_an_entry_is_not_balanced() -> None:
    before, after = Position.of([]), Position.of(MOVEMENTS[:1])
    lacking = Statement(
        organisation_id=ORG,
        month=Month(2026, 4),
        opening=before,
        entries=(),
        closing=after,
        totals=Totals.of(MOVEMENTS[:1]),
    )
    assert not lacking.balanced


def _lot(kind: LotKind, available: int, held: int = 0) -> LotBalance:
    return LotBalance(
        lot_id=an_id(kind),
        kind=kind,
        expires_at=NEXT_YEAR if kind is LotKind.GRANT else None,
        available_micro_yen=available,
        held_micro_yen=held,
    )


def test_what_has_expired_is_not_available_though_its_expiry_is_not_booked() -> None:
    lots = [_lot(LotKind.GRANT, 100, held=5), _lot(LotKind.PREPAID, 20), _lot(LotKind.CREDIT, 7)]
    before = Balance.of(ORG, lots, owed_micro_yen=3, now=NEXT_YEAR - timedelta(seconds=1))
    after = Balance.of(ORG, lots, owed_micro_yen=3, now=NEXT_YEAR)
    assert (before.available_micro_yen, before.grants_micro_yen) == (127, 100)
    assert (after.available_micro_yen, after.grants_micro_yen) == (27, 0)
    assert (after.held_micro_yen, after.owed_micro_yen) == (5, 3)
