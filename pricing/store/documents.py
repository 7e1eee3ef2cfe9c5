"""What statements, invoices and figures read from the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.days import Month
from pricing.figures import Books, DiscountTotals, Waiting
from pricing.invoicing import UsageSum
from pricing.model import AttemptMoney, Component, Ending, JobMoney


@dataclass(frozen=True, slots=True)
class JobCharges:
    """A job's charges that are billed before a month, and up to its end."""

    job_id: UUID
    tax_rate_bp: int
    before_micro_yen: int
    after_micro_yen: int


async def usage_sums(conn: Conn, organisation_id: UUID, month: Month) -> list[UsageSum]:
    """Rated lines that are billed in a month, by offering, component and tax rate. What was taken back is gone."""
    rows = await conn.fetch(
        """SELECT l.offering_id, l.component, q.tax_rate_bp, sum(l.quantity) AS quantity,
                  sum(l.list_micro_yen)::bigint AS list_micro_yen, sum(l.price_micro_yen)::bigint AS price_micro_yen,
                  sum(l.charged_micro_yen)::bigint AS charged_micro_yen
           FROM pricing.rated_line l JOIN pricing.quote q ON q.job_id = l.job_id
           WHERE l.organisation_id = $1 AND l.billed_month = $2
           GROUP BY l.offering_id, l.component, q.tax_rate_bp
           HAVING sum(l.quantity) <> 0 OR sum(l.list_micro_yen) <> 0 OR sum(l.price_micro_yen) <> 0
               OR sum(l.charged_micro_yen) <> 0
           ORDER BY l.offering_id, l.component, q.tax_rate_bp""",
        organisation_id,
        month.first,
    )
    return [UsageSum(**{**row, "component": Component(row["component"])}) for row in rows]


async def job_charges(conn: Conn, organisation_id: UUID, month: Month) -> list[JobCharges]:
    """Jobs with a line that is billed in a month, with all that is billed before it and up to its end."""
    rows = await conn.fetch(
        """SELECT l.job_id, q.tax_rate_bp,
                  coalesce(sum(l.charged_micro_yen) FILTER (WHERE l.billed_month < $2), 0)::bigint AS before,
                  sum(l.charged_micro_yen)::bigint AS after
           FROM pricing.rated_line l JOIN pricing.quote q ON q.job_id = l.job_id
           WHERE l.billed_month <= $2 AND l.job_id IN (
               SELECT job_id FROM pricing.rated_line WHERE organisation_id = $1 AND billed_month = $2)
           GROUP BY l.job_id, q.tax_rate_bp""",
        organisation_id,
        month.first,
    )
    return [JobCharges(*row) for row in rows]


async def open_jobs(conn: Conn, organisation_id: UUID, *, until: datetime) -> int:
    """Holds that were opened before `until` and are still open."""
    count: int = await conn.fetchval(
        "SELECT count(*) FROM pricing.hold WHERE organisation_id = $1 AND opened_at < $2 AND closed_at IS NULL",
        organisation_id,
        until,
    )
    return count


async def usage_of_jobs(conn: Conn, job_ids: Sequence[UUID]) -> dict[UUID, dict[str, Decimal]]:
    """Rated quantities of jobs by component; a corrected line and its reversal cancel out."""
    rows = await conn.fetch(
        """SELECT job_id, component, sum(quantity) AS quantity FROM pricing.rated_line
           WHERE job_id = ANY($1) GROUP BY job_id, component ORDER BY job_id, component""",
        job_ids,
    )
    found: dict[UUID, dict[str, Decimal]] = {}
    for row in rows:
        found.setdefault(row["job_id"], {})[row["component"]] = row["quantity"]
    return found


