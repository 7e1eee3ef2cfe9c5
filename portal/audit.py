"""`kyoyod audit`: hands the independent audit what the house says of itself, and prints what it finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import typer

from accounts import service as accounts
from hpc_adapters.contract import Backend
from infra.clock import utc_now
from infra.db.connection import Conn, Pool, open_pool, transaction
from metering import service as metering
from metering.audit.audit import ask_backends, audit, beginning
from metering.audit.model import Claims, FigureClaim, InvoiceClaim, RateClaim, Result
from metering.periods import Period, PeriodKind, period_of
from portal.bootstrap import DatabaseUrls, build_backends
from portal.settings import Settings
from pricing import service as pricing
from pricing.days import Month, day_of
from pricing.invoicing import Invoice, RateGroup

_MOST_MONTHS = 24


async def print_audit(settings: Settings, urls: DatabaseUrls, *, as_json: bool) -> int:
    """How many differences nobody can explain."""
    backends = build_backends(settings)
    try:
        async with open_pool(urls.auditor, size=1) as pool:
            result = await run_audit(pool, backends, now=utc_now())
    finally:
        for backend in backends.values():
            await backend.close()
    if as_json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in result.lines():
            typer.echo(line)
    return result.unexplained


async def run_audit(pool: Pool, backends: Mapping[str, Backend], *, now: datetime) -> Result:
    """Asks the backends first, then looks at everything at one instant. pool: as kyoyo_auditor."""
    async with transaction(pool, snapshot=True) as conn:
        since = await beginning(conn, now=now)
    told = await ask_backends(backends, since=since, now=now)
    async with transaction(pool, snapshot=True) as conn:
        return await audit(conn, told, await _claims(conn, since=since, now=now), now=now)


async def _claims(conn: Conn, *, since: datetime, now: datetime) -> Claims:
    """Every figure and every draft invoice that the house would give now, of all the time that it has run."""
    months = _months(since, now)
    figures = [claim for period in _periods(months) for claim in await _figures(conn, period, now)]
    invoices = [
        _invoice(await pricing.draft_invoice(conn, organisation.id, month=month, now=now))
        for organisation in await accounts.list_organisations(conn)
        for month in months
    ]
    return Claims(figures=figures, invoices=invoices)


def _months(since: datetime, now: datetime) -> Sequence[Month]:
    months = [Month.of(day_of(since))]
    while months[-1].until <= now:
        months.append(months[-1].following)
    return months[-_MOST_MONTHS:]


def _periods(months: Iterable[Month]) -> Iterable[Period]:
    """The months with the quarters and fiscal years in which they lie."""
    periods = [period_of(kind, month.since) for kind in PeriodKind for month in months]
    return {period.code: period for period in periods}.values()


async def _figures(conn: Conn, period: Period, now: datetime) -> Iterable[FigureClaim]:
    report = await metering.kpis(conn, period, as_known_at=now)
    return [
        FigureClaim(
            key=definition.key,
            resource=figure.resource,
            since=period.since,
            until=period.until,
            as_known_at=now,
            value=figure.value,
            numerator=figure.numerator,
            denominator=figure.denominator,
        )
        for definition, figure in report.figures
    ]


def _invoice(drafted: Invoice) -> InvoiceClaim:
    return InvoiceClaim(
        organisation_id=drafted.organisation_id,
        month=str(drafted.month),
        since=drafted.month.since,
        until=drafted.month.until,
        rates=[_rate(group) for group in drafted.groups],
        total_yen=drafted.total_yen,
    )


def _rate(group: RateGroup) -> RateClaim:
    return RateClaim(
        tax_rate_bp=group.tax_rate_bp,
        used_micro_yen=sum(line.charged_micro_yen for line in group.lines if line.offering_id is not None),
        covered_micro_yen=-sum(line.charged_micro_yen for line in group.lines if line.offering_id is None),
        lines_yen=sum(line.charged_yen for line in group.lines),
        taxable_yen=group.taxable_yen,
        tax_yen=group.tax_yen,
    )
