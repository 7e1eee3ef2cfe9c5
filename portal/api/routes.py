"""The API under its version."""

from __future__ import annotations

from fastapi import APIRouter

from portal.api import jobs, kpi, me, members, money, offerings, operations, organisations, output, secrets, tokens
from portal.api.wire import PROBLEMS

API = "/api/v1"


def api_router() -> APIRouter:
    """Every endpoint of the API; each can answer with a problem."""
    router = APIRouter(prefix=API, responses=PROBLEMS)
    for part in (me, offerings, jobs, output, money, tokens, secrets, members, organisations, operations, kpi):
        router.include_router(part.router)
    return router
