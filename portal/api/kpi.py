"""Figures for the program officer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from metering import periods
from metering import service as metering
from metering.report import Report, as_csv, as_json
from portal.api.wire import Items, Out
from portal.auth.caller import Caller, Officer

router = APIRouter(tags=["officer"])

PeriodQuery = Annotated[
    str | None,
    Query(description="YYYY-MM, YYYY-Qn or FYyyyy (fiscal years begin in April); default: this month.", max_length=50),
]


class PeriodOut(Out):
    code: str
    kind: str
    since: datetime
    until: datetime
    label_ja: str
    label_en: str


class FigureOut(Out):
    """`value`: a number for counts, an exact decimal string otherwise, null when there is nothing to divide by."""

    key: str
    version: int
    name_ja: str
    name_en: str
    resource: str
    value: int | str | None
    unit: str
    unit_ja: str
    unit_en: str
    numerator: str | None
    denominator: str | None
    parts_unit: str | None
    caveat_ja: str
    caveat_en: str


class KpiOut(Items[FigureOut]):
    """Figures for a period, as known at an instant. `complete`: the period was over then."""

    period: PeriodOut
    as_known_at: datetime
    complete: bool


@router.get("/kpi")
async def get_kpi(caller: Officer, period: PeriodQuery = None) -> KpiOut:
    """Every figure of a period, each with its definition's unit and caveat."""
    return KpiOut.model_validate(as_json(await report(caller, period)))


@router.get("/kpi.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
async def get_kpi_csv(caller: Officer, period: PeriodQuery = None) -> Response:
    """The same as CSV: one row per figure, UTF-8 with BOM."""
    return csv_response(await report(caller, period))


async def report(caller: Caller, period: str | None) -> Report:
    """UnknownPeriod."""
    wanted = periods.period_of(periods.PeriodKind.MONTH, caller.now) if period is None else periods.parse(period)
    async with caller.transaction(snapshot=True) as conn:
        return await metering.kpis(conn, wanted, as_known_at=caller.now)


def csv_response(told: Report) -> Response:
    """A download with a name that says what it is."""
    name = f"kyoyo-kpi-{told.period.code}.csv"
    return Response(
        as_csv(told),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
