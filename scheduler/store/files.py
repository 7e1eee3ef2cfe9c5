"""What jobs read and leave, and how far it has come. What tasks of an array share is kept with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from scheduler.core.model import MAIN
from scheduler.files import FrozenInput
from scheduler.store.phases import HAS_INPUTS, LACKS_ITS_START
from scheduler.views import InputView, OutputView


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An attempt whose files are to be moved. head: the job that keeps what was asked for."""

    id: UUID
    job_id: UUID
    head: UUID
    organisation_id: UUID
    person_id: UUID
    backend: str
    native_id: str | None
    number: int | None
    patterns: Sequence[str]
    tries: int
    has_run: bool
    """It has ended after a start, and no other attempt of its phase follows: its outputs are the job's."""
    phase: str = MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that an attempt left. problem: why it was not kept."""

    name: str
    size: int = 0
    key: str | None = None
    checksum: str | None = None
    problem: str | None = None


_FILED = """
    SELECT a.id, a.job_id, coalesce(j.array_id, j.id) AS head, a.organisation_id, j.person_id, a.backend, a.backend_ref,
           j.number, coalesce(p.options, h.options) -> 'outputs' AS patterns,
           coalesce(f.tries, 0) AS tries, a.phase,
           a.ended_at IS NOT NULL AND a.started_at IS NOT NULL AND a.backend_ref IS NOT NULL AND NOT EXISTS (
               SELECT FROM scheduler.attempt n
               WHERE n.job_id = a.job_id AND n.phase = a.phase AND n.ordinal > a.ordinal) AS has_run
    FROM scheduler.attempt a
    JOIN scheduler.job j ON j.id = a.job_id
    JOIN scheduler.job h ON h.id = coalesce(j.array_id, j.id)
    LEFT JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase
    LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id
