"""Quotes, holds, their postings and the first attempts of jobs: what a submission leaves with pricing, at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing.ledger.entries import Transaction
from pricing.model import BillableAttempt, Quote
from pricing.store import jobs, ledger

_OPENED = f"""WITH {ledger.POSTED}, quote AS (
        INSERT INTO pricing.quote (id, organisation_id, job_id, offering_id, price_version_id, ceiling_micro_yen,
            expected_micro_yen, tax_rate_bp, lines, quoted_at, low_micro_yen, basis, candidates)
        SELECT * FROM unnest($15::uuid[], $16::uuid[], $17::uuid[], $18::text[], $19::uuid[], $20::bigint[],
            $21::bigint[], $22::integer[], $23::jsonb[], $24::timestamptz[], $25::bigint[], $26::jsonb[],
            $27::jsonb[])
    ), hold AS (
        INSERT INTO pricing.hold (job_id, organisation_id, ceiling_micro_yen, opened_at)
        SELECT job, organisation, ceiling, $7
        FROM unnest($17::uuid[], $16::uuid[], $20::bigint[]) AS t (job, organisation, ceiling)
    ), opened AS ({jobs.add_attempts_sql(28)})
    SELECT ARRAY(SELECT id FROM added) AS posted, ARRAY(SELECT attempt_id FROM opened) AS opened"""  # noqa: S608  ours


async def open_jobs(
    conn: Conn,
    quotes: Sequence[Quote],
    holds: Sequence[Transaction],
    attempts: Sequence[BillableAttempt],
    *,
    now: datetime,
) -> set[UUID]:
    """New quotes, each with its hold and phases; what the holds claim, posted; attempts: those not there yet.

    One statement, for the wallet is locked meanwhile. LedgerConflict as ledger.post_all().
    """
    row = await conn.fetchrow(
        _OPENED,
        *ledger.posted_args(holds, now=now),
        [quote.id for quote in quotes],
        [quote.organisation_id for quote in quotes],
        [quote.job_id for quote in quotes],
        [quote.offering_id for quote in quotes],
        [quote.price_version_id for quote in quotes],
        [quote.ceiling_micro_yen for quote in quotes],
        [quote.expected_micro_yen for quote in quotes],
        [quote.tax_rate_bp for quote in quotes],
        [jobs.lines_told(quote.lines) for quote in quotes],
        [quote.quoted_at for quote in quotes],
        [quote.low_micro_yen for quote in quotes],
        [dict(quote.basis) or None for quote in quotes],
        [jobs.candidates_told(quote) for quote in quotes],
        *jobs.add_attempts_args(attempts),
    )
    assert row is not None  # of one row
    await ledger.require_same(conn, holds, but=set(row["posted"]))
    if any(quote.phases for quote in quotes):
        await jobs.add_phases(conn, quotes)
    return set(row["opened"])
