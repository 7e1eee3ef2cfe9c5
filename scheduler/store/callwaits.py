"""Calls of running jobs that wait for their device for too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.model import State

_AT_LEAST_THERE_S = 10
"""So long a call may be with the backend, which has just taken it, before that counts as its vendor's queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A call that has not started. wait_s: as was agreed. CANCELLING: its vendor was asked to drop it."""

    id: UUID
    backend: str
    native_id: str | None
    state: State
    wait_s: int


async def overdue(conn: Conn, *, now: datetime, limit: int) -> list[Overdue]:
    """Those that wait for longer than was agreed, the oldest first. One that nobody knows to be there is on its way."""
    rows = await conn.fetch(
        "SELECT a.id, a.backend, a.backend_ref AS native_id, a.state, u.wait_s "
        "FROM scheduler.attempt a JOIN scheduler.job_qpu u ON u.job_id = a.job_id "
        "WHERE a.ordinal < 0 AND a.state IN ('QUEUED', 'DISPATCHING', 'CANCELLING') AND a.started_at IS NULL "
        "AND a.queued_at < $1::timestamptz - u.wait_s * interval '1 second' "
        "AND (a.state = 'QUEUED' OR (a.backend_ref IS NOT NULL "
        "     AND a.dispatched_at < $1::timestamptz - $3 * interval '1 second')) "
        "ORDER BY a.queued_at, a.id LIMIT $2",
        now,
        limit,
        _AT_LEAST_THERE_S,
    )
    return [Overdue(**{**row, "state": State(row["state"])}) for row in rows]
