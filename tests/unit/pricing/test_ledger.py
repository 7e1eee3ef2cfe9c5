"""Transactions that cannot be wrong, templates that read like accounting, and the order of consumption."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.errors import UnbalancedTransaction
from pricing.ledger import balances, templates
from pricing.ledger.balances import Draw, LotBalance, Part
from pricing.ledger.entries import Account, Bucket, Entry, Transaction
from pricing.ledger.templates import ChargeMove, Template
from pricing.model import LotKind
from pricing.units import with_tax
from tests.support.market import NEXT_YEAR, NOW, an_id

ORG, JOB, ATTEMPT = an_id("org"), an_id("job"), an_id("attempt")
GRANT, LATER_GRANT, PREPAID, CREDIT = (an_id("lot", name) for name in ("grant", "later", "prepaid", "credit"))
KIND = {GRANT: LotKind.GRANT, LATER_GRANT: LotKind.GRANT, PREPAID: LotKind.PREPAID, CREDIT: LotKind.CREDIT}
EXPIRY = {GRANT: NEXT_YEAR, LATER_GRANT: NEXT_YEAR + timedelta(days=1)}


def _lot(lot_id, amount: int) -> LotBalance:
    return LotBalance(lot_id=lot_id, kind=KIND[lot_id], expires_at=EXPIRY.get(lot_id), available_micro_yen=amount)


def _part(lot_id, amount: int) -> Part:
    return Part(lot_id=lot_id, kind=KIND[lot_id], expires_at=EXPIRY.get(lot_id), amount_micro_yen=amount)


def _amounts(transaction: Transaction) -> dict[tuple[str, object], int]:
    return {(each.account.bucket.value, each.account.lot_id): each.amount_micro_yen for each in transaction.entries}


def _transaction(*amounts: tuple[Account, int]) -> Transaction:
    return Transaction(
        id=JOB,
        template="test",
        organisation_id=ORG,
        entries=tuple(Entry(account, amount) for account, amount in amounts),
        effective_at=NOW,
    )


# --- what cannot be constructed ---


@pytest.mark.parametrize(
    "amounts",
    [
        (),
        ((Account(Bucket.CASH), 5),),
        ((Account(Bucket.CASH), 5), (Account(Bucket.EARNED), -4)),
        ((Account(Bucket.CASH), 5), (Account(Bucket.EARNED), 5)),
    ],
)
def test_an_unbalanced_transaction_cannot_be_constructed(amounts: tuple[tuple[Account, int], ...]) -> None:
    with pytest.raises(UnbalancedTransaction):
        _transaction(*amounts)


def test_a_posting_of_nothing_cannot_be_constructed() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Entry(Account(Bucket.CASH), 0)


def test_entries_stand_in_the_order_of_their_accounts_one_per_account() -> None:
    cash, earned = Account(Bucket.CASH), Account(Bucket.EARNED)
    _transaction((cash, 5), (earned, -5))
    for wrong in (((earned, -5), (cash, 5)), ((cash, 5), (cash, 5), (earned, -10))):
        with pytest.raises(ValueError, match="order"):
            _transaction(*wrong)


@pytest.mark.parametrize(
    ("bucket", "organisation", "lot"),
    [
        (Bucket.CASH, ORG, None),
        (Bucket.OWED, None, None),
        (Bucket.OWED, ORG, PREPAID),
        (Bucket.HELD, ORG, None),
        (Bucket.EARNED, None, PREPAID),
    ],
)
def test_an_account_of_nobody_cannot_be_constructed(bucket: Bucket, organisation: object, lot: object) -> None:
    with pytest.raises(ValueError, match=r"belongs to|by lot"):
        Account(bucket, organisation, lot)


def test_nobody_builds_entries_but_the_templates() -> None:
    root = Path(__file__).parents[3]
    builders = {
        source.relative_to(root).as_posix()
        for package in ("accounts", "scheduler", "pricing", "metering", "portal", "infra", "hpc_adapters")
        for source in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Entry"
        if "pricing" in source.parts
    }
    assert builders == {"pricing/ledger/templates.py"}


# --- templates ---


def test_a_grant_is_given_out_by_the_house() -> None:
    given_out = templates.issue_grant(organisation_id=ORG, lot_id=GRANT, amount_micro_yen=10, at=NOW)
    assert _amounts(given_out) == {("available", GRANT): 10, ("issued", None): -10}


def test_money_received_is_ours_and_owed_as_value() -> None:
    paid = templates.receive_payment(organisation_id=ORG, lot_id=PREPAID, payment_id=JOB, amount_micro_yen=10, at=NOW)
    assert _amounts(paid) == {("available", PREPAID): 10, ("cash", None): -10}
    back = templates.pay_back(organisation_id=ORG, payment_id=JOB, parts={PREPAID: 10, GRANT: 3}, at=NOW)
    assert _amounts(back) == {("available", PREPAID): -10, ("available", GRANT): -3, ("cash", None): 13}
    assert paid.id != back.id


def test_a_repaid_debt_frees_the_credit_line() -> None:
    repaid = templates.repay_credit(organisation_id=ORG, lot_id=CREDIT, payment_id=JOB, amount_micro_yen=10, at=NOW)
    assert _amounts(repaid) == {
        ("owed", None): 10,
        ("cash", None): -10,
        ("available", CREDIT): 10,
        ("issued", None): -10,
    }


def test_a_hold_moves_value_from_available_to_held_lot_by_lot() -> None:
    held = templates.hold(organisation_id=ORG, job_id=JOB, parts=[_part(GRANT, 3), _part(CREDIT, 4)], at=NOW)
    assert _amounts(held) == {
        ("available", GRANT): -3,
        ("held", GRANT): 3,
        ("available", CREDIT): -4,
        ("held", CREDIT): 4,
    }


PARTS = (_part(GRANT, 100), _part(PREPAID, 550), _part(CREDIT, 10_000))


def _move(before: int, after: int, overrun: int = 0, revision: int = 0) -> ChargeMove:
    return ChargeMove(
        organisation_id=ORG,
        job_id=JOB,
        attempt_id=ATTEMPT,
        revision=revision,
        before=balances.draw(PARTS, net_micro_yen=before, tax_rate_bp=1000),
        after=balances.draw(PARTS, net_micro_yen=after, tax_rate_bp=1000),
        overrun_micro_yen=overrun,
        at=NOW,
    )


def test_a_settlement_takes_grants_net_and_the_rest_with_tax_and_credit_becomes_a_debt() -> None:
    settled = templates.settle(_move(0, 1100))  # 100 granted; 1,000 + 100 tax, of which 550 prepaid and 550 on credit
    assert _amounts(settled) == {
        ("held", GRANT): -100,
        ("held", PREPAID): -550,
        ("held", CREDIT): -550,
        ("earned", None): 1100,
        ("tax", None): 100,
        ("owed", None): -550,
        ("issued", None): 550,
    }


def test_what_ran_at_the_houses_cost_is_earned_and_paid_by_the_house() -> None:
    settled = templates.settle(_move(0, 100, overrun=7))
    assert _amounts(settled) == {("held", GRANT): -100, ("earned", None): 107, ("overrun", None): -7}


def test_a_refund_goes_back_to_the_lots_drawn_last() -> None:
    refunded = templates.refund(_move(1100, 500))  # 440 with tax remain on prepaid
    assert refunded.template == Template.REFUND
    assert _amounts(refunded) == {
        ("available", PREPAID): 110,
        ("available", CREDIT): 550,
        ("earned", None): -600,
        ("tax", None): -60,
        ("owed", None): 550,
        ("issued", None): -550,
    }


def test_a_correction_that_only_the_house_bears_is_an_adjustment() -> None:
    adjusted = templates.refund(_move(100, 100, overrun=5))
    assert adjusted.template == Template.ADJUST
    assert _amounts(adjusted) == {("earned", None): 5, ("overrun", None): -5}


def test_a_release_gives_the_rest_back() -> None:
    rest = balances.remainder(PARTS, balances.draw(PARTS, net_micro_yen=600, tax_rate_bp=1000))
    released = templates.release(organisation_id=ORG, job_id=JOB, rest=rest, at=NOW)
    assert _amounts(released) == {("held", CREDIT): -10_000, ("available", CREDIT): 10_000}


def test_the_same_event_is_the_same_transaction_and_another_revision_another() -> None:
    assert templates.settle(_move(0, 10)).id == templates.settle(_move(0, 20)).id
    assert templates.settle(_move(0, 10)).id != templates.settle(_move(0, 10, revision=1)).id
    assert templates.settle(_move(0, 10)).id != templates.refund(_move(10, 0)).id


# --- order of consumption ---


def test_grants_come_first_by_expiry_then_prepaid_then_credit() -> None:
    lots = [_lot(CREDIT, 9), _lot(PREPAID, 9), _lot(LATER_GRANT, 9), _lot(GRANT, 9)]
    assert [lot.lot_id for lot in balances.spendable(lots, NOW)] == [GRANT, LATER_GRANT, PREPAID, CREDIT]


def test_an_expired_grant_cannot_be_claimed_even_before_its_expiry_is_booked() -> None:
    claim = balances.claim([_lot(GRANT, 1000)], ceiling_micro_yen=10, tax_rate_bp=1000, now=NEXT_YEAR)
    assert not claim.suffices
    just_before = NEXT_YEAR - timedelta(microseconds=1)
    assert balances.claim([_lot(GRANT, 1000)], ceiling_micro_yen=10, tax_rate_bp=1000, now=just_before).suffices


def test_a_claim_counts_grants_without_tax_and_the_rest_with_tax() -> None:
    lots = [_lot(GRANT, 100), _lot(PREPAID, 300), _lot(CREDIT, 690)]
    claim = balances.claim(lots, ceiling_micro_yen=1000, tax_rate_bp=1000, now=NOW)
    assert (claim.needed_micro_yen, claim.available_micro_yen) == (1090, 1090)
    assert claim.parts == (_part(GRANT, 100), _part(PREPAID, 300), _part(CREDIT, 690))


def test_a_claim_that_lacks_a_micro_yen_claims_nothing() -> None:
    claim = balances.claim([_lot(PREPAID, 1099)], ceiling_micro_yen=1000, tax_rate_bp=1000, now=NOW)
    assert (claim.suffices, claim.parts) == (False, ())


AMOUNT = st.integers(0, 10**12)


@st.composite
def _claims(draw_: st.DrawFn) -> tuple[int, tuple[Part, ...], int]:
    """A ceiling that its wallet covers, what it holds, and the tax rate."""
    lots = [_lot(lot_id, draw_(AMOUNT)) for lot_id in KIND]
    rate = draw_(st.sampled_from([0, 800, 1000, 10_000]))
    ceiling = draw_(st.integers(0, sum(lot.available_micro_yen for lot in lots)))
    claim = balances.claim(lots, ceiling_micro_yen=ceiling, tax_rate_bp=rate, now=NOW)
    while not claim.suffices:
        ceiling //= 2
        claim = balances.claim(lots, ceiling_micro_yen=ceiling, tax_rate_bp=rate, now=NOW)
    return ceiling, claim.parts, rate


@given(_claims())
def test_a_claim_holds_exactly_what_is_needed(claim: tuple[int, tuple[Part, ...], int]) -> None:
    ceiling, parts, rate = claim
    granted = sum(part.amount_micro_yen for part in parts if part.kind is LotKind.GRANT)
    assert sum(part.amount_micro_yen for part in parts) == granted + with_tax(ceiling - granted, rate)
    assert all(part.amount_micro_yen > 0 for part in parts)


@given(_claims(), st.data())
def test_a_hold_covers_every_charge_up_to_its_ceiling_and_no_lot_is_ever_given_more_by_charging_less(
    claim: tuple[int, tuple[Part, ...], int], data: st.DataObject
) -> None:
    ceiling, parts, rate = claim
    lower, higher = sorted(data.draw(st.tuples(st.integers(0, ceiling), st.integers(0, ceiling))))
    low, high = (balances.draw(parts, net_micro_yen=net, tax_rate_bp=rate) for net in (lower, higher))
    for part, less, more in zip(parts, low.by_lot, high.by_lot, strict=True):
        assert 0 <= less.amount_micro_yen <= more.amount_micro_yen <= part.amount_micro_yen
    assert _taken(high) == high.net_micro_yen + high.tax_micro_yen


def _taken(draw_: Draw) -> int:
    return sum(part.amount_micro_yen for part in draw_.by_lot)


def test_a_charge_that_its_hold_does_not_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="not covered"):
        balances.draw([_part(PREPAID, 109)], net_micro_yen=100, tax_rate_bp=1000)
