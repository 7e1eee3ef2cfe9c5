"""Runs the independent audit: gives it what the house claims of itself, and lets it judge.

This is the only place where the house's figures and the audit meet; the audit itself (metering.audit) knows neither
this module nor any other of the house's rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from hpc_adapters.contract import Backend
from infra.db.connection import Conn, Pool, savepoint, transaction
from metering.audit.audit import ask_backends, audit, beginning
from metering.audit.model import Claims, FigureClaim, InvoiceClaim, RateClaim, Result
from metering.periods import Period, PeriodKind, period_of
from metering.service import kpis
from metering.store.facts import organisations_with_lines
from metering.store.parked import blames_the_row
from pricing.days import Month
from pricing.invoicing import Invoice, RateGroup
from pricing.service import draft_invoice

_MOST_MONTHS = 24


async def run_audit(
    pool: Pool, backends: Mapping[str, Backend], *, now: datetime, since: datetime | None = None
) -> Result:
    """The audit of everything until now. since: how far back to ask the backends; without it, to the beginning.

    Asks the backends first, then looks at everything at one instant. Unexplained differences must be looked at by a
    person; explained ones are known and harmless. pool: as kyoyo_auditor or kyoyo_worker.
    """
    if since is None:
        async with transaction(pool, snapshot=True) as conn:
            since = await beginning(conn, now=now)
    told = await ask_backends(backends, since=since, now=now)
    async with transaction(pool, snapshot=True) as conn:
        return await audit(conn, told, await claims_of_the_house(conn, since=since, now=now), now=now)


async def claims_of_the_house(conn: Conn, *, since: datetime, now: datetime) -> Claims:
    """Every figure and every draft invoice that the house would give now, for every period since an instant.

    What cannot be calculated from corrupted facts is a finding, and must not keep the audit from the others.
    """
    figures: list[FigureClaim] = []
    invoices: list[InvoiceClaim] = []
    failed: dict[str, str] = {}
    months = _months(since, now)
    for period in _periods(months):
        async with _noting(conn, f"figures:{period.code}", failed):
            figures += await _figures(conn, period, now)
    for month in months:
        for organisation_id in await organisations_with_lines(conn, month):
            async with _noting(conn, f"invoice:{organisation_id}/{month.code}", failed):
                drafted = await draft_invoice(conn, organisation_id, month=Month.parse(month.code), now=now)
                invoices.append(_claim(month, drafted))
    return Claims(figures=figures, invoices=invoices, failed=failed)


def _months(since: datetime, now: datetime) -> Sequence[Period]:
    months = [period_of(PeriodKind.MONTH, since)]
    while months[-1].until <= now:
        months.append(period_of(PeriodKind.MONTH, months[-1].until))
    return months[-_MOST_MONTHS:]


def _periods(months: Iterable[Period]) -> Iterable[Period]:
    """The months with the quarters and fiscal years in which they lie."""
    periods = [period_of(kind, month.since) for kind in PeriodKind for month in months]
    return {period.code: period for period in periods}.values()


@asynccontextmanager
async def _noting(conn: Conn, subject: str, failed: dict[str, str]) -> AsyncIterator[None]:
    try:
        async with savepoint(conn):
            yield
    except Exception as error:
        if not blames_the_row(error):  # not the facts: the database itself
            raise
        failed[subject] = f"{type(error).__name__}: {error}"


async def _figures(conn: Conn, period: Period, now: datetime) -> list[FigureClaim]:
    report = await kpis(conn, period, as_known_at=now)
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


def _claim(month: Period, invoice: Invoice) -> InvoiceClaim:
    return InvoiceClaim(
        organisation_id=invoice.organisation_id,
        month=month.code,
        since=month.since,
        until=month.until,
        rates=[_rate(group) for group in invoice.groups],
        total_yen=invoice.total_yen,
    )


def _rate(group: RateGroup) -> RateClaim:
    """A line without an offering is what grants cover."""
    used = sum(line.charged_micro_yen for line in group.lines if line.offering_id is not None)
    covered = -sum(line.charged_micro_yen for line in group.lines if line.offering_id is None)
    return RateClaim(
        tax_rate_bp=group.tax_rate_bp,
        used_micro_yen=used,
        covered_micro_yen=covered,
        lines_yen=sum(line.charged_yen for line in group.lines),
        taxable_yen=group.taxable_yen,
        tax_yen=group.tax_yen,
    )
