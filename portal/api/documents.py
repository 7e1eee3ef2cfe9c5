"""Invoices, credit notes, receipts: found by date, amount and counterparty, with the lines behind them.

A customer finds its own; an operator, everybody's (電子帳簿保存法 施行規則 第4条・第5条).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from accounts.model import Scope
from portal.api.csvfile import CSV, csv_response
from portal.api.wire import Items, Out, Word, number_text
from portal.auth.caller import Caller, needs
from pricing import service as pricing
from pricing.document import AnnexLine, Document, DocumentKind, Search
from pricing.units import yen_text

router = APIRouter(tags=["money"], prefix="/documents")

Reader = Annotated[Caller, needs(Scope.MONEY_READ, Scope.OPERATE)]
Name = Annotated[Word, Path(description="Its number, such as INV-2026-000001, or its id.")]
YenRange = Annotated[int | None, Query(ge=-(10**12), le=10**12)]
ANNEX = (
    *("line", "corrects", "original", "accounting_date", "job", "attempt", "project", "person", "offering"),
    *("component", "quantity", "list_yen", "price_yen", "charged_yen", "waiver", "recorded_at"),
)


class DocumentOut(Out):
    """A document. total = subtotal + tax; due = total − prepaid applied + carried in − carried out + credited;
    whole yen. `credited_yen`: to be given back, and taken off earlier documents that are still open.

    `carried_in_yen`: left by earlier months, too small to be asked for or (negative) to be given back.
    """

    id: UUID
    number: str
    kind: DocumentKind
    organisation_id: UUID
    counterparty: str
    month: str
    issue_date: date
    due_date: date | None
    subtotal_yen: int
    tax_yen: int
    total_yen: int
    prepaid_applied_yen: int
    carried_in_yen: int
    carried_out_yen: int
    credited_yen: int
    amount_due_yen: int
    original_id: Annotated[UUID | None, Field(description="Of a credit note: what it corrects.")]
    issued_at: datetime
    sha256: Annotated[str, Field(description="Of the content's canonical JSON: keys sorted, no spaces, UTF-8.")]


class WholeDocumentOut(DocumentOut):
    """`content`: all that the paper shows, as it was issued."""

    content: dict[str, Any]


class DocumentPage(Items[DocumentOut]):
    """`next`: give it as `after` for the page that follows; null: this is the last one."""

    next: UUID | None


def wanted(
    since: Annotated[date | None, Query(description="Issued on this day or later.")] = None,
    until: Annotated[date | None, Query(description="Issued on this day or earlier.")] = None,
    least_yen: YenRange = None,
    most_yen: YenRange = None,
    counterparty: Annotated[Word | None, Query(description="A part of the customer's name.")] = None,
    kind: DocumentKind | None = None,
) -> Search:
    """Everything that is given must be so. Amounts are totals with tax."""
    return Search(
        since=since, until=until, least_yen=least_yen, most_yen=most_yen, counterparty=counterparty, kind=kind
    )


Wanted = Annotated[Search, Depends(wanted)]


@router.get("")
async def list_documents(caller: Reader, looked_for: Wanted, after: UUID | None = None) -> DocumentPage:
    """The newest first."""
    limit = caller.deps.limits.page_items
    async with caller.transaction() as conn:
        found = await pricing.documents(conn, looked_for, limit=limit + 1, after=after)
    shown = found[:limit]
    return DocumentPage(
        items=[DocumentOut(**_told(each)) for each in shown], next=shown[-1].id if len(found) > limit else None
    )


@router.get(".csv", response_class=Response, responses=CSV)
async def list_documents_csv(caller: Reader, looked_for: Wanted) -> Response:
    """All of them as CSV: one row per document."""
    found: list[Document] = []
    async with caller.transaction(snapshot=True) as conn:
        while page := await pricing.documents(
            conn, looked_for, limit=caller.deps.limits.page_items, after=found[-1].id if found else None
        ):
            found += page
    rows = [[getattr(DocumentOut(**_told(each)), name) for name in DocumentOut.model_fields] for each in found]
    return csv_response("kyoyo-documents.csv", list(DocumentOut.model_fields), rows)


@router.get("/{name}")
async def get_document(caller: Reader, name: Name) -> WholeDocumentOut:
    """One document, with all that its paper shows."""
    async with caller.transaction() as conn:
        found = await pricing.document(conn, name)
    return WholeDocumentOut(**_told(found), content=dict(found.content))


@router.get("/{name}/lines.csv", response_class=Response, responses=CSV)
async def get_lines(caller: Reader, name: Name) -> Response:
    """The rated lines behind a month's document, exact to a micro-yen; what corrects a line names it."""
    async with caller.transaction(snapshot=True) as conn:
        found = await pricing.document(conn, name)
        rows = [annex_row(each) async for each in pricing.annex(conn, found)]
    return csv_response(f"{found.number}.csv", ANNEX, rows)


def annex_row(line: AnnexLine) -> tuple[object, ...]:
    """A rated line in the order of ANNEX."""
    return (
        *(line.line_id, line.corrects, line.original_number, line.accounting_date, line.job_id),
        *(line.job_attempt_id, line.project_id, line.person_id, line.offering_id, line.component),
        *(number_text(line.quantity), yen_text(line.list_micro_yen), yen_text(line.price_micro_yen)),
        *(yen_text(line.charged_micro_yen), line.waiver, line.recorded_at.isoformat()),
    )


def _told(found: Document) -> dict[str, Any]:
    amounts = found.amounts
    return {
        "id": found.id,
        "number": found.number,
        "kind": found.kind,
        "organisation_id": found.organisation_id,
        "counterparty": found.counterparty,
        "month": str(found.month),
        "issue_date": found.issue_date,
        "due_date": found.due_date,
        "subtotal_yen": amounts.subtotal_yen,
        "tax_yen": amounts.tax_yen,
        "total_yen": amounts.total_yen,
        "prepaid_applied_yen": amounts.prepaid_applied_yen,
        "carried_in_yen": amounts.carried_in_yen,
        "carried_out_yen": amounts.carried_out_yen,
        "credited_yen": amounts.credited_yen,
        "amount_due_yen": amounts.amount_due_yen,
        "original_id": found.original_id,
        "issued_at": found.issued_at,
        "sha256": found.content_sha256.hex(),
    }
