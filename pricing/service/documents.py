"""What is read: a job's money, the statement, the draft invoice, the discount given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from infra.db.connection import Conn
from pricing import invoicing
from pricing.days import Month
from pricing.figures import Books, DiscountTotals, Waiting
from pricing.invoicing import Invoice, cover_of_job
from pricing.ledger.balances import draw
from pricing.model import AttemptMoney, JobMoney
from pricing.service import pricebook
from pricing.statement import Position, Statement, Totals
from pricing.store import documents as store
from pricing.store import jobs as job_store
from pricing.store import ledger as ledger_store


async def charges_by_job(conn: Conn, job_ids: Sequence[UUID]) -> Mapping[UUID, JobMoney]:
    """The money of those of these jobs that have a quote."""
    return await store.money_of_jobs(conn, job_ids)


async def books(conn: Conn) -> Books:
    """Whether the ledger as a whole sums to zero, and how many holds are open; as an operator or the worker."""
    return await store.books(conn)


async def waiting(conn: Conn, *, ended_before: datetime) -> Waiting:
    """Parked usage, and attempts that ended before then and are not settled; as an operator or the worker."""
    return await store.waiting(conn, ended_before=ended_before)


async def usage_by_job(conn: Conn, job_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Decimal]]:
    """What those of these jobs that have been rated used, by priced component."""
    return await store.usage_of_jobs(conn, job_ids)


async def charges_by_attempt(conn: Conn, attempt_ids: Collection[UUID]) -> Mapping[UUID, AttemptMoney]:
    """What each of these attempts used and was charged, so far. A job may have thousands: those that are shown."""
    return await store.money_of_attempts(conn, attempt_ids)


async def statement(conn: Conn, organisation_id: UUID, *, month: Month) -> Statement:
    """An organisation's wallet in a month (by when a transaction counts), with the equation that proves it."""
    before = await ledger_store.movements(conn, organisation_id, until=month.since)
    after = await ledger_store.movements(conn, organisation_id, until=month.until)
    entries = await ledger_store.statement_entries(conn, organisation_id, since=month.since, until=month.until)
    return Statement(
        organisation_id=organisation_id,
        month=month,
        opening=Position.of(before),
        entries=tuple(entries),
        closing=Position.of(after),
        totals=Totals.of(after),
    )


async def draft_invoice(conn: Conn, organisation_id: UUID, *, month: Month, now: datetime) -> Invoice:
    """What would be invoiced for a month as it is known now. Posts nothing.

    Lines count in the month of their accounting day, or in the open one when that was closed before they were known.
    What paid for a job is spread over its lines in that order: the grant covers the first months.
    """
    charges = await store.job_charges(conn, organisation_id, month)
    parts = await job_store.held_parts(conn, [each.job_id for each in charges])
    covers = [
        cover_of_job(
            each.tax_rate_bp,
            before=draw(parts[each.job_id], net_micro_yen=each.before_micro_yen, tax_rate_bp=each.tax_rate_bp),
            after=draw(parts[each.job_id], net_micro_yen=each.after_micro_yen, tax_rate_bp=each.tax_rate_bp),
        )
        for each in charges
    ]
    usage = await store.usage_sums(conn, organisation_id, month)
    less = await pricebook.extras(conn, month, {organisation_id: usage}, {organisation_id: covers})
    return invoicing.draft(
        organisation_id=organisation_id,
        month=month,
        usage=usage,
        covers=covers,
        extras=less[organisation_id],
        open_jobs=await store.open_jobs(conn, organisation_id, until=month.until),
        now=now,
    )


async def discount_totals(conn: Conn, *, since: date, until: date, as_known_at: datetime) -> list[DiscountTotals]:
    """List, market, price and charge of all usage on accounting days in [since, until), by organisation."""
    return await store.discount_totals(conn, since=since, until=until, as_known_at=as_known_at)
