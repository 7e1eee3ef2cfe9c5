"""What is issued to a customer, as a fact: numbered without gaps, frozen, found again by date, amount and counterparty.

電子帳簿保存法 施行規則 第4条・第5条: what was exchanged electronically is kept where nothing can be changed or deleted
without a trace (append-only, with the hash of the content) and can be searched by date, amount and counterparty, by
ranges of the first two and by any of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pricing.days import Month


class DocumentKind(StrEnum):
    """What a document is; each kind has numbers of its own."""

    INVOICE = "invoice"
    """適格請求書, 消費税法 第57条の4第1項."""
    CREDIT_NOTE = "credit_note"
    """適格返還請求書, 消費税法 第57条の4第3項."""
    RECEIPT = "receipt"
    """領収書."""
    USAGE = "usage"
    """利用明細書: of a month whose use comes to 0 yen, so that nothing is invoiced."""
    STATEMENT = "statement"
    """残高明細書: a wallet's month."""


_LETTERS = {
    DocumentKind.INVOICE: "INV",
    DocumentKind.CREDIT_NOTE: "CN",
    DocumentKind.RECEIPT: "RCT",
    DocumentKind.USAGE: "USE",
    DocumentKind.STATEMENT: "STM",
}
_APRIL = 4


def fiscal_year(day: date) -> int:
    """The fiscal year (April to March) of a day: 2025 for 31 March 2026."""
    return day.year if day.month >= _APRIL else day.year - 1


def number(kind: DocumentKind, year: int, ordinal: int) -> str:
    """As people say it: 'INV-2026-000001', the first invoice issued in fiscal year 2026."""
    return f"{_LETTERS[kind]}-{year}-{ordinal:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """A document's sums in whole yen. total = subtotal + tax;

    due = total − prepaid applied + carried in − carried out + credited.

    Of a receipt or a wallet's statement the sums after the total are 0.
    """

    subtotal_yen: int
    tax_yen: int
    total_yen: int
    """Negative on a credit note."""
    prepaid_applied_yen: int = 0
    """What the wallet has paid already; negative: has got back already."""
    carried_in_yen: int = 0
    """Left by earlier months: too small to be asked for, or (negative) to be given back."""
    carried_out_yen: int = 0
    amount_due_yen: int = 0
    credited_yen: int = 0
    """What was to be given back and lowers earlier documents that are still open instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Another document, as a document names it."""

    id: UUID
    kind: DocumentKind
    number: str
    issue_date: date
    month: Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document as it was issued."""

    id: UUID
    organisation_id: UUID
    kind: DocumentKind
    fiscal_year: int
    ordinal: int
    month: Month
    """The month of the use (of a receipt: of the payment)."""
    original_id: UUID | None
    issued_at: datetime
    issue_date: date
    due_date: date | None
    """None: nothing is to be paid."""
    counterparty: str
    """The customer's name as the document shows it."""
    amounts: Amounts
    content: Mapping[str, Any]
    """All that the paper shows: pricing/billing.py, pricing/receipts.py."""
    content_sha256: bytes

    @property
    def number(self) -> str:
        """Its number."""
        return number(self.kind, self.fiscal_year, self.ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for: everything that is given must be so. Ranges include both ends; amounts are totals in yen."""

    since: date | None = None
    until: date | None = None
    """By the date of issue."""
    least_yen: int | None = None
    most_yen: int | None = None
    counterparty: str | None = None
    """A part of the name, in any form of its letters and width."""
    kind: DocumentKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexLine:
    """A rated line as the annex of its document shows it. Amounts in micro-yen without tax."""

    line_id: UUID
    corrects: UUID | None
    """The line before it of the same usage and day: this one takes that one back, or stands in its place."""
    original_number: str | None
    """The document that has that line, if it is another one."""
    accounting_date: date
    job_id: UUID
    job_attempt_id: UUID
    project_id: UUID
    person_id: UUID
    offering_id: str
    component: str
    quantity: Decimal
    list_micro_yen: int
    price_micro_yen: int
    charged_micro_yen: int
    waiver: str | None
    recorded_at: datetime
