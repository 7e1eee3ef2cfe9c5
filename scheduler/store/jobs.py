"""Jobs as they were asked for: written once, at submission."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from infra.db.ahead import Look, row_of
from infra.db.connection import Conn
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import Attempt, JobKind, State
from scheduler.core.snapshot import Limits, Place
from scheduler.store import attempts as attempt_store
from scheduler.submission import Submission

Prerequisite = tuple[DependencyKind, UUID]
"""What a job waits for: how, and which job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArray:
    """An array ready to be stored. id, number: those of its first task."""

    id: UUID
    number: int
    first: int
    last: int
    step: int
    tasks: int
    max_running: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job ready to be stored."""

    id: UUID
    number: int
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
    array: NewArray | None = None
    array_index: int | None = None
    max_qpu_us: int | None = None
    """Of a circuit: the QPU time at which it is stopped, as quoted."""
    session_job_id: UUID | None = None
    """Of a circuit: the session in which it runs."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The job that came before with the same idempotency key."""

    job_id: UUID
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Queue:
    """How an organisation stands when it asks for more. share: None: none was ever set."""

    share: Limits | None
    queued: int
    next_number: int
    """The number of its next job."""
    earlier: Earlier | None
    """Whether this very request has come before."""


async def lock_queue(conn: Conn, organisation_id: UUID) -> None:
    """One submission of an organisation at a time, until this transaction ends: keys and quotas are decided so."""
    await row_of(conn, queue_lock(organisation_id))


def queue_lock(organisation_id: UUID) -> Look:
    """What lock_queue() asks: whoever reads it ahead has the lock."""
    return Look(
        "SELECT pg_advisory_xact_lock(hashtextextended('scheduler.queue:' || $1, 0)) IS NULL AS is_locked",
        (str(organisation_id),),
    )


async def queue_of(conn: Conn, organisation_id: UUID, *, person_id: UUID, key: str, at: datetime) -> Queue:
    """Under the queue's lock: nobody else takes the number, a place, or the person's idempotency key."""
    row = await row_of(conn, queue_look(organisation_id, person_id=person_id, key=key, at=at))
    assert row is not None  # of one row
    facts = dict(row)
    queued, number = facts.pop("queued"), facts.pop("next_number")
    earlier_id, sha256 = facts.pop("earlier_id"), facts.pop("earlier_sha256")
    share = None if facts.pop("weight") is None else Limits(**facts)
    earlier = None if earlier_id is None else Earlier(earlier_id, sha256)
    return Queue(share=share, queued=queued, next_number=number, earlier=earlier)


def queue_look(organisation_id: UUID, *, person_id: UUID, key: str, at: datetime) -> Look:
    """What queue_of() asks."""
    return Look(
        "SELECT s.weight, s.max_queued_jobs, s.max_running_jobs, "
        "(SELECT count(*) FROM scheduler.attempt WHERE organisation_id = $1 AND state = 'QUEUED') AS queued, "
        "(SELECT coalesce(max(number), 0) + 1 FROM scheduler.job WHERE organisation_id = $1) AS next_number, "
        "e.id AS earlier_id, e.request_sha256 AS earlier_sha256 "
        "FROM (VALUES (1)) AS one LEFT JOIN LATERAL (SELECT * FROM scheduler.share "
        "WHERE organisation_id = $1 AND project_id IS NULL AND backend IS NULL AND effective_at <= $2 "
        "ORDER BY effective_at DESC LIMIT 1) s ON true "
        "LEFT JOIN scheduler.job e ON e.organisation_id = $1 AND e.person_id = $3 AND e.idempotency_key = $4",
        (organisation_id, at, person_id, key),
    )


async def queued_in(conn: Conn, leaf: tuple[UUID, UUID, UUID]) -> Counter[Place]:
    """How many wait on each branch of one user in one project: in total, and on each backend. Calls are no jobs."""
    rows = await conn.fetch(
        "SELECT a.backend, j.project_id = $2 AS of_project, j.project_id = $2 AND j.person_id = $3 AS of_user, "
        "count(*) FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "WHERE a.organisation_id = $1 AND a.state = 'QUEUED' AND a.ordinal > 0 GROUP BY 1, 2, 3",
        *leaf,
    )
    queued: Counter[Place] = Counter()
    for row in rows:
        for depth in range(1 + row["of_project"] + row["of_user"]):
            for backend in (None, row["backend"]):
                queued[leaf[: depth + 1], backend] += row["count"]
    return queued


