"""Accounts, entries and transactions of the ledger. A transaction that does not sum to zero cannot be constructed.

Sign: positive = credit (the house owes it), negative = debit (the house owns it, or is owed it). Entries are made only
by the templates beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pricing.errors import UnbalancedTransaction


class Bucket(StrEnum):
    """The accounts; meanings with pricing.bucket in schema.sql."""

    AVAILABLE = "available"
    HELD = "held"
    OWED = "owed"
    ISSUED = "issued"
    EARNED = "earned"
    TAX = "tax"
    CASH = "cash"
    EXPIRED = "expired"
    OVERRUN = "overrun"
    ROUNDING = "rounding"
    PROVIDER_PAYABLE = "provider_payable"


_CUSTOMER = frozenset({Bucket.AVAILABLE, Bucket.HELD, Bucket.OWED})
_BY_LOT = frozenset({Bucket.AVAILABLE, Bucket.HELD})


@dataclass(frozen=True, slots=True)
class Account:
    """A bucket of an organisation (per lot where value has a source), or of the house."""

    bucket: Bucket
    organisation_id: UUID | None = None
    lot_id: UUID | None = None

    def __post_init__(self) -> None:
        if (self.organisation_id is not None) != (self.bucket in _CUSTOMER):
            raise ValueError(
                f"{self.bucket} belongs to {'an organisation' if self.bucket in _CUSTOMER else 'the house'}"
            )
        if (self.lot_id is not None) != (self.bucket in _BY_LOT):
            raise ValueError(f"{self.bucket} is {'' if self.bucket in _BY_LOT else 'not '}kept by lot")

    @property
    def order(self) -> tuple[str, str, str]:
        """Total order in which entries are written, so that their rows are locked in one order."""
        return str(self.organisation_id or ""), self.bucket.value, str(self.lot_id or "")


@dataclass(frozen=True, slots=True)
class Entry:
    """One posting."""

    account: Account
    amount_micro_yen: int

    def __post_init__(self) -> None:
        if self.amount_micro_yen == 0:
            raise ValueError(f"a posting of nothing to {self.account}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One business event. `id` follows from its business key, so the same event is the same transaction.

    `effective_at` = when it counts; when it was recorded is the store's matter.
    """

    id: UUID
    template: str
    organisation_id: UUID
    entries: tuple[Entry, ...]
    effective_at: datetime
    job_id: UUID | None = None
    attempt_id: UUID | None = None
    memo: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = sum(entry.amount_micro_yen for entry in self.entries)
        if total != 0 or len(self.entries) < 2:  # noqa: PLR2004  double entry
            raise UnbalancedTransaction(f"{self.template}: {total} micro-yen in {len(self.entries)} entries")
        orders = [entry.account.order for entry in self.entries]
        if orders != sorted(set(orders)):
            raise ValueError(f"{self.template}: entries are one per account, in the accounts' order")
