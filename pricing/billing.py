"""From what an organisation's month is to the document that says so. Pure.

A month's rated lines are those with its billed_month. What was used in an earlier month and became known after that was
closed is a line of its own that names the document which it changes. The sum of both is invoiced (適格請求書 and
適格返還請求書 as one document, 国税庁「インボイス制度に関するQ&A」問60);
where more is taken back than used, it is a credit note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from pricing import invoicing
from pricing.closing import ClosePlan
from pricing.days import Month
from pricing.document import Amounts, DocumentKind, Reference
from pricing.invoicing import Cover, Extra, Invoice, InvoiceLine, RateGroup, UsageSum
from pricing.ledger.templates import InvoiceMove
from pricing.payments import Receivable
from pricing.units import MICRO

_FORM = 1  # of the content; papers know every one that was ever used


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a person calls a project or an offering."""

    id: str
    ja: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Whom a document is for."""

    organisation_id: UUID
    name: str
    corporate_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """Where an invoice gives value back to, or draws a returned discount of: the prepaid lot and the credit line."""

    prepaid: UUID | None = None
    credit: UUID | None = None
    free_credit_micro_yen: int = 0
    free_prepaid_micro_yen: int = 0
    """In that lot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that is known of an organisation's month."""

    customer: Customer
    usage: Sequence[UsageSum]
    covers: Sequence[Cover]
    extras: Sequence[Extra]
    carried_in_yen: int
    originals: Mapping[Month, Sequence[Reference]]
    """Month of use → the documents that what is known later about it changes, the latest one first."""
    lots: Lots
    open: Sequence[Receivable] = ()
    """Earlier documents that are not paid in full, by due date; what is to be given back lowers them first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What becomes of an account. kind: None: it has no line and asks for nothing, so nothing is issued."""

    account: Account
    kind: DocumentKind | None
    invoice: Invoice
    amounts: Amounts
    originals: tuple[Reference, ...]
    """Of the credit note the first is the one that it corrects."""
    lowers: tuple[tuple[Receivable, int], ...] = ()
    """By how many yen it lowers what is open of earlier documents."""

    @property
    def charged_micro_yen(self) -> int:
        """Of the rated lines."""
        return sum(each.charged_micro_yen for each in self.account.usage)

    @property
    def covered(self) -> Cover:
        """What paid for them, all rates together (its rate is no one's)."""
        covers = self.account.covers
        return Cover(
            tax_rate_bp=0,
            granted_micro_yen=sum(each.granted_micro_yen for each in covers),
            tax_micro_yen=sum(each.tax_micro_yen for each in covers),
            prepaid_micro_yen=sum(each.prepaid_micro_yen for each in covers),
            credit_micro_yen=sum(each.credit_micro_yen for each in covers),
        )


def bill(account: Account, plan: ClosePlan, *, now: datetime) -> Bill:
    """The document of an account.

    What is to be given back lowers earlier documents that are still open; the rest of it, and what is less than the
    plan's minimum, is carried to the next month. A month that comes to nothing gets a list of its use and no invoice.
    What is due is asked for by whatever document there is, and in a month without use by one without lines.
    """
    invoice = invoicing.draft(
        organisation_id=account.customer.organisation_id,
        month=plan.month,
        usage=account.usage,
        covers=account.covers,
        extras=account.extras,
        open_jobs=0,
        now=now,
        rounding=plan.rounding,
        prepaid_yen=account.lots.free_prepaid_micro_yen // MICRO,
    )
    asked = invoice.amount_due_yen + account.carried_in_yen
    lowered = _lowered(account.open, -asked) if account.usage else ()
    credited_yen = sum(yen for _, yen in lowered)
    waits = asked < plan.minimum_yen
    amounts = Amounts(
        subtotal_yen=invoice.subtotal_yen,
        tax_yen=invoice.tax_yen,
        total_yen=invoice.total_yen,
        prepaid_applied_yen=invoice.prepaid_applied_yen,
        carried_in_yen=account.carried_in_yen,
        carried_out_yen=asked + credited_yen if waits else 0,
        amount_due_yen=0 if waits else asked,
        credited_yen=credited_yen,
    )
    return Bill(
        account=account,
        kind=_kind(amounts) if account.usage or amounts.amount_due_yen else None,
        invoice=invoice,
        amounts=amounts,
        originals=_originals(account),
        lowers=lowered,
    )


def _lowered(unpaid: Sequence[Receivable], back_yen: int) -> tuple[tuple[Receivable, int], ...]:
    """What is to be given back, put on what is open: what is due first first."""
    found = []
    for each in unpaid:
        if back_yen > 0:
            found.append((each, min(back_yen, each.open_yen)))
            back_yen -= found[-1][1]
    return tuple(found)


def _kind(amounts: Amounts) -> DocumentKind:
    if amounts.total_yen < 0:
        return DocumentKind.CREDIT_NOTE
    if amounts.total_yen == 0 and amounts.amount_due_yen == 0:
        return DocumentKind.USAGE
    return DocumentKind.INVOICE


