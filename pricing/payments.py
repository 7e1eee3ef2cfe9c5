"""What is asked for and what came: matching transfers, dunning, patience, and the values of all that. Pure.

Amounts are whole yen with tax unless a name says otherwise. Days are those of Tokyo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pricing.collectable import Collectable
from pricing.units import MICRO

MINIMUM_CHARGE_YEN = 50
"""Stripe takes no less. Documents below it are not asked for: they roll over by our rule (closing), never by theirs."""
GRACE = timedelta(days=14)
"""So long after the due date work is still taken."""
REMINDERS_AFTER = (timedelta(days=1), timedelta(days=7), timedelta(days=14))
"""So long after the due date the customer is written to again."""
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)


class Method(StrEnum):
    """How money came."""

    BANK_TRANSFER = "bank_transfer"
    """To the customer's virtual account at Stripe."""
    CARD = "card"
    ELSEWHERE = "elsewhere"
    """To our own bank account, told by an operator."""


class CaseKind(StrEnum):
    """Why an operator must look at a payment."""

    UNDERPAID = "underpaid"
    """Money came and does not suffice for any open invoice: none is part-paid."""
    OVERPAID = "overpaid"
    """More came than was asked for."""
    UNMATCHED = "unmatched"
    """Whose money, or what for, is unknown; or it is not in yen."""
    DISPUTE = "dispute"
    """A cardholder's bank took money back, or asks about it."""
    DIFFERS = "differs"
    """An amount at Stripe is not ours to the yen. Nothing was booked."""
    FAILED = "failed"
    """Stripe refuses for good what we want of it, or a refund did not arrive."""


class Resolution(StrEnum):
    """How a case ended."""

    SETTLED = "settled"
    """By itself: what was missing came, what was too much was used, the dispute was won."""
    LEFT = "left"
    """It stays in the customer's cash balance and pays the next invoice."""
    REFUNDED = "refunded"
    """It goes back to where it came from."""
    TAKEN = "taken"
    """It becomes prepaid value."""
    EXPLAINED = "explained"
    """Dealt with by hand; the reason says how."""


class Task(StrEnum):
    """What the outbox wants done at Stripe; subject: the id that it is about."""

    ISSUE = "invoice.issue"
    """Subject: a document that is to be paid."""
    REMIND = "invoice.remind"
    """Subject: the document; revision: the reminder's number."""
    CLOSE = "invoice.close"
    """Subject: a document that was paid elsewhere."""
    CREDIT = "invoice.credit"
    """Subject: a credit note on a document."""
    CHECKOUT = "checkout.open"
    """Subject: a top-up."""
    REFUND = "payment.refund"
    """Subject: a reversal of a payment."""
    GIVE_BACK = "balance.refund"
    """Subject: a case; what lies in the customer's cash balance goes back."""
    TAKE = "balance.take"
    """Subject: a case; what lies in the customer's cash balance becomes prepaid value."""


class Outcome(StrEnum):
    """What came of an attempt at a task."""

    DONE = "done"
    MOOT = "moot"
    LATER = "later"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A task of the outbox that is due. attempts: how many were made."""

    id: UUID
    task: Task
    organisation_id: UUID
    subject_id: UUID
    revision: int
    content: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivable:
    """What is asked for, and what of it is still open."""

    document_id: UUID
    organisation_id: UUID
    number: str
    amount_yen: int
    open_yen: int
    due_date: date
    content: Mapping[str, Any]
    stripe_id: str | None = None
    url: str | None = None

    @property
    def collectable(self) -> Collectable:
        """As it was asked for."""
        return Collectable.of_json(
            self.content,
            document_id=self.document_id,
            organisation_id=self.organisation_id,
            number=self.number,
            due_date=self.due_date,
            amount_yen=self.amount_yen,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that came. left_yen: what of it has not gone back."""

    id: UUID
    organisation_id: UUID
    document_id: UUID | None
    top_up_id: UUID | None
    method: Method
    amount_yen: int
    repaid_micro_yen: int
    prepaid_micro_yen: int
    stripe_id: str | None
    reference: str
    paid_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime
    left_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCase:
    """A payment that a person must look at, or did."""

    id: UUID
    organisation_id: UUID | None
    kind: CaseKind
    stripe_id: str
    amount_yen: int
    facts: Mapping[str, Any]
    opened_at: datetime
    resolution: Resolution | None = None
    reason: str | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """A wish to pay in by card. url: where, once Stripe has made the page; paid_yen: what came."""

    id: UUID
    organisation_id: UUID
    amount_yen: int
    requested_at: datetime
    url: str | None
    paid_yen: int