"""


async def insert_inputs(conn: Conn, job_id: UUID, organisation_id: UUID, inputs: Sequence[FrozenInput]) -> None:
    await conn.executemany(
        "INSERT INTO scheduler.job_input (job_id, organisation_id, name, object_id, key, size_bytes, checksum) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [(job_id, organisation_id, each.name, each.object_id, each.key, each.size, each.checksum) for each in inputs],
    )


async def inputs_of(conn: Conn, filed: Filed) -> list[FrozenInput]:
    """Those of its job, and those that its phase takes of earlier ones."""
    rows = await conn.fetch(
        "SELECT name, key, object_id, size_bytes AS size, checksum FROM scheduler.job_input WHERE job_id = $1 "
        "UNION ALL SELECT name, key, object_id, size_bytes, checksum FROM scheduler.phase_input "
        "WHERE job_id = $2 AND phase = $3 ORDER BY name",
        filed.head,
        filed.job_id,
        filed.phase,
    )
    return [FrozenInput(**dict(row)) for row in rows]


async def to_stage(conn: Conn, *, backends: Sequence[str], now: datetime, limit: int) -> list[Filed]:
    """Waiting attempts whose inputs are not there yet, the longest waiting first."""
    rows = await conn.fetch(
        _FILED
        + "WHERE a.state = 'QUEUED' AND a.backend = ANY($1) AND f.staged_at IS NULL "
        + f"AND (f.retry_at IS NULL OR f.retry_at <= $2) AND {HAS_INPUTS} AND NOT {LACKS_ITS_START} "
        + "AND NOT EXISTS (SELECT FROM scheduler.cancellation c WHERE c.job_id = a.job_id) "
        + "ORDER BY a.queued_at, a.id LIMIT $3",
        list(backends),
        now,
        limit,
    )
    return [_filed(row) for row in rows]


async def to_collect(conn: Conn, *, backends: Sequence[str], since: datetime, now: datetime, limit: int) -> list[Filed]:
    """Ended attempts whose outputs nobody has looked for, or whose inputs are still there."""
    rows = await conn.fetch(
        _FILED + "WHERE a.ended_at >= $2 AND a.backend = ANY($1) "
        "AND ((a.started_at IS NOT NULL AND a.backend_ref IS NOT NULL) OR f.staged_at IS NOT NULL) "
        "AND a.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED', 'PREEMPTED', 'LOST') "
        "AND f.collected_at IS NULL AND (f.retry_at IS NULL OR f.retry_at <= $3) "
        "ORDER BY a.ended_at, a.id LIMIT $4",
        list(backends),
        since,
        now,
        limit,
    )
    return [_filed(row) for row in rows]


async def set_staged(conn: Conn, filed: Filed, *, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.attempt_files (attempt_id, organisation_id, staged_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (attempt_id) DO UPDATE SET staged_at = coalesce(attempt_files.staged_at, excluded.staged_at), "
        "tries = 0, retry_at = NULL, problem = NULL",
        filed.id,
        filed.organisation_id,
        now,
    )


class OfAttempt(Protocol):
    """Whatever says which attempt it is about."""

    @property
    def id(self) -> UUID: ...

    @property
    def organisation_id(self) -> UUID: ...


async def set_collected(conn: Conn, filed: OfAttempt, left: Sequence[Left], *, now: datetime) -> None:
    """Once: what is noted stays, also when two come to it."""
    await conn.executemany(
        "INSERT INTO scheduler.attempt_output "
        "(attempt_id, organisation_id, name, size_bytes, key, checksum, problem, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (attempt_id, name) DO NOTHING",
        [
            (filed.id, filed.organisation_id, each.name, each.size, each.key, each.checksum, each.problem, now)
            for each in left
        ],
    )
    await conn.execute(
        "INSERT INTO scheduler.attempt_files (attempt_id, organisation_id, collected_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (attempt_id) DO UPDATE SET collected_at = excluded.collected_at, retry_at = NULL, problem = NULL",
        filed.id,
        filed.organisation_id,
        now,
    )


async def retry_later(conn: Conn, filed: OfAttempt, *, problem: str, at: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.attempt_files (attempt_id, organisation_id, tries, retry_at, problem) "
        "VALUES ($1, $2, 1, $3, $4) ON CONFLICT (attempt_id) DO UPDATE "
        "SET tries = attempt_files.tries + 1, retry_at = excluded.retry_at, problem = excluded.problem",
        filed.id,
        filed.organisation_id,
        at,
        problem,
    )


async def in_use(conn: Conn, object_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these versions a job that may still start reads. A requeued attempt is brought them again."""
    rows = await conn.fetch(
        "SELECT i.object_id FROM scheduler.job_input i JOIN scheduler.job j "
        "ON coalesce(j.array_id, j.id) = i.job_id JOIN scheduler.attempt a ON a.job_id = j.id "
        "WHERE i.object_id = ANY($1) AND a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') "
        "UNION SELECT i.object_id FROM scheduler.phase_input i JOIN scheduler.attempt a ON a.job_id = i.job_id "
        "WHERE i.object_id = ANY($1) AND a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING')",
        list(object_ids),
    )
    return {row["object_id"] for row in rows}


async def inputs_told(conn: Conn, job_id: UUID) -> list[InputView]:
    rows = await conn.fetch(
        "SELECT i.name, i.key, i.size_bytes, i.checksum FROM scheduler.job_input i JOIN scheduler.job j "
        "ON coalesce(j.array_id, j.id) = i.job_id WHERE j.id = $1 ORDER BY i.name",
        job_id,
    )
    return [InputView(**dict(row)) for row in rows]


async def outputs_told(conn: Conn, job_id: UUID) -> list[OutputView]:
    rows = await conn.fetch(
        "SELECT a.ordinal AS attempt, o.name, o.size_bytes, o.key, o.checksum, o.problem "
        "FROM scheduler.attempt_output o JOIN scheduler.attempt a ON a.id = o.attempt_id "
        "WHERE a.job_id = $1 ORDER BY a.ordinal, o.name",
        job_id,
    )
    return [OutputView(**dict(row)) for row in rows]


def _filed(row: asyncpg.Record) -> Filed:
    return Filed(
        id=row["id"],
        job_id=row["job_id"],
        head=row["head"],
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        backend=row["backend"],
        native_id=row["backend_ref"],
        number=row["number"],
        patterns=tuple(row["patterns"] or ()),
        tries=row["tries"],
        has_run=row["has_run"],
        phase=row["phase"],
    )
