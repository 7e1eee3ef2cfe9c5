"""A program officer's page: the figures of a period, each with what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from metering.periods import Period, PeriodKind, months_of, period_of
from portal.api.kpi import csv_response, report
from portal.auth.caller import Caller
from portal.pages.visitor import OfficerVisitor

router = APIRouter(prefix="/{language}/officer")
TILES = (
    "active_users",
    "active_organisations",
    "gpu_hours",
    "qpu_seconds",
    "gpu_utilisation",
    "discount_from_market_yen",
)

PeriodQuery = Annotated[str | None, Query(max_length=50)]


@router.get("/kpi")
async def show_kpi(visitor: OfficerVisitor, period: PeriodQuery = None) -> HTMLResponse:
    """Tiles for the main figures, all of them in a table."""
    told = await report(visitor.caller, period or None)
    whole = {definition.key: (definition, figure) for definition, figure in told.figures if not figure.resource}
    return visitor.show(
        "kpi.html", report=told, tiles=[whole[key] for key in TILES if key in whole], choices=_choices(visitor.caller)
    )


@router.get("/kpi.csv")
async def download_kpi(visitor: OfficerVisitor, period: PeriodQuery = None) -> Response:
    """The same as a file."""
    return csv_response(await report(visitor.caller, period or None))


def _choices(caller: Caller) -> Sequence[Period]:
    """The fiscal year with its quarters and months up to now, the narrowest first, then the year before."""
    year = period_of(PeriodKind.FISCAL_YEAR, caller.now)
    months = [month for month in reversed(months_of(year)) if month.since <= caller.now]
    quarters = {each.code: each for each in (period_of(PeriodKind.QUARTER, month.since) for month in months)}
    before = period_of(PeriodKind.FISCAL_YEAR, year.since.replace(year=year.since.year - 1))
    return [*months, *quarters.values(), year, before]
