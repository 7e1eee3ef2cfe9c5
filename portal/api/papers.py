"""Papers as PDF/A: documents as they were issued, and the wallet's statement of a month."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from accounts import service as accounts
from infra.paper.sheet import Sheet
from infra.paper.typesetting import FontsMissing, GlyphsMissing, typeset
from portal.api.csvfile import csv_text
from portal.api.documents import ANNEX, Name, Reader, annex_row
from portal.api.money import MonthQuery, month_or_now
from portal.auth.caller import Caller, MoneyReader
from pricing import service as pricing
from pricing.days import day_of
from pricing.errors import IssuerNotSet, PaperNotPossible
from pricing.papers.issued import sheet_of
from pricing.papers.parties import Issuer, Receiver
from pricing.papers.statement import StatementPaper, statement_sheet

router = APIRouter(tags=["money"])
_PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}}}


@router.get("/documents/{name}/paper.pdf", response_class=Response, responses=_PDF)
async def get_paper(caller: Reader, name: Name) -> Response:
    """The paper of a document; the rows behind its lines are in the file. The same document gives the same bytes."""
    async with caller.transaction(snapshot=True) as conn:
        found = await pricing.document(conn, name)
        rows = [annex_row(each) async for each in pricing.annex(conn, found)]
    try:
        sheet = sheet_of(found.content, issued_at=found.issued_at, annex_csv=csv_text(ANNEX, rows))
    except ValueError:
        raise PaperNotPossible(problem="kind", what=found.kind.value) from None
    return await _pdf(caller, sheet)


@router.get("/statement.pdf", response_class=Response, responses=_PDF)
async def get_statement_paper(caller: MoneyReader, month: MonthQuery = None) -> Response:
    """Everything that moved in a month and the equation that proves the balance, on paper."""
    wanted = month_or_now(month, caller.now)
    rules = caller.deps.close_rules
    if not rules.issuer:
        raise IssuerNotSet(missing=["name"])
    async with caller.transaction(snapshot=True) as conn:
        found = await pricing.statement(conn, caller.organisation_id, month=wanted)
        customer = await accounts.organisation(conn, caller.organisation_id)
    paper = StatementPaper(
        number=f"{wanted}-{customer.slug}",
        issue_date=day_of(caller.now),
        issuer=Issuer(**rules.issuer),
        receiver=Receiver(name=customer.name),
        statement=found,
        issued_at=caller.now,
    )
    return await _pdf(caller, statement_sheet(paper))


async def _pdf(caller: Caller, sheet: Sheet) -> Response:
    """Setting takes a few tenths of a second of a processor: in a thread. PaperNotPossible."""
    try:
        pdf = await asyncio.to_thread(typeset, sheet, font_folders=caller.deps.font_folders)
    except FontsMissing:
        raise PaperNotPossible(problem="fonts", what="fonts-morisawa-bizud-gothic, fonts-noto-cjk") from None
    except GlyphsMissing as missing:
        raise PaperNotPossible(problem="letters", what="".join(missing.characters)[:50]) from None
    headers = {"Content-Disposition": f'inline; filename="{sheet.number}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)
