"""The vocabulary of the ledger: every kind of transaction there is, and nothing else builds entries.

Each function states its business key (from which the id follows) and its entries. See README.md for the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import NAMESPACE_URL, UUID, uuid5

from pricing.ledger.balances import Draw, Part
from pricing.ledger.entries import Account, Bucket, Entry, Transaction
from pricing.model import LotKind
from pricing.units import MICRO

NAMESPACE = uuid5(NAMESPACE_URL, "https://kyoyo.invalid/pricing/ledger")


class Template(StrEnum):
    """What happened; stored with the transaction, shown on the statement."""

    ISSUE_GRANT = "issue_grant"
    """Free value from the subsidy was given."""
    RECEIVE_PAYMENT = "receive_payment"
    """Money came in and became prepaid value."""
    OPEN_CREDIT_LINE = "open_credit_line"
    """A credit line was opened or raised."""
    REPAY_CREDIT = "repay_credit"
    """Money came in for what was used on credit; the line is free again."""
    PAY_BACK = "pay_back"
    """Prepaid value was paid back in money."""
    EXPIRE = "expire"
    """What was left of a grant, or of prepaid value, lapsed."""
    HOLD = "hold"
    """A job's ceiling was set aside."""
    SETTLE = "settle"
    """What ran was charged to the hold (or, by a correction while the hold is open, put back into it)."""
    RELEASE = "release"
    """The rest of a hold went back."""
    REFUND = "refund"
    """A correction after the release gave value back."""
    ADJUST = "adjust"
    """A correction after the release that touches only the house."""
    INVOICE = "invoice"
    """A month's document was issued: what it says in whole yen became the books' word."""


def transaction_id(*key: object) -> UUID:
    """The id of a business key."""
    return uuid5(NAMESPACE, ":".join(map(str, key)))


def issue_grant(*, organisation_id: UUID, lot_id: UUID, amount_micro_yen: int, at: datetime) -> Transaction:
    """Key: the grant. available +x, issued −x."""
    amounts = {_available(organisation_id, lot_id): amount_micro_yen, _ISSUED: -amount_micro_yen}
    return _transaction(Template.ISSUE_GRANT, (lot_id,), organisation_id, amounts, at)


def receive_payment(
    *, organisation_id: UUID, lot_id: UUID, payment_id: UUID, amount_micro_yen: int, at: datetime
) -> Transaction:
    """Key: the payment. available +x, cash −x."""
    amounts = {_available(organisation_id, lot_id): amount_micro_yen, _CASH: -amount_micro_yen}
    return _transaction(Template.RECEIVE_PAYMENT, (payment_id,), organisation_id, amounts, at)


def pay_back(*, organisation_id: UUID, payment_id: UUID, parts: Mapping[UUID, int], at: datetime) -> Transaction:
    """Key: the outgoing payment. parts: lot → x. Per lot: available −x; cash +Σx."""
    amounts = {_available(organisation_id, lot_id): -amount for lot_id, amount in parts.items()}
    amounts[_CASH] = sum(parts.values())
    return _transaction(Template.PAY_BACK, (payment_id,), organisation_id, amounts, at)


def open_credit_line(
    *, organisation_id: UUID, lot_id: UUID, credit_id: UUID, amount_micro_yen: int, at: datetime
) -> Transaction:
    """Key: the decision. available +L, issued −L. A second decision raises the line."""
    amounts = {_available(organisation_id, lot_id): amount_micro_yen, _ISSUED: -amount_micro_yen}
    return _transaction(Template.OPEN_CREDIT_LINE, (credit_id,), organisation_id, amounts, at)


def repay_credit(
    *, organisation_id: UUID, lot_id: UUID, payment_id: UUID, amount_micro_yen: int, at: datetime
) -> Transaction:
    """Key: the payment. owed +x, cash −x; and the line is free again: available +x, issued −x."""
    amounts = {
        Account(Bucket.OWED, organisation_id): amount_micro_yen,
        _CASH: -amount_micro_yen,
        _available(organisation_id, lot_id): amount_micro_yen,
        _ISSUED: -amount_micro_yen,
    }
    return _transaction(Template.REPAY_CREDIT, (payment_id,), organisation_id, amounts, at)


