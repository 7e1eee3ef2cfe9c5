"""A startup's money: what there is, what moved in a month, and the draft invoice."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from portal.api.money import month_or_now
from portal.api.terms import ALWAYS, rules_out
from portal.pages.visitor import MoneyVisitor
from pricing import service as pricing

router = APIRouter(prefix="/{language}")


@router.get("/balance")
async def show_balance(
    visitor: MoneyVisitor, month: Annotated[str | None, Query(max_length=50)] = None
) -> HTMLResponse:
    """The wallet now, and a month of it."""
    caller = visitor.caller
    wanted = month_or_now(month or None, caller.now)
    async with caller.transaction() as conn:
        balance = await pricing.balance(conn, caller.organisation_id, now=caller.now)
        statement = await pricing.statement(conn, caller.organisation_id, month=wanted)
        converted = await pricing.converted_prices(conn, caller.organisation_id, month=wanted)
        invoice = await pricing.draft_invoice(conn, caller.organisation_id, month=wanted, now=caller.now)
    return visitor.show(
        "balance.html",
        balance=balance,
        statement=statement,
        invoice=invoice,
        month=wanted,
        converted=converted,
        rules=rules_out(ALWAYS, caller.language),
    )
