"""The API under its version."""

from __future__ import annotations

from fastapi import APIRouter

from portal.api import (
    calls,
    catalogue,
    data,
    declarations,
    devices,
    documents,
    elastic,
    jobs,
    kpi,
    me,
    members,
    money,
    months,
    offerings,
    operations,
    organisations,
    output,
    papers,
    payments,
    placement,
    prices,
    promotions,
    proposals,
    refunds,
    reservations,
    secrets,
    shares,
    tokens,
    transfers,
    wallets,
)
from portal.api.wire import PROBLEMS

API = "/api/v1"


def api_router() -> APIRouter:
    """Every endpoint of the API; each can answer with a problem."""
    router = APIRouter(prefix=API, responses=PROBLEMS)
    work = (offerings, devices, jobs, calls, output, data, transfers, reservations)
    own = (me, *work, money, documents, papers, wallets, payments, tokens, secrets, shares, placement)
    book = (catalogue, prices, promotions, proposals, refunds)
    for part in (*own, members, organisations, declarations, operations, *book, months, elastic, kpi):
        router.include_router(part.router)
    router.include_router(payments.operators)
    return router