async def money_of_attempts(conn: Conn, attempt_ids: Collection[UUID]) -> dict[UUID, AttemptMoney]:
    """Each attempt, whether or not anything of it has been rated."""
    rows = await conn.fetch(
        """SELECT b.attempt_id, b.ending::text AS ending, b.settled_at IS NOT NULL AS settled, l.component,
                  sum(l.quantity) AS quantity, coalesce(sum(l.charged_micro_yen), 0)::bigint AS charged
           FROM pricing.billable_attempt b LEFT JOIN pricing.rated_line l ON l.attempt_id = b.attempt_id
           WHERE b.attempt_id = ANY($1) GROUP BY b.attempt_id, l.component ORDER BY b.attempt_id, l.component""",
        list(attempt_ids),
    )
    by_attempt: dict[UUID, list[Record]] = {}
    for row in rows:
        by_attempt.setdefault(row["attempt_id"], []).append(row)
    return {
        attempt_id: AttemptMoney(
            ending=Ending(lines[0]["ending"]) if lines[0]["ending"] else None,
            settled=lines[0]["settled"],
            charged_micro_yen=sum(line["charged"] for line in lines),
            usage={line["component"]: line["quantity"] for line in lines if line["component"]},
        )
        for attempt_id, lines in by_attempt.items()
    }


async def books(conn: Conn) -> Books:
    """Over all organisations: for a role that sees them all."""
    row = await conn.fetchrow(
        """SELECT (SELECT coalesce(sum(amount_micro_yen), 0)::bigint FROM pricing.ledger_entry) AS imbalance_micro_yen,
                  (SELECT count(*) FROM pricing.hold WHERE closed_at IS NULL) AS open_holds"""
    )
    assert row is not None
    return Books(**row)


async def money_of_jobs(conn: Conn, job_ids: Sequence[UUID]) -> dict[UUID, JobMoney]:
    rows = await conn.fetch(
        """SELECT q.job_id, q.ceiling_micro_yen, q.expected_micro_yen, h.closed_at IS NOT NULL AS settled,
                  (SELECT coalesce(sum(e.amount_micro_yen), 0)::bigint
                     FROM pricing.ledger_transaction t
                     JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'held'
                    WHERE t.job_id = q.job_id) AS held_micro_yen,
                  (SELECT coalesce(sum(l.charged_micro_yen), 0)::bigint
                     FROM pricing.rated_line l WHERE l.job_id = q.job_id) AS charged_micro_yen
           FROM pricing.quote q JOIN pricing.hold h ON h.job_id = q.job_id WHERE q.job_id = ANY($1)""",
        list(job_ids),
    )
    money = {}
    for row in rows:
        facts = dict(row)
        job_id = facts.pop("job_id")
        money[job_id] = JobMoney(**facts)
    return money


async def discount_totals(conn: Conn, *, since: date, until: date, as_known_at: datetime) -> list[DiscountTotals]:
    """Rated lines of accounting days in [since, until) that were recorded by then, by organisation."""
    rows = await conn.fetch(
        """SELECT organisation_id, sum(list_micro_yen)::bigint AS list_micro_yen,
                  sum(market_micro_yen)::bigint AS market_micro_yen, sum(price_micro_yen)::bigint AS price_micro_yen,
                  sum(charged_micro_yen)::bigint AS charged_micro_yen
           FROM pricing.rated_line
           WHERE accounting_date >= $1 AND accounting_date < $2 AND recorded_at <= $3
           GROUP BY organisation_id ORDER BY organisation_id""",
        since,
        until,
        as_known_at,
    )
    return [DiscountTotals(**row) for row in rows]


async def waiting(conn: Conn, *, ended_before: datetime) -> Waiting:
    """Over all organisations: for a role that sees them all."""
    row = await conn.fetchrow(
        """SELECT (SELECT count(*) FROM pricing.parked_usage WHERE resolved_at IS NULL) AS parked_usage,
                  (SELECT count(*) FROM pricing.billable_attempt
                    WHERE settled_at IS NULL AND told_at < $1) AS unsettled_attempts""",
        ended_before,
    )
    assert row is not None
    return Waiting(**row)