async def insert(
    conn: Conn, jobs: Sequence[NewJob], waits_for: Sequence[Prerequisite], attempts: Sequence[Attempt] = ()
) -> None:
    """One job, or all tasks of one array; what the tasks share is kept with the first of them.

    attempts: the first of each, QUEUED, in the same statement; none: they come later.
    """
    first = jobs[0]
    if first.array is not None:
        await _insert_array(conn, first, first.array)
    shared = options_of(first.request)
    bare = {"project": first.request.project}
    body = None if first.request.kind is JobKind.HYBRID else first.request.body  # its phases have their own
    sha256 = None if body is None else hashlib.sha256(body).digest()
    rows = [(*_row(job, shared), body, sha256) if job is first else (*_row(job, bare), None, None) for job in jobs]
    if attempts:
        queued = [attempt_store.queued_args(each) for each in attempts]
        await conn.executemany(_INSERT_QUEUED, [(*row, *more) for row, more in zip(rows, queued, strict=True)])
    else:
        await conn.executemany(_INSERT, rows)
    if waits_for:
        await conn.executemany(
            "INSERT INTO scheduler.dependency (job_id, on_job_id, organisation_id, kind) VALUES ($1, $2, $3, $4)",
            [(first.id, on_job_id, first.organisation_id, kind.value) for kind, on_job_id in waits_for],
        )


_JOB = """job AS (INSERT INTO scheduler.job (
        id, organisation_id, project_id, person_id, name, kind, offering_id, backend,
        service_class, gpus, cpus, memory_mb, qpus, shots, walltime_s, max_attempts, nu, options, idempotency_key,
        request_sha256, submitted_at, number, nodes, max_timeouts, begin_at, array_id, array_index, max_qpu_us,
        session_idle_s, session_dedicated, session_job_id, data_location)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32) RETURNING id)"""
_PAYLOAD = """INSERT INTO scheduler.job_payload (job_id, organisation_id, body, sha256)
        SELECT $1, $2, $33::bytea, $34 WHERE $33 IS NOT NULL"""
_INSERT = f"WITH {_JOB} {_PAYLOAD}"
_QUEUED = attempt_store.queued_sql(35, of="SELECT id FROM job")
_INSERT_QUEUED = f"WITH {_JOB}, payload AS ({_PAYLOAD}), {_QUEUED}"


async def _insert_array(conn: Conn, first: NewJob, array: NewArray) -> None:
    await conn.execute(
        "INSERT INTO scheduler.job_array (id, organisation_id, number, first_index, last_index, step, tasks, "
        "max_running, submitted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        array.id,
        first.organisation_id,
        array.number,
        array.first,
        array.last,
        array.step,
        array.tasks,
        array.max_running,
        first.submitted_at,
    )


def _row(job: NewJob, options: Mapping[str, object]) -> tuple[object, ...]:
    asked = job.request
    return (
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
        dict(options),
        job.idempotency_key,
        job.request_sha256,
        job.submitted_at,
        job.number,
        asked.placement.nodes,
        asked.max_timeouts,
        asked.begin_at,
        None if job.array is None else job.array.id,
        job.array_index,
        job.max_qpu_us,
        None if asked.session is None else asked.session.idle_s,
        None if asked.session is None else asked.session.dedicated,
        job.session_job_id,
        asked.data_location,
    )


def options_of(asked: Submission) -> dict[str, object]:
    """What no query asks for: read when it is handed over."""
    return {
        "project": asked.project,
        "arguments": list(asked.arguments),
        "environment": dict(asked.environment),
        "placement": {name: value for name, value in asdict(asked.placement).items() if value},
        "secrets": list(asked.secrets),
        **({"outputs": list(asked.outputs)} if asked.outputs else {}),
        "launch": None if asked.launch is None else asdict(asked.launch),
    }


async def session_of(conn: Conn, job_id: UUID) -> tuple[str, State] | None:
    """The offering of a session job, and the state of its newest attempt; None: it is no session."""
    row = await conn.fetchrow(
        "SELECT j.offering_id, a.state FROM scheduler.job j JOIN LATERAL (SELECT state FROM scheduler.attempt "
        "WHERE job_id = j.id ORDER BY ordinal DESC LIMIT 1) a ON true WHERE j.id = $1 AND j.session_idle_s IS NOT NULL",
        job_id,
    )
    return None if row is None else (row["offering_id"], State(row["state"]))


async def request_cancel(
    conn: Conn, *, job_ids: Sequence[UUID], organisation_id: UUID, requested_by: UUID, now: datetime
) -> None:
    """For those of an organisation's jobs that live. The first wish counts; another is the same."""
    await conn.execute(
        "INSERT INTO scheduler.cancellation (job_id, organisation_id, requested_by, requested_at) "
        "SELECT DISTINCT a.job_id, a.organisation_id, $3::uuid, $4::timestamptz FROM scheduler.attempt a "
        "WHERE a.job_id = ANY($1) AND a.organisation_id = $2 "
        "AND a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') ON CONFLICT (job_id) DO NOTHING",
        list(job_ids),
        organisation_id,
        requested_by,
        now,
    )
