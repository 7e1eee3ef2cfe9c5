"""The phases of hybrid jobs: what each was asked for, what it is given of earlier ones, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hpc_adapters.contract import Resources
from infra.db.connection import Conn
from scheduler.core.model import JobKind, State
from scheduler.files import FrozenInput
from scheduler.submission import Submission
from scheduler.views import PhaseView

LACKS_ITS_START = """(coalesce(a.phase_ordinal, 1) > 1 AND NOT EXISTS (
    SELECT FROM scheduler.phase_start s WHERE s.job_id = a.job_id AND s.phase = a.phase))"""
"""Of an attempt `a`: what its phase takes of earlier ones is not known yet."""
HAS_INPUTS = """(a.kind <> 'quantum' AND (
    EXISTS (SELECT FROM scheduler.job_input i WHERE i.job_id = coalesce(j.array_id, j.id))
    OR (a.phase_ordinal > 1 AND EXISTS (
        SELECT FROM scheduler.phase_input i WHERE i.job_id = a.job_id AND i.phase = a.phase))))"""
"""Of an attempt `a` of a job `j`: it reads files, of its job or of its phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPhase:
    """A phase ready to be stored. body None: it is the file `body_from` of a phase that it takes from."""

    name: str
    base: str
    request: Submission
    backend: str
    resources: Resources
    nu: float
    options: dict[str, object]
    takes: Sequence[str]
    body_from: str | None
    skippable: bool
    max_qpu_us: int | None = None
    """Of a circuit: the QPU time at which it is stopped, as quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """All that the first attempt of a phase is made of."""

    offering_id: str
    backend: str
    kind: JobKind
    walltime_s: int
    nu: float
    max_attempts: int
    max_timeouts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The last attempt of the phase before."""

    id: UUID
    phase: str
    backend: str
    state: State
    ended_at: datetime
    has_run: bool
    collected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An attempt that waits for what its phase takes. files: it reads them as files; else it takes its program."""

    id: UUID
    job_id: UUID
    organisation_id: UUID
    phase: str
    kind: JobKind
    shots: int
    body_from: str | None
    takes: Sequence[str]
    tries: int
    before: Before


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that a phase left and that is kept. base: of the phase, by its name in the specification."""

    phase: str
    base: str
    name: str
    key: str
    checksum: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unkept:
    """An ended attempt of a backend that moves no files: its result is what it leaves."""

    id: UUID
    organisation_id: UUID
    person_id: UUID
    job_id: UUID
    number: int | None
    phase: str
    result: bytes
    tries: int


async def insert(conn: Conn, job_id: UUID, organisation_id: UUID, phases: Sequence[NewPhase]) -> None:
    """All phases of a new job, in their order."""
    await conn.executemany(
        "INSERT INTO scheduler.job_phase (job_id, organisation_id, ordinal, name, base, kind, offering_id, backend, "
        "gpus, cpus, memory_mb, qpus, shots, nodes, walltime_s, nu, max_attempts, max_timeouts, options, body, "
        "body_from, takes, skippable, max_qpu_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
        "$14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
        [(job_id, organisation_id, ordinal, *_row(each)) for ordinal, each in enumerate(phases, start=1)],
    )


def _row(new: NewPhase) -> tuple[object, ...]:
    asked = new.request
    return (
        new.name,
        new.base,
        asked.kind.value,
        asked.offering_id,
        new.backend,
        new.resources.gpus,
        new.resources.cpus,
        new.resources.memory_mb,
        new.resources.qpus,
        asked.shots,
        asked.placement.nodes,
        asked.walltime_s,
        new.nu,
        asked.max_attempts,
        asked.max_timeouts,
        new.options,
        asked.body if new.body_from is None else None,
        new.body_from,
        list(new.takes),
        new.skippable,
        new.max_qpu_us,
    )


async def opening(conn: Conn, job_id: UUID, name: str) -> Opening:
    """LookupError: the job has no such phase."""
    row = await conn.fetchrow(
        "SELECT offering_id, backend, kind, walltime_s, nu, max_attempts, max_timeouts FROM scheduler.job_phase "
        "WHERE job_id = $1 AND name = $2",
        job_id,
        name,
    )
    if row is None:
        raise LookupError(f"job {job_id} has no phase {name}")
    return Opening(**{**row, "kind": JobKind(row["kind"])})


async def due(conn: Conn, *, now: datetime, limit: int) -> list[Due]:
    """Waiting attempts whose phase has not been given what it takes, the longest waiting first."""
    rows = await conn.fetch(
        "SELECT a.id, a.job_id, a.organisation_id, a.phase, p.kind, p.shots, p.body_from, p.takes, "
        "coalesce(f.tries, 0) AS tries, b.id AS before_id, b.phase AS before_phase, b.backend, b.state, b.ended_at, "
        "b.started_at IS NOT NULL AND b.backend_ref IS NOT NULL AS has_run, g.collected_at IS NOT NULL AS collected "
        "FROM scheduler.attempt a JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase "
        "JOIN LATERAL (SELECT * FROM scheduler.attempt n WHERE n.job_id = a.job_id AND n.phase <> a.phase "
        "AND n.ordinal < a.ordinal ORDER BY n.ordinal DESC LIMIT 1) b ON true "
        "LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id "
        "LEFT JOIN scheduler.attempt_files g ON g.attempt_id = b.id "
        "WHERE a.state = 'QUEUED' AND p.ordinal > 1 AND (f.retry_at IS NULL OR f.retry_at <= $1) "
        "AND NOT EXISTS (SELECT FROM scheduler.phase_start s WHERE s.job_id = a.job_id AND s.phase = a.phase) "
        "AND NOT EXISTS (SELECT FROM scheduler.cancellation c WHERE c.job_id = a.job_id) "
        "ORDER BY a.queued_at, a.id LIMIT $2",
        now,
        limit,
    )
    return [_due(row) for row in rows]


