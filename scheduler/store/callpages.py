"""The QPU of a job and its calls, as they are told of."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.model import State
from scheduler.views import CallView, QpuView


async def qpu(conn: Conn, job_id: UUID) -> QpuView | None:
    """What a job may call, and how often it has, without its calls; None: it may call nothing."""
    row = await conn.fetchrow(
        "SELECT u.offering_id, u.backend, u.calls AS max_calls, u.shots AS max_shots, u.idle_s, u.call_s, u.wait_s, "
        "(SELECT coalesce(max(k.number), 0) FROM scheduler.qpu_call k WHERE k.job_id = u.job_id) AS asked, "
        "EXISTS (SELECT FROM scheduler.qpu_closed x JOIN scheduler.attempt a ON a.id = x.caller_id "
        "WHERE a.job_id = u.job_id AND a.ended_at IS NULL) AS closed FROM scheduler.job_qpu u WHERE u.job_id = $1",
        job_id,
    )
    return None if row is None else QpuView(**row, calls=())


async def page(conn: Conn, job_id: UUID, *, before: int | None, limit: int) -> Sequence[CallView]:
    """Its calls, newest first; before: only those with a smaller number."""
    rows = await conn.fetch(
        "SELECT k.number, k.recorded_at, k.shots, k.code, k.facts, k.attempt_id, t.state, t.started_at, t.ended_at, "
        "t.reason FROM scheduler.qpu_call k LEFT JOIN scheduler.attempt t ON t.id = k.attempt_id "
        "WHERE k.job_id = $1 AND ($2::integer IS NULL OR k.number < $2) ORDER BY k.number DESC LIMIT $3",
        job_id,
        before,
        limit,
    )
    return [CallView(**{**row, "state": None if row["state"] is None else State(row["state"])}) for row in rows]
