"""Decisions to give back a part of a job's charge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.model import Cause
from pricing.refunds import Refund

_COLUMNS = """SELECT id, organisation_id, job_id, cause, amount_micro_yen, reason, decided_by, approved_by, decided_at
    FROM pricing.refund"""


async def refunded(conn: Conn, job_id: UUID) -> int:
    """What was decided to be given back of a job, all decisions together."""
    amount: int = await conn.fetchval(
        "SELECT coalesce(sum(amount_micro_yen), 0)::bigint FROM pricing.refund WHERE job_id = $1", job_id
    )
    return amount


async def lock_refunds(conn: Conn) -> None:
    """Who gives back alone comes here before the look at what was given back, and before any wallet."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('pricing.refunds', 0))")


async def given_alone(conn: Conn, person_id: UUID, *, job_id: UUID, since: datetime) -> tuple[int, int]:
    """What a person gave back without a second one: of the job at any time, and of all jobs since then."""
    row = await conn.fetchrow(
        """SELECT coalesce(sum(amount_micro_yen) FILTER (WHERE job_id = $2), 0)::bigint AS of_job,
                  coalesce(sum(amount_micro_yen) FILTER (WHERE decided_at >= $3), 0)::bigint AS of_day
           FROM pricing.refund WHERE decided_by = $1 AND approved_by IS NULL AND (job_id = $2 OR decided_at >= $3)""",
        person_id,
        job_id,
        since,
    )
    assert row is not None
    return row["of_job"], row["of_day"]


async def refund(conn: Conn, refund_id: UUID) -> Refund | None:
    row = await conn.fetchrow(f"{_COLUMNS} WHERE id = $1", refund_id)
    return None if row is None else _refund(row)


async def refunds_of(conn: Conn, job_ids: Sequence[UUID]) -> list[Refund]:
    """Of these jobs, the earliest first."""
    rows = await conn.fetch(f"{_COLUMNS} WHERE job_id = ANY($1) ORDER BY decided_at, id", list(job_ids))
    return [_refund(row) for row in rows]


async def add_refund(conn: Conn, new: Refund) -> None:
    """Under the wallet's lock."""
    await conn.execute(
        """INSERT INTO pricing.refund (id, organisation_id, job_id, cause, amount_micro_yen, reason, decided_by,
               approved_by, decided_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        new.id,
        new.organisation_id,
        new.job_id,
        new.cause.value,
        new.amount_micro_yen,
        new.reason,
        new.decided_by,
        new.approved_by,
        new.decided_at,
    )


def _refund(row: Record) -> Refund:
    return Refund(**{**row, "cause": Cause(row["cause"])})
