"""What forecasts are made of, and what was last foreseen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from infra.db.connection import Conn
from scheduler.core.branches import Leaf
from scheduler.store.attempts import resources_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An attempt of the past. ran_s: of one that has started and ended of itself, or by its limit."""

    leaf: Leaf
    backend: str
    needs: Resources
    walltime_s: int
    queued_at: datetime
    ran_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When an attempt is expected to start: at p50_at as likely before as after; None: not within the horizon."""

    attempt_id: UUID
    as_of: datetime
    position: int
    p50_at: datetime | None
    p90_at: datetime | None
    ahead: Mapping[str, int]
    """How many start before it, by cause."""


async def tried(conn: Conn, *, since: datetime, limit: int) -> list[Tried]:
    """What was queued since then, the newest so many, oldest first. Calls of running jobs are no part of it."""
    rows = await conn.fetch(
        "SELECT a.organisation_id, j.project_id, j.person_id, a.backend, a.gpus, a.cpus, a.memory_mb, a.qpus, "
        "a.walltime_s, a.queued_at, a.state IN ('SUCCEEDED', 'FAILED') AS is_told, a.started_at, a.ended_at "
        "FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "WHERE a.queued_at >= $1 AND a.caller_id IS NULL ORDER BY a.queued_at DESC, a.seq DESC LIMIT $2",
        since,
        limit,
    )
    return [
        Tried(
            leaf=(row["organisation_id"], row["project_id"], row["person_id"]),
            backend=row["backend"],
            needs=resources_of(row),
            walltime_s=row["walltime_s"],
            queued_at=row["queued_at"],
            ran_s=_ran_s(row["started_at"], row["ended_at"]) if row["is_told"] else None,
        )
        for row in reversed(rows)
    ]


def _ran_s(started_at: datetime | None, ended_at: datetime | None) -> int | None:
    if started_at is None or ended_at is None:
        return None
    return max(0, round((ended_at - started_at).total_seconds()))


async def in_sight(conn: Conn, *, reasons: Collection[str], most: int) -> list[UUID]:
    """What backends have, and the first so many of each that wait for one of these reasons, by the last plan."""
    rows = await conn.fetch(
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY backend "
        "ORDER BY (wait_facts ->> 'position')::integer NULLS LAST, seq) AS place FROM scheduler.attempt "
        "WHERE state = 'QUEUED' AND (wait_reason IS NULL OR wait_reason = ANY($1::text[]))) waiting WHERE place <= $2 "
        "UNION ALL SELECT id FROM scheduler.attempt WHERE state IN ('DISPATCHING', 'RUNNING', 'CANCELLING')",
        list(reasons),
        most,
    )
    return [row["id"] for row in rows]


async def begun(conn: Conn) -> dict[UUID, datetime]:
    """When each attempt that runs has started."""
    rows = await conn.fetch(
        "SELECT id, started_at FROM scheduler.attempt "
        "WHERE state IN ('DISPATCHING', 'RUNNING', 'CANCELLING') AND started_at IS NOT NULL"
    )
    return {row["id"]: row["started_at"] for row in rows}


async def foreseen(conn: Conn, attempt_ids: Sequence[UUID]) -> dict[UUID, Forecast]:
    """What was last foreseen of these."""
    rows = await conn.fetch(
        "SELECT attempt_id, as_of, position, p50_at, p90_at, ahead FROM scheduler.forecast "
        "WHERE attempt_id = ANY($1::uuid[])",
        attempt_ids,
    )
    return {row["attempt_id"]: Forecast(**row) for row in rows}


async def write(conn: Conn, forecasts: Sequence[Forecast]) -> None:
    """One statement for all. What has left the queue meanwhile keeps what was last said of it."""
    await conn.execute(
        "INSERT INTO scheduler.forecast AS f (attempt_id, organisation_id, as_of, position, p50_at, p90_at, ahead) "
        "SELECT a.id, a.organisation_id, new.as_of, new.position, new.p50_at, new.p90_at, new.ahead "
        "FROM unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[]) "
        "AS new (id, as_of, position, p50_at, p90_at, ahead) "
        "JOIN scheduler.attempt a ON a.id = new.id AND a.state = 'QUEUED' "
        "ON CONFLICT (attempt_id) DO UPDATE SET as_of = excluded.as_of, position = excluded.position, "
        "p50_at = excluded.p50_at, p90_at = excluded.p90_at, ahead = excluded.ahead",
        [each.attempt_id for each in forecasts],
        [each.as_of for each in forecasts],
        [each.position for each in forecasts],
        [each.p50_at for each in forecasts],
        [each.p90_at for each in forecasts],
        [dict(each.ahead) for each in forecasts],
    )
