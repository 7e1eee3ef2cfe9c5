"""Runs the independent audit: gives it what the house claims of itself, and lets it judge.

This is the only place where the house's figures and the audit meet; the audit itself (metering.audit) knows neither
this module nor any other of the house's rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from hpc_adapters.contract import Backend
from infra.db.connection import Conn, Pool, transaction
from metering.audit.audit import ask_backends, audit, beginning
from metering.audit.model import Claims, FigureClaim, InvoiceClaim, RateClaim, Result
from metering.periods import Period, PeriodKind, months_of, period_of
from metering.service import kpis
from metering.store.facts import organisations_with_lines
from metering.store.parked import blames_the_row
from pricing.days import Month
from pricing.invoicing import Invoice, RateGroup
from pricing.service import draft_invoice


async def run_audit(
    pool: Pool, backends: Mapping[str, Backend], *, now: datetime, since: datetime | None = None
) -> Result:
    """The audit of everything until now. since: how far back to ask the backends; without it, to the beginning.

    Unexplained differences must be looked at by a person; explained ones are known and harmless.
    """
    if since is None:
        async with transaction(pool) as conn:
            since = await beginning(conn, now=now)
    told = await ask_backends(backends, since=since, now=now)
    async with transaction(pool, snapshot=True) as conn:
        return await audit(conn, told, await claims_of_the_house(conn, now=now), now=now)


async def claims_of_the_house(conn: Conn, *, now: datetime) -> Claims:
    """Figures of the present and the previous month, quarter and fiscal year; drafts of the two months.

    What cannot be calculated from corrupted facts is a finding, and must not keep the audit from the others.
    """
    figures: list[FigureClaim] = []
    invoices: list[InvoiceClaim] = []
    failed: dict[str, str] = {}
    this_month = period_of(PeriodKind.MONTH, now)
    for period in _periods(now):
        async with _noting(conn, f"figures:{period.code}", failed):
            figures += await _figures(conn, period, now)
    for month in (period_of(PeriodKind.MONTH, _before(this_month)), this_month):
        for organisation_id in await organisations_with_lines(conn, month):
            async with _noting(conn, f"invoice:{organisation_id}/{month.code}", failed):
                drafted = await draft_invoice(conn, organisation_id, month=Month.parse(month.code), now=now)
                invoices.append(_claim(month, drafted))
    return Claims(figures=figures, invoices=invoices, failed=failed)


@asynccontextmanager
async def _noting(conn: Conn, subject: str, failed: dict[str, str]) -> AsyncIterator[None]:
    try:
        async with conn.transaction():
            yield
    except Exception as error:
        if not blames_the_row(error):  # not the facts: the database itself
            raise
        failed[subject] = f"{type(error).__name__}: {error}"


def _periods(now: datetime) -> list[Period]:
    current = [period_of(kind, now) for kind in PeriodKind]
    return [*current, *(period_of(period.kind, _before(period)) for period in current)]


def _before(period: Period) -> datetime:
    """An instant of the period before."""
    return period.since - (months_of(period)[0].until - period.since) / 2


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
    def micro_yen(*, of_usage: bool) -> int:
        return _sum(line.charged_micro_yen for line in group.lines if (line.offering_id is not None) is of_usage)

    return RateClaim(
        tax_rate_bp=group.tax_rate_bp,
        used_micro_yen=micro_yen(of_usage=True),
        covered_micro_yen=-micro_yen(of_usage=False),
        lines_yen=_sum(line.charged_yen for line in group.lines),
        taxable_yen=group.taxable_yen,
        tax_yen=group.tax_yen,
    )


def _sum(amounts: Iterable[int]) -> int:
    return sum(amounts)
