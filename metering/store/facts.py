"""The facts behind the figures, as known at an instant. The program officer may read them; no names are among them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from hpc_adapters.contract import Window
from infra.db.connection import Conn
from metering.kpi import Member, Money, Units, Use
from metering.periods import Period


async def members(conn: Conn, *, as_known_at: datetime) -> list[Member]:
    rows = await conn.fetch(
        """SELECT m.person_id, m.organisation_id, m.since, CASE WHEN m.until <= $1 THEN m.until END AS until,
                  p.counts AND o.counts AS counts
           FROM accounts.membership m
           JOIN accounts.person p ON p.id = m.person_id
           JOIN accounts.organisation o ON o.id = m.organisation_id
           WHERE m.since <= $1""",
        as_known_at,
    )
    return [Member(**row) for row in rows]


async def uses(conn: Conn, window: Window, *, as_known_at: datetime) -> list[Use]:
    """All use of the jobs that used something in the window, in its newest revision."""
    rows = await conn.fetch(
        """WITH known AS (
               SELECT u.* FROM metering.usage_record u
               WHERE u.recorded_at <= $3
                 AND NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = u.id AND n.recorded_at <= $3)
           )
           SELECT u.person_id, u.organisation_id, u.job_id, u.backend, u.component, u.quantity, u.started_at,
                  u.ended_at, p.counts AND o.counts AS counts
           FROM known u
           JOIN accounts.person p ON p.id = u.person_id
           JOIN accounts.organisation o ON o.id = u.organisation_id
           WHERE u.job_id IN (SELECT k.job_id FROM known k WHERE k.started_at < $2 AND k.ended_at >= $1)""",
        window.since,
        window.until,
        as_known_at,
    )
    return [
        Use(
            person_id=row["person_id"],
            organisation_id=row["organisation_id"],
            job_id=row["job_id"],
            backend=row["backend"],
            component=row["component"],
            quantity=row["quantity"],
            ran=Window(row["started_at"], row["ended_at"]),
            counts=row["counts"],
        )
        for row in rows
    ]


async def gpu_seconds(conn: Conn, *, backend: str) -> dict[UUID, Decimal]:
    rows = await conn.fetch(
        """SELECT u.organisation_id, sum(u.quantity) AS used FROM metering.usage_record u
           WHERE u.backend = $1 AND u.component = 'gpu_s'
             AND NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = u.id)
           GROUP BY u.organisation_id""",
        backend,
    )
    return {row["organisation_id"]: row["used"] for row in rows}


async def units(conn: Conn, *, as_known_at: datetime) -> list[Units]:
    rows = await conn.fetch(
        """SELECT backend, component, effective_at AS since, units FROM metering.capacity_fact
           WHERE recorded_at <= $1""",
        as_known_at,
    )
    return [Units(**row) for row in rows]


async def money(conn: Conn, period: Period, *, as_known_at: datetime) -> Money:
    """Rated lines of the accounting days of a period. A line that was wholly waived was not sold."""
    row = await conn.fetchrow(
        """SELECT sum(charged_micro_yen) AS charged,
                  sum(price_micro_yen) FILTER (WHERE sold) AS sold_at_price,
                  sum(list_micro_yen) FILTER (WHERE sold) AS sold_at_list,
                  sum(market_micro_yen) FILTER (WHERE sold) AS sold_at_market
           FROM (SELECT l.*, l.waiver IS NULL OR l.charged_micro_yen <> 0 AS sold
                 FROM pricing.rated_line l
                 JOIN accounts.person p ON p.id = l.person_id
                 JOIN accounts.organisation o ON o.id = l.organisation_id
                 WHERE l.accounting_date >= infra.jst_date($1) AND l.accounting_date < infra.jst_date($2)
                   AND l.recorded_at <= $3 AND p.counts AND o.counts) AS line""",
        period.since,
        period.until,
        as_known_at,
    )
    return Money(**{name: int(amount or 0) for name, amount in (row or {}).items()})


async def organisations_with_lines(conn: Conn, period: Period) -> list[UUID]:
    """Who is billed in a month, or used something without charge."""
    rows = await conn.fetch(
        """SELECT DISTINCT organisation_id FROM pricing.rated_line
           WHERE billed_month = infra.jst_date($1) ORDER BY organisation_id""",
        period.since,
    )
    return [row["organisation_id"] for row in rows]
