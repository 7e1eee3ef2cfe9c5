"""What we have of a backend: its records and our attempts on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from infra.db.connection import Conn
from metering.audit.witness import Ours, Shelf, Stored


async def shelf(conn: Conn, backend: str) -> Shelf:
    rows = await conn.fetch(
        """SELECT DISTINCT ON (natural_key) natural_key, attempt_id, started_at, ended_at, ending, components,
                  recorded_at
           FROM metering.accounting_row WHERE backend = $1 ORDER BY natural_key, revision DESC""",
        backend,
    )
    attempts = await conn.fetch(
        """SELECT a.id AS attempt_id, a.state::text AS state, a.state >= 'SUCCEEDED' AS is_over, b.told_at,
                  coalesce(b.charged_bp > 0, b.ending IN ('succeeded', 'failed', 'cancelled'), false) AS charged,
                  EXISTS (SELECT FROM accounts.audit_entry e
                          WHERE e.action = 'usage.none' AND e.subject = 'attempt:' || a.id) AS without_record
           FROM scheduler.attempt a LEFT JOIN pricing.billable_attempt b ON b.attempt_id = a.id
           WHERE a.backend = $1""",
        backend,
    )
    return Shelf(
        rows={
            row["natural_key"]: Stored(
                **{**row, "components": {name: Decimal(amount) for name, amount in row["components"].items()}}
            )
            for row in rows
        },
        attempts={row["attempt_id"]: Ours(**row) for row in attempts},
        collected_to=await conn.fetchval("SELECT collected_to FROM metering.collection WHERE backend = $1", backend),
    )


async def first_dispatch(conn: Conn) -> datetime | None:
    """When an attempt was queued for the first time."""
    queued_at: datetime | None = await conn.fetchval("SELECT min(queued_at) FROM scheduler.attempt")
    return queued_at


async def counts(conn: Conn) -> dict[str, int]:
    """How much the audit looks at."""
    row = await conn.fetchrow(
        """SELECT (SELECT count(*) FROM scheduler.job) AS jobs, (SELECT count(*) FROM scheduler.attempt) AS attempts,
                  (SELECT count(*) FROM metering.accounting_row) AS "accounting rows",
                  (SELECT count(*) FROM metering.usage_record) AS "usage records",
                  (SELECT count(*) FROM pricing.rated_line) AS "rated lines",
                  (SELECT count(*) FROM pricing.ledger_entry) AS "ledger entries",
                  (SELECT count(*) FROM accounts.audit_entry) AS "audit entries" """
    )
    return dict(row or {})
