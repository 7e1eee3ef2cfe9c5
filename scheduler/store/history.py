"""What ran on this installation, in columns: a workload for the policy lab. Read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.branches import Branch
from scheduler.store import tree

_AT_A_TIME = 10_000


class Ran(NamedTuple):
    """An attempt that started. ready_at: when it was there, its begin time had come, and what it waited for was over.

    ended_at None: it runs.
    """

    organisation_id: UUID
    project_id: UUID
    person_id: UUID
    organisation: str
    project: str
    email: str
    backend: str
    resource_type: str
    gpus: int
    qpus: int
    walltime_s: int
    ready_at: datetime
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """units: the most of a component ('gpu_s', 'qpu_s') that a backend had in service. rates: NU per hour of one unit.

    weights and rates: those in force at the end. unstarted: attempts of that time that never started.
    """

    ran: Sequence[Ran]
    unstarted: int
    weights: Mapping[Branch, int]
    rates: Mapping[str, float]
    units: Mapping[tuple[str, str], int]


async def history(conn: Conn, *, since: datetime, until: datetime) -> History:
    """Of what was queued in [since, until). Circuits of a session hold nothing of their own: the session is there."""
    settings = await tree.settings(conn, at=until)
    return History(
        ran=await _ran(conn, since, until),
        unstarted=await conn.fetchval(
            "SELECT count(*) FROM scheduler.attempt WHERE started_at IS NULL AND queued_at >= $1 AND queued_at < $2",
            since,
            until,
        ),
        weights=settings.weights,
        rates=await _rates(conn, until),
        units=await _units(conn, since, until),
    )


async def _ran(conn: Conn, since: datetime, until: datetime) -> list[Ran]:
    rows = conn.cursor(  # in pieces: of a long history no statement outlasts the session's time limit
        "SELECT a.organisation_id, j.project_id, j.person_id, o.slug AS organisation, p.slug AS project, u.email, "
        "a.backend, f.resource_type, a.gpus, a.qpus, a.walltime_s, "
        "least(greatest(a.queued_at, j.begin_at, w.over_at), a.started_at) AS ready_at, a.started_at, a.ended_at "
        "FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "JOIN pricing.offering f ON f.id = a.offering_id JOIN accounts.organisation o ON o.id = a.organisation_id "
        "JOIN accounts.project p ON p.id = j.project_id JOIN accounts.person u ON u.id = j.person_id "
        "LEFT JOIN (SELECT d.job_id, max(CASE d.kind WHEN 'after' THEN b.started_at ELSE b.ended_at END) AS over_at "
        "  FROM scheduler.dependency d JOIN scheduler.attempt b ON b.job_id = d.on_job_id GROUP BY d.job_id) w "
        "  ON w.job_id = coalesce(j.array_id, j.id) "
        "WHERE a.started_at IS NOT NULL AND j.session_job_id IS NULL AND a.queued_at >= $1 AND a.queued_at < $2 "
        "ORDER BY ready_at, a.queued_at, j.number, a.ordinal, a.id",
        since,
        until,
        prefetch=_AT_A_TIME,
    )
    return [Ran(*row.values()) async for row in rows]


async def _rates(conn: Conn, at: datetime) -> dict[str, float]:
    rows = await conn.fetch(
        "SELECT DISTINCT ON (resource_type) resource_type, nu_per_hour FROM scheduler.exchange_rate "
        "WHERE effective_at <= $1 ORDER BY resource_type, effective_at DESC",
        at,
    )
    return {row["resource_type"]: row["nu_per_hour"] for row in rows}


async def _units(conn: Conn, since: datetime, until: datetime) -> dict[tuple[str, str], int]:
    rows = await conn.fetch(
        "SELECT backend, component, max(units) AS units FROM (SELECT backend, component, units, effective_at, "
        "lead(effective_at) OVER (PARTITION BY backend, component ORDER BY effective_at) AS over_at "
        "FROM metering.capacity_fact WHERE component IN ('gpu_s', 'qpu_s')) f "
        "WHERE effective_at < $2 AND (over_at IS NULL OR over_at > $1) GROUP BY backend, component",
        since,
        until,
    )
    return {(row["backend"], row["component"]): row["units"] for row in rows}
