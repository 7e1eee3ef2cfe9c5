"""Jobs as they were asked for: written once, at submission."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from infra.db.connection import Conn
from scheduler.core.quotas import Share
from scheduler.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job ready to be stored."""

    id: UUID
    organisation_id: UUID
    project_id: UUID
    person_id: UUID
    request: Submission
    backend: str
    resources: Resources
    nu: float
    idempotency_key: str
    request_sha256: bytes
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Earlier:
    """The job that came before with the same idempotency key."""

    job_id: UUID
    request_sha256: bytes


async def lock_queue(conn: Conn, organisation_id: UUID) -> None:
    """One submission of an organisation at a time, until this transaction ends: keys and quotas are decided so."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('scheduler.queue:' || $1, 0))", str(organisation_id)
    )


async def earlier(conn: Conn, *, organisation_id: UUID, person_id: UUID, key: str) -> Earlier | None:
    row = await conn.fetchrow(
        "SELECT id, request_sha256 FROM scheduler.job "
        "WHERE organisation_id = $1 AND person_id = $2 AND idempotency_key = $3",
        organisation_id,
        person_id,
        key,
    )
    return None if row is None else Earlier(row["id"], row["request_sha256"])


async def count_queued(conn: Conn, organisation_id: UUID) -> int:
    count = await conn.fetchval(
        "SELECT count(*) FROM scheduler.attempt WHERE organisation_id = $1 AND state = 'QUEUED'", organisation_id
    )
    return int(count)


async def share_of(conn: Conn, organisation_id: UUID, *, at: datetime) -> Share | None:
    row = await conn.fetchrow(
        "SELECT weight, max_queued_jobs, max_running_jobs FROM scheduler.share "
        "WHERE organisation_id = $1 AND effective_at <= $2 ORDER BY effective_at DESC LIMIT 1",
        organisation_id,
        at,
    )
    return None if row is None else Share(**dict(row))


async def nu_per_hour(conn: Conn, resource_type: str, *, at: datetime) -> float | None:
    rate = await conn.fetchval(
        "SELECT nu_per_hour FROM scheduler.exchange_rate "
        "WHERE resource_type = $1 AND effective_at <= $2 ORDER BY effective_at DESC LIMIT 1",
        resource_type,
        at,
    )
    return None if rate is None else float(rate)


async def insert(conn: Conn, job: NewJob) -> None:
    asked = job.request
    await conn.execute(
        "INSERT INTO scheduler.job (id, organisation_id, project_id, person_id, name, kind, offering_id, backend, "
        "service_class, gpus, cpus, memory_mb, qpus, shots, walltime_s, max_attempts, nu, options, idempotency_key, "
        "request_sha256, submitted_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        job.id,
        job.organisation_id,
        job.project_id,
        job.person_id,
        asked.name,
        asked.kind.value,
        asked.offering_id,
        job.backend,
        asked.service_class.value,
        job.resources.gpus,
        job.resources.cpus,
        job.resources.memory_mb,
        job.resources.qpus,
        asked.shots,
        asked.walltime_s,
        asked.max_attempts,
        job.nu,
        {
            "project": asked.project,
            "arguments": list(asked.arguments),
            "environment": dict(asked.environment),
        },
        job.idempotency_key,
        job.request_sha256,
        job.submitted_at,
    )
    await conn.execute(
        "INSERT INTO scheduler.job_payload (job_id, organisation_id, body, sha256) VALUES ($1, $2, $3, $4)",
        job.id,
        job.organisation_id,
        asked.body,
        hashlib.sha256(asked.body).digest(),
    )


async def request_cancel(conn: Conn, *, job_id: UUID, organisation_id: UUID, requested_by: UUID, now: datetime) -> None:
    """The first wish counts; another is the same."""
    await conn.execute(
        "INSERT INTO scheduler.cancellation (job_id, organisation_id, requested_by, requested_at) "
        "VALUES ($1, $2, $3, $4) ON CONFLICT (job_id) DO NOTHING",
        job_id,
        organisation_id,
        requested_by,
        now,
    )


async def add_share(conn: Conn, organisation_id: UUID, share: Share, *, effective_at: datetime) -> bool:
    """False: this instant has one already."""
    done = await conn.execute(
        "INSERT INTO scheduler.share (organisation_id, weight, max_queued_jobs, max_running_jobs, effective_at) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        organisation_id,
        share.weight,
        share.max_queued_jobs,
        share.max_running_jobs,
        effective_at,
    )
    return done == "INSERT 0 1"


async def add_exchange_rate(conn: Conn, resource_type: str, nu_per_hour: float, *, effective_at: datetime) -> bool:
    """False: this instant has one already."""
    done = await conn.execute(
        "INSERT INTO scheduler.exchange_rate (resource_type, nu_per_hour, effective_at) "
        "VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        resource_type,
        nu_per_hour,
        effective_at,
    )
    return done == "INSERT 0 1"