def _originals(account: Account) -> tuple[Reference, ...]:
    """Those of which most is taken back first."""
    changed: dict[Reference, int] = {}
    for each in account.usage:
        if each.used_in is not None and each.corrects:
            for reference in account.originals.get(each.used_in, ())[:1]:
                changed[reference] = changed.get(reference, 0) + each.charged_micro_yen
    others = {each for found in account.originals.values() for each in found} - set(changed)
    first = sorted(changed, key=lambda each: (changed[each], each.number))
    return (*first, *sorted(others, key=lambda each: each.number))


def posting(made: Bill, document_id: UUID, *, at: datetime) -> InvoiceMove:
    """By what the books become what the document says."""
    covered, lots = made.covered, made.account.lots
    return InvoiceMove(
        organisation_id=made.account.customer.organisation_id,
        document_id=document_id,
        net_micro_yen=made.charged_micro_yen - covered.granted_micro_yen,
        tax_micro_yen=covered.tax_micro_yen,
        credit_micro_yen=covered.credit_micro_yen,
        subtotal_yen=made.amounts.subtotal_yen,
        tax_yen=made.amounts.tax_yen,
        due_yen=made.invoice.amount_due_yen,
        given_back_yen=made.invoice.given_back_yen,
        prepaid_lot=lots.prepaid,
        credit_lot=lots.credit,
        free_credit_micro_yen=lots.free_credit_micro_yen,
        at=at,
    )


def content(
    made: Bill, plan: ClosePlan, number: str, *, projects: Mapping[UUID, Named], offerings: Mapping[str, Named]
) -> dict[str, Any]:
    """All that the paper shows, as JSON: amounts are whole yen, quantities decimal text."""
    assert made.kind is not None
    customer, amounts = made.account.customer, made.amounts
    return {
        "form": _FORM,
        "kind": made.kind.value,
        "number": number,
        "month": str(plan.month),
        "first": plan.month.first.isoformat(),
        "last": _last_day(plan.month).isoformat(),
        "issue_date": plan.issue_date.isoformat(),
        "due_date": plan.due_date.isoformat() if amounts.amount_due_yen else None,
        "issuer": dict(plan.issuer),
        "recipient": {
            "organisation_id": str(customer.organisation_id),
            "name": customer.name,
            "corporate_number": customer.corporate_number,
        },
        "groups": [_group(group, made, projects, offerings) for group in made.invoice.groups],
        "originals": [_reference(each) for each in made.originals],
        "subtotal_yen": amounts.subtotal_yen,
        "tax_yen": amounts.tax_yen,
        "total_yen": amounts.total_yen,
        "prepaid_applied_yen": amounts.prepaid_applied_yen,
        "carried_in_yen": amounts.carried_in_yen,
        "carried_out_yen": amounts.carried_out_yen,
        "amount_due_yen": amounts.amount_due_yen,
        "credited_yen": amounts.credited_yen,
        "credits": [{"number": of.number, "amount_yen": yen} for of, yen in made.lowers],
        "rounding": plan.rounding.value,
    }


def _last_day(month: Month) -> date:
    return month.following.first - timedelta(days=1)


def _group(
    group: RateGroup, made: Bill, projects: Mapping[UUID, Named], offerings: Mapping[str, Named]
) -> dict[str, Any]:
    return {
        "tax_rate_bp": group.tax_rate_bp,
        "taxable_yen": group.taxable_yen,
        "tax_yen": group.tax_yen,
        "lines": [_line(line, made, projects, offerings) for line in group.lines],
    }


def _line(
    line: InvoiceLine, made: Bill, projects: Mapping[UUID, Named], offerings: Mapping[str, Named]
) -> dict[str, Any]:
    project = projects.get(line.project_id) if line.project_id else None
    offering = offerings.get(line.offering_id) if line.offering_id else None
    return {
        "kind": "usage" if line.offering_id else line.extra or "grant",
        "project": {
            "id": str(line.project_id),
            "slug": project.id if project else None,
            "name": project.ja if project else None,
        }
        if line.project_id
        else None,
        "offering": {
            "id": line.offering_id,
            "title_ja": offering.ja if offering else line.offering_id,
            "title_en": offering.en if offering else line.offering_id,
        }
        if line.offering_id
        else None,
        "component": line.component.value if line.component else None,
        "quantity": f"{line.quantity.normalize():f}" if line.quantity is not None else None,
        "used_in": str(line.used_in) if line.used_in else None,
        "list_yen": line.list_yen,
        "discount_yen": line.discount_yen,
        "waived_yen": line.waived_yen,
        "charged_yen": line.charged_yen,
        "charged_micro_yen": line.charged_micro_yen,
        "original": _original(line, made),
    }


def _original(line: InvoiceLine, made: Bill) -> dict[str, Any] | None:
    if line.used_in is None or not line.corrects:
        return None
    found = made.account.originals.get(line.used_in, ())
    return _reference(found[0]) if found else None


def _reference(each: Reference) -> dict[str, Any]:
    return {
        "id": str(each.id),
        "kind": each.kind.value,
        "number": each.number,
        "issue_date": each.issue_date.isoformat(),
        "month": str(each.month),
    }
