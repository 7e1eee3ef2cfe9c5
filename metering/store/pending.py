"""What pricing waits for: read from its tables, for the question is metering's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """An attempt that has ended, and whose accounting is not known to be complete."""

    attempt_id: UUID
    opened_at: datetime
    told_at: datetime
    """When we learnt of its end, by our clock: the backend's own may be wrong by hours."""


async def unsettled(conn: Conn, backend: str, *, ended_before: datetime, limit: int) -> list[Unsettled]:
    """Ended before then by the backend's clock, or known to have ended by ours; the longest waiting first."""
    rows = await conn.fetch(
        """SELECT a.attempt_id, a.opened_at, a.told_at
           FROM pricing.billable_attempt a JOIN pricing.offering o ON o.id = a.offering_id
           WHERE o.backend = $1 AND least(a.closed_at, a.told_at) <= $2 AND a.accounting_final_at IS NULL
             AND a.settled_at IS NULL
           ORDER BY a.told_at, a.attempt_id LIMIT $3""",
        backend,
        ended_before,
        limit,
    )
    return [Unsettled(**row) for row in rows]


async def first_opened_at(conn: Conn, backend: str) -> datetime | None:
    """When the first attempt for a backend was opened: nothing of ours ran there before."""
    opened_at: datetime | None = await conn.fetchval(
        """SELECT min(a.opened_at) FROM pricing.billable_attempt a JOIN pricing.offering o ON o.id = a.offering_id
           WHERE o.backend = $1""",
        backend,
    )
    return opened_at
