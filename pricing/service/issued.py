"""Documents as they were issued: found by date, amount and counterparty, shown with the lines behind them; receipts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from accounts import service as accounts
from infra.db.connection import Conn
from pricing import receipts
from pricing.approvals import sha256_of
from pricing.days import Month, day_of
from pricing.document import Amounts, AnnexLine, Document, DocumentKind, Search, fiscal_year, number
from pricing.errors import DocumentNotFound, LedgerConflict, SearchRangeWrong
from pricing.ledger.templates import transaction_id
from pricing.receipts import Paid
from pricing.store import issued as store


async def documents(conn: Conn, wanted: Search, *, limit: int, after: UUID | None = None) -> list[Document]:
    """The newest first, beyond `after`; a tenant finds its own, an operator everybody's. SearchRangeWrong."""
    for since, until in ((wanted.since, wanted.until), (wanted.least_yen, wanted.most_yen)):
        if since is not None and until is not None and since > until:  # type: ignore[operator]  # of one kind
            raise SearchRangeWrong(since=str(since), until=str(until))
    return await store.search(conn, wanted, limit=limit, after=after)


async def document(conn: Conn, name: str) -> Document:
    """By its id or its number. DocumentNotFound: there is none, or it is another organisation's."""
    try:
        found = await store.document(conn, UUID(name))
    except ValueError:
        found = await store.document_numbered(conn, name)
    if found is None:
        raise DocumentNotFound(document=name[:50])
    return found


def annex(conn: Conn, found: Document) -> AsyncIterator[AnnexLine]:
    """The rated lines behind a month's document; they never change. Inside a transaction."""
    return store.annex(conn, found.organisation_id, found.month)


async def issue_receipt(
    conn: Conn,
    *,
    payment_id: UUID,
    organisation_id: UUID,
    parts: tuple[Paid, ...],
    means: str,
    received_on: date,
    issuer: Mapping[str, str],
    now: datetime,
) -> Document:
    """The receipt of a payment, once: again gives the same one. means: 'bank_transfer', 'card' …

    DocumentNotFound: an invoice that a part names. LedgerConflict: the payment has a receipt of another content.
    """
    document_id = transaction_id("receipt", payment_id)
    before = await store.document(conn, document_id)
    if before is not None:
        if (before.organisation_id, before.amounts.total_yen) != (organisation_id, sum(each.yen for each in parts)):
            raise LedgerConflict(f"payment {payment_id} has receipt {before.number} of another content")
        return before
    (customer,) = await accounts.organisations_among(conn, [organisation_id])
    paid = {each.document: await document(conn, each.document) for each in parts if each.document is not None}
    issue_date = day_of(now)
    year = fiscal_year(issue_date)
    ordinal = await store.take_ordinals(conn, DocumentKind.RECEIPT, year, count=1)
    content: dict[str, Any] = receipts.content(
        number=number(DocumentKind.RECEIPT, year, ordinal),
        payment_id=payment_id,
        customer=customer,
        parts=parts,
        means=means,
        received_on=received_on,
        issue_date=issue_date,
        issuer=issuer,
    )
    total = sum(each.yen for each in parts)
    made = Document(
        id=document_id,
        organisation_id=organisation_id,
        kind=DocumentKind.RECEIPT,
        fiscal_year=year,
        ordinal=ordinal,
        month=Month.of(received_on),
        original_id=next((each.id for each in paid.values()), None),
        issued_at=now,
        issue_date=issue_date,
        due_date=None,
        counterparty=customer.name,
        amounts=Amounts(subtotal_yen=total, tax_yen=0, total_yen=total),
        content=content,
        content_sha256=sha256_of(content),
    )
    await store.add_documents(conn, [made])
    return made