def idempotency_key(kind: str, our_id: UUID, revision: int = 0) -> str:
    """The same request is the same key, in every process and after every crash."""
    return hashlib.sha256(f"{kind}|{our_id}|{revision}".encode()).hexdigest()


def transfer_case(available_yen: int, open_yen: Sequence[int]) -> CaseKind | None:
    """What money that stayed in a customer's cash balance means, given the open invoices. None: nothing stayed.

    Stripe has paid by then what it could: an invoice of exactly the amount, or the oldest that is covered.
    """
    if available_yen <= 0:
        return None
    if not open_yen:
        return CaseKind.OVERPAID
    return CaseKind.UNDERPAID if available_yen < min(open_yen) else CaseKind.UNMATCHED


@dataclass(frozen=True, slots=True)
class Booking:
    """How a payment is booked: what is open of its document is repaid, the rest becomes prepaid value."""

    repaid_micro_yen: int
    prepaid_micro_yen: int


def book(amount_yen: int, *, open_yen: int) -> Booking:
    """A payment against what is open of its document (0: it is of none)."""
    repaid = min(amount_yen, max(open_yen, 0)) * MICRO
    return Booking(repaid, amount_yen * MICRO - repaid)


class Stage(StrEnum):
    """What an organisation's unpaid invoices mean for it."""

    GOOD = "good"
    REMINDED = "reminded"
    """Something is past its due date; everything goes on."""
    REFUSING = "refusing"
    """New work is refused. What runs and what waits with a hold goes on: it is paid for, or was promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaid:
    """A receivable and what of it is still open."""

    number: str
    due_date: date
    open_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """overdue: the oldest first. refusing_from: the day from which new work is refused if nothing is paid."""

    stage: Stage
    overdue: tuple[Unpaid, ...] = ()
    disputed_yen: int = 0
    refusing_from: date | None = None

    @property
    def overdue_yen(self) -> int:
        """All that is past its due date."""
        return sum(each.open_yen for each in self.overdue)


def standing(unpaid: Iterable[Unpaid], *, disputed_yen: int, today: date, grace: timedelta = GRACE) -> Standing:
    """Dunning: grace, then no new submissions, and never more than that. An open dispute refuses new work at once."""
    overdue = sorted((each for each in unpaid if each.open_yen > 0 and each.due_date < today), key=_by_due_date)
    until = overdue[0].due_date + grace if overdue else None
    refuses = disputed_yen > 0 or (until is not None and today > until)
    stage = Stage.REFUSING if refuses else Stage.REMINDED if overdue else Stage.GOOD
    return Standing(
        stage=stage,
        overdue=tuple(overdue),
        disputed_yen=disputed_yen,
        refusing_from=None if until is None else until + timedelta(days=1),
    )


def reminders_due(due_date: date, today: date) -> int:
    """How many reminders should have been written by today."""
    return sum(due_date + after <= today for after in REMINDERS_AFTER)


def next_try(ordinal: int, *, now: datetime) -> datetime:
    """When to try again after the ordinal-th failed attempt (from 1): a minute, then twice as long, up to an hour."""
    doublings = min(ordinal - 1, 10)
    return now + min(_FIRST_WAIT * (1 << doublings), _LONGEST_WAIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Stripe and our books do not say the same of an object. ours_yen, theirs_yen: None where there is none."""

    stripe_id: str
    kind: str
    ours_yen: int | None
    theirs_yen: int | None
    facts: Mapping[str, object] = field(default_factory=dict)


def differences(kind: str, *, ours: Mapping[str, int], theirs: Mapping[str, int]) -> list[Difference]:
    """Amounts by Stripe's id, side by side: what is missing on a side, and what differs by a yen or more."""
    return [
        Difference(stripe_id=each, kind=kind, ours_yen=ours.get(each), theirs_yen=theirs.get(each))
        for each in sorted(ours.keys() | theirs.keys())
        if ours.get(each) != theirs.get(each)
    ]


def _by_due_date(unpaid: Unpaid) -> tuple[date, str]:
    return unpaid.due_date, unpaid.number