def _due(row: asyncpg.Record) -> Due:
    return Due(
        id=row["id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        phase=row["phase"],
        kind=JobKind(row["kind"]),
        shots=row["shots"],
        body_from=row["body_from"],
        takes=tuple(row["takes"]),
        tries=row["tries"],
        before=Before(
            id=row["before_id"],
            phase=row["before_phase"],
            backend=row["backend"],
            state=State(row["state"]),
            ended_at=row["ended_at"],
            has_run=row["has_run"],
            collected=row["collected"],
        ),
    )


async def kept(conn: Conn, job_id: UUID, phases: Sequence[str]) -> list[Kept]:
    """What the last attempts of these phases left and the store keeps, by phase and name."""
    rows = await conn.fetch(
        "SELECT a.phase, p.base, o.name, o.key, o.checksum, o.size_bytes AS size FROM scheduler.attempt_output o "
        "JOIN scheduler.attempt a ON a.id = o.attempt_id "
        "JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase "
        "WHERE a.job_id = $1 AND a.phase = ANY($2) AND o.key IS NOT NULL AND NOT EXISTS (SELECT "
        "FROM scheduler.attempt n WHERE n.job_id = a.job_id AND n.phase = a.phase AND n.ordinal > a.ordinal) "
        "ORDER BY p.ordinal, o.name",
        job_id,
        list(phases),
    )
    return [Kept(**dict(row)) for row in rows]


async def leaves(conn: Conn, attempt_id: UUID, name: str) -> bool:
    """Whether an attempt left a file of this name, kept or not."""
    found = await conn.fetchval(
        "SELECT count(*) FROM scheduler.attempt_output WHERE attempt_id = $1 AND name = $2", attempt_id, name
    )
    return bool(found)


async def set_begun(
    conn: Conn, due_: Due, inputs: Sequence[FrozenInput], program: tuple[bytes, int] | None, *, now: datetime
) -> bool:
    """What the phase is given, once. program: its text, and how many executions it asks for. False: it has it."""
    body, shots = program or (None, None)
    done = await conn.execute(
        "INSERT INTO scheduler.phase_start (job_id, phase, organisation_id, body, shots, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        due_.job_id,
        due_.phase,
        due_.organisation_id,
        body,
        shots,
        now,
    )
    if done != "INSERT 0 1":
        return False
    await conn.executemany(
        "INSERT INTO scheduler.phase_input (job_id, phase, organisation_id, name, object_id, key, size_bytes, "
        "checksum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (
                due_.job_id,
                due_.phase,
                due_.organisation_id,
                each.name,
                each.object_id,
                each.key,
                each.size,
                each.checksum,
            )
            for each in inputs
        ],
    )
    return True


async def unkept(conn: Conn, *, but: Sequence[str], since: datetime, now: datetime, limit: int) -> list[Unkept]:
    """Ended attempts of hybrid jobs on other backends than `but`, whose results are not in the store yet."""
    rows = await conn.fetch(
        "SELECT a.id, a.organisation_id, j.person_id, a.job_id, j.number, a.phase, r.body AS result, "
        "coalesce(f.tries, 0) AS tries FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "JOIN scheduler.job_phase p ON p.job_id = a.job_id AND p.name = a.phase "
        "JOIN scheduler.attempt_result r ON r.attempt_id = a.id "
        "LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id "
        "WHERE a.ended_at >= $2 AND a.backend <> ALL($1) AND f.collected_at IS NULL "
        "AND (f.retry_at IS NULL OR f.retry_at <= $3) ORDER BY a.ended_at, a.id LIMIT $4",
        list(but),
        since,
        now,
        limit,
    )
    return [Unkept(**dict(row)) for row in rows]


async def told(conn: Conn, job_id: UUID) -> list[PhaseView]:
    """The phases of a job, in their order, each with its newest attempt. None: it is no hybrid job."""
    rows = await conn.fetch(
        "SELECT p.ordinal, p.name, p.base, p.kind::text AS kind, p.offering_id, p.backend, p.gpus, p.cpus, "
        "p.memory_mb, p.shots, p.nodes, p.walltime_s, p.max_attempts, p.takes, p.body_from, p.skippable, "
        "n.state, n.started_at, n.ended_at, n.exit_code, n.reason, coalesce(n.attempts, '{}') AS attempts "
        "FROM scheduler.job_phase p LEFT JOIN LATERAL (SELECT "
        "(array_agg(a.state ORDER BY a.ordinal DESC))[1] AS state, "
        "min(a.started_at) AS started_at, (array_agg(a.ended_at ORDER BY a.ordinal DESC))[1] AS ended_at, "
        "(array_agg(a.exit_code ORDER BY a.ordinal DESC))[1] AS exit_code, "
        "(array_agg(a.reason ORDER BY a.ordinal DESC))[1] AS reason, array_agg(a.id ORDER BY a.ordinal) AS attempts "
        "FROM scheduler.attempt a WHERE a.job_id = p.job_id AND a.phase = p.name) n ON true "
        "WHERE p.job_id = $1 ORDER BY p.ordinal",
        job_id,
    )
    return [_told(row) for row in rows]


def _told(row: asyncpg.Record) -> PhaseView:
    return PhaseView(
        **{
            **row,
            "kind": JobKind(row["kind"]),
            "state": None if row["state"] is None else State(row["state"]),
            "takes": tuple(row["takes"]),
            "attempts": tuple(row["attempts"]),
        }
    )