def expire(*, organisation_id: UUID, lot_id: UUID, ordinal: int, amount_micro_yen: int, at: datetime) -> Transaction:
    """Key: the lot and how often it expired before (value may come back to it). available −x, expired +x."""
    amounts = {_available(organisation_id, lot_id): -amount_micro_yen, _EXPIRED: amount_micro_yen}
    return _transaction(Template.EXPIRE, (lot_id, ordinal), organisation_id, amounts, at)


def hold(*, organisation_id: UUID, job_id: UUID, parts: Sequence[Part], at: datetime) -> Transaction:
    """Key: the job. Per lot: available −x, held +x."""
    amounts: dict[Account, int] = {}
    for part in parts:
        amounts[_available(organisation_id, part.lot_id)] = -part.amount_micro_yen
        amounts[_held(organisation_id, part.lot_id)] = part.amount_micro_yen
    return _transaction(Template.HOLD, (job_id,), organisation_id, amounts, at, job_id=job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeMove:
    """A job's charge goes from `before` to `after`, caused by an attempt for the `revision`-th time."""

    organisation_id: UUID
    job_id: UUID
    attempt_id: UUID
    revision: int
    before: Draw
    after: Draw
    overrun_micro_yen: int
    """By how much grows what ran at the house's cost."""
    at: datetime
    renewed: Mapping[UUID, UUID] = field(default_factory=dict)
    """Prepaid lot that has lapsed → the lot into which goes what comes back after the release."""


def settle(move: ChargeMove) -> Transaction:
    """Key: attempt and revision. While the hold is open.

    Per lot: held −Δ; earned + Δnet, tax + Δtax; for credit also owed −Δ, issued +Δ. What ran at the house's cost:
    earned +o, overrun −o.
    """
    amounts = _charge(move)
    for was, is_now in zip(move.before.by_lot, move.after.by_lot, strict=True):
        amounts[_held(move.organisation_id, was.lot_id)] = was.amount_micro_yen - is_now.amount_micro_yen
    return _move(Template.SETTLE, move, amounts)


def refund(move: ChargeMove) -> Transaction:
    """Key as of `settle`: a correction after the release. What was drawn goes back to its lots, as available, or to
    those that take the place of lapsed ones.

    Named `adjust` when the customer's charge stays as it was.
    """
    amounts = _charge(move)
    for was, is_now in zip(move.before.by_lot, move.after.by_lot, strict=True):
        account = _available(move.organisation_id, move.renewed.get(was.lot_id, was.lot_id))
        amounts[account] = amounts.get(account, 0) + was.amount_micro_yen - is_now.amount_micro_yen
    unchanged = move.before.net_micro_yen == move.after.net_micro_yen
    return _move(Template.ADJUST if unchanged else Template.REFUND, move, amounts)


def release(*, organisation_id: UUID, job_id: UUID, rest: Sequence[Part], at: datetime) -> Transaction:
    """Key: the job. Per lot: held −x, available +x. (A grant that lapsed while held then expires like any other.)"""
    amounts: dict[Account, int] = {}
    for part in rest:
        amounts[_held(organisation_id, part.lot_id)] = -part.amount_micro_yen
        amounts[_available(organisation_id, part.lot_id)] = part.amount_micro_yen
    return _transaction(Template.RELEASE, (job_id,), organisation_id, amounts, at, job_id=job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceMove:
    """What a month's use is by the books, and what its document says. Negative where use was taken back."""

    organisation_id: UUID
    document_id: UUID
    net_micro_yen: int
    """Charged and not covered by grants."""
    tax_micro_yen: int
    credit_micro_yen: int
    """Taken on credit, with tax."""
    subtotal_yen: int
    tax_yen: int
    due_yen: int
    given_back_yen: int = 0
    """To prepaid value, by a discount of the month; below 0: of it, for a discount that is taken back."""
    prepaid_lot: UUID | None = None
    credit_lot: UUID | None = None
    free_credit_micro_yen: int = 0
    at: datetime


def invoice(move: InvoiceMove) -> Transaction | None:
    """Key: the document. None: the books say the same to the micro-yen.

    earned and tax become what the document says, owed becomes what it asks for (a debt that shrinks frees as much of
    the credit line: available +x, issued −x; one that grows by a fraction takes no more than is free); what a discount
    gives back to prepaid value is available again. What is left, less than a yen or two, is the house's: rounding.
    """
    less_owed = move.credit_micro_yen - move.due_yen * MICRO
    freed = max(less_owed, -move.free_credit_micro_yen) if move.credit_lot else 0
    amounts = {
        Account(Bucket.EARNED): move.subtotal_yen * MICRO - move.net_micro_yen,
        Account(Bucket.TAX): move.tax_yen * MICRO - move.tax_micro_yen,
        Account(Bucket.OWED, move.organisation_id): less_owed,
    }
    if move.credit_lot:
        amounts[_available(move.organisation_id, move.credit_lot)] = freed
        amounts[_ISSUED] = -freed
    if move.prepaid_lot:
        amounts[_available(move.organisation_id, move.prepaid_lot)] = move.given_back_yen * MICRO
    amounts[Account(Bucket.ROUNDING)] = -sum(amounts.values())
    if not any(amounts.values()):
        return None
    memo = {"document": str(move.document_id)}
    return _transaction(Template.INVOICE, (move.document_id,), move.organisation_id, amounts, move.at, memo=memo)


_ISSUED = Account(Bucket.ISSUED)
_CASH = Account(Bucket.CASH)
_EXPIRED = Account(Bucket.EXPIRED)


def _available(organisation_id: UUID, lot_id: UUID) -> Account:
    return Account(Bucket.AVAILABLE, organisation_id, lot_id)


def _held(organisation_id: UUID, lot_id: UUID) -> Account:
    return Account(Bucket.HELD, organisation_id, lot_id)


def _charge(move: ChargeMove) -> dict[Account, int]:
    """The house's side of a changed charge, and the customer's debt for what is drawn on credit."""
    on_credit = move.after.of(LotKind.CREDIT) - move.before.of(LotKind.CREDIT)
    return {
        Account(Bucket.EARNED): move.after.net_micro_yen - move.before.net_micro_yen + move.overrun_micro_yen,
        Account(Bucket.TAX): move.after.tax_micro_yen - move.before.tax_micro_yen,
        Account(Bucket.OVERRUN): -move.overrun_micro_yen,
        Account(Bucket.OWED, move.organisation_id): -on_credit,
        _ISSUED: on_credit,
    }


def _move(template: Template, move: ChargeMove, amounts: Mapping[Account, int]) -> Transaction:
    key = (move.attempt_id, move.revision)
    return _transaction(
        template, key, move.organisation_id, amounts, move.at, job_id=move.job_id, attempt_id=move.attempt_id
    )


def _transaction(
    template: Template,
    key: tuple[object, ...],
    organisation_id: UUID,
    amounts: Mapping[Account, int],
    at: datetime,
    *,
    job_id: UUID | None = None,
    attempt_id: UUID | None = None,
    memo: Mapping[str, object] = MappingProxyType({}),
) -> Transaction:
    entries = [Entry(account, amount) for account, amount in amounts.items() if amount]
    return Transaction(
        id=transaction_id(template, *key),
        template=template,
        organisation_id=organisation_id,
        job_id=job_id,
        attempt_id=attempt_id,
        effective_at=at,
        memo=memo,
        entries=tuple(sorted(entries, key=lambda entry: entry.account.order)),
    )
