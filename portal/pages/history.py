"""The history of prices, for everybody: who reads it needs not sign in (P23)."""

from __future__ import annotations

from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from infra.db.connection import Role, transaction
from portal.deps import deps_of
from portal.pages.render import page
from portal.pages.visitor import PageLanguage
from pricing import service as pricing

router = APIRouter(prefix="/{language}")


@router.get("/prices")
async def show_history(request: Request, language: PageLanguage) -> HTMLResponse:
    """Every price that was ever published, by offering, the newest first."""
    async with transaction(deps_of(request).pool, role=Role.TENANT) as conn:  # of no organisation
        found = await pricing.published_prices(conn)
    newest = sorted(found, key=lambda each: each.version.valid_from, reverse=True)
    in_order = sorted(newest, key=lambda each: each.version.offering_id)
    offerings = [(name, list(each)) for name, each in groupby(in_order, key=lambda each: each.version.offering_id)]
    return page(request, "price_history.html", language, offerings=offerings)
