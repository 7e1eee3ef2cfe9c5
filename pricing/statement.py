"""What lies in a wallet, and how it came to lie there. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pricing.days import Month
from pricing.ledger.balances import LotBalance, spendable
from pricing.ledger.entries import Bucket
from pricing.ledger.templates import Template
from pricing.model import LotKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A wallet now. Grants count net amounts, prepaid value and credit count amounts with tax."""

    organisation_id: UUID
    grants_micro_yen: int
    prepaid_micro_yen: int
    credit_micro_yen: int
    """What is left of the credit line."""
    held_micro_yen: int
    owed_micro_yen: int
    """Used on credit and not yet paid; positive."""
    lots: tuple[LotBalance, ...]
    """Spendable lots in the order of consumption."""

    @property
    def available_micro_yen(self) -> int:
        """What a new hold could claim."""
        return self.grants_micro_yen + self.prepaid_micro_yen + self.credit_micro_yen

    @classmethod
    def of(cls, organisation_id: UUID, lots: Sequence[LotBalance], *, owed_micro_yen: int, now: datetime) -> Balance:
        """From every lot of the organisation; what has expired is not available, booked or not."""
        usable = spendable(lots, now)
        free = {kind: sum(lot.available_micro_yen for lot in usable if lot.kind is kind) for kind in LotKind}
        return cls(
            organisation_id=organisation_id,
            grants_micro_yen=free[LotKind.GRANT],
            prepaid_micro_yen=free[LotKind.PREPAID],
            credit_micro_yen=free[LotKind.CREDIT],
            held_micro_yen=sum(lot.held_micro_yen for lot in lots),
            owed_micro_yen=owed_micro_yen,
            lots=tuple(usable),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Sum of an organisation's postings by what happened, where, and in which kind of lot (none: `owed`)."""

    template: str
    bucket: str
    lot_kind: LotKind | None
    amount_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The customer's accounts at an instant; `available` includes the free part of the credit line."""

    available_micro_yen: int
    held_micro_yen: int
    owed_micro_yen: int

    @classmethod
    def of(cls, movements: Iterable[Movement]) -> Position:
        """After all these movements."""
        sums = dict.fromkeys((Bucket.AVAILABLE, Bucket.HELD, Bucket.OWED), 0)
        for each in movements:
            sums[Bucket(each.bucket)] += each.amount_micro_yen
        return cls(
            available_micro_yen=sums[Bucket.AVAILABLE],
            held_micro_yen=sums[Bucket.HELD],
            owed_micro_yen=-sums[Bucket.OWED],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementEntry:
    """One transaction as the customer sees it. `kind`: a name of ledger.templates.Template."""

    transaction_id: UUID
    kind: str
    effective_at: datetime
    recorded_at: datetime
    job_id: UUID | None
    available_micro_yen: int
    held_micro_yen: int
    owed_micro_yen: int
    """Positive: the debt grew."""
    phase: str | None = None
    """Of a settlement of a hybrid job: whose use it is."""
    quantum_attempt_id: UUID | None = None
    """Of a settlement of a circuit or session: the attempt, which its vendor has under an id of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Where value came from and where it went, since the wallet was opened (design.md §5).

    granted + paid in + credit used = used + expired + refunded + held + remaining. Grants count net, the rest with tax.
    Computed from the customer's own accounts, each figure from the templates that may cause it: a posting that belongs
    to none of them breaks the equation.
    """

    granted_micro_yen: int
    paid_in_micro_yen: int
    credit_used_micro_yen: int
    """What was ever taken from the credit line and has not come back to it from a hold."""
    used_micro_yen: int
    """Charged to jobs, less what corrections gave back."""
    expired_micro_yen: int
    refunded_micro_yen: int
    """Paid back to the customer in money."""
    held_micro_yen: int
    remaining_micro_yen: int
    """Grants and prepaid value; the free part of the credit line is nobody's yet."""

    @property
    def difference_micro_yen(self) -> int:
        """0, or the books are wrong."""
        came = self.granted_micro_yen + self.paid_in_micro_yen + self.credit_used_micro_yen
        went = self.used_micro_yen + self.expired_micro_yen + self.refunded_micro_yen
        return came - went - self.held_micro_yen - self.remaining_micro_yen

    @classmethod
    def of(cls, movements: Sequence[Movement]) -> Totals:
        """After all these movements."""

        def total(bucket: Bucket, *templates: Template, kinds: Container[LotKind | None] = frozenset(LotKind)) -> int:
            return sum(
                each.amount_micro_yen
                for each in movements
                if each.bucket == bucket and each.lot_kind in kinds and (not templates or each.template in templates)
            )

        available, held = Bucket.AVAILABLE, Bucket.HELD
        own, credit = (LotKind.GRANT, LotKind.PREPAID), (LotKind.CREDIT,)
        lent = total(available, Template.OPEN_CREDIT_LINE, Template.REPAY_CREDIT, kinds=credit)
        return cls(
            granted_micro_yen=total(available, Template.ISSUE_GRANT),
            paid_in_micro_yen=total(available, Template.RECEIVE_PAYMENT),
            credit_used_micro_yen=lent - total(available, kinds=credit),
            used_micro_yen=-total(held, Template.SETTLE)
            - total(available, Template.REFUND, Template.ADJUST, Template.INVOICE),
            expired_micro_yen=-total(available, Template.EXPIRE),
            refunded_micro_yen=-total(available, Template.PAY_BACK),
            held_micro_yen=total(held),
            remaining_micro_yen=total(available, kinds=own),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A wallet's month: how it began, what happened, how it ended, and the equation that proves it."""

    organisation_id: UUID
    month: Month
    opening: Position
    entries: tuple[StatementEntry, ...]
    closing: Position
    totals: Totals
    """Since the wallet was opened, up to the end of the month."""

    @property
    def balanced(self) -> bool:
        """Whether opening plus entries is closing, and the equation of the totals holds."""
        moved = Position(
            available_micro_yen=self.opening.available_micro_yen + sum(e.available_micro_yen for e in self.entries),
            held_micro_yen=self.opening.held_micro_yen + sum(e.held_micro_yen for e in self.entries),
            owed_micro_yen=self.opening.owed_micro_yen + sum(e.owed_micro_yen for e in self.entries),
        )
        return moved == self.closing and self.totals.difference_micro_yen == 0
