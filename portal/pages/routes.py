"""All pages, under /ja and /en."""

from __future__ import annotations

from fastapi import APIRouter

from portal.pages import devices, entrance, history, jobs, money, officer, operator


def pages_router() -> APIRouter:
    """Every page; none is part of the API's description."""
    router = APIRouter(include_in_schema=False)
    for part in (entrance, history, jobs, devices, money, operator, officer):
        router.include_router(part.router)
    return router
