"""Rows as others see them. As a tenant the database shows only one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from hpc_adapters.contract import Ref
from infra.db.connection import Conn
from pricing.model import ServiceClass
from scheduler.core.dependencies import DependencyKind
from scheduler.core.explain import Sentence, what_happened, why_it_waits, why_then
from scheduler.core.foretold import ahead_of_it, foretold
from scheduler.core.model import JobKind, State
from scheduler.core.reasons import FORESEEN, Why
from scheduler.views import (
    ArrayView,
    AttemptView,
    DependencyView,
    ForecastView,
    JobView,
    QueueEntry,
    StoryLine,
    WaitingView,
)

_JOB = """
    SELECT j.*, a.id AS attempt_id, a.flexible, a.offering_id AS placed_on, a.backend AS placed_at,
           a.gpus AS placed_gpus, a.cpus AS placed_cpus, a.memory_mb AS placed_memory_mb,
           a.ordinal, a.phase, a.state, a.ended_at, a.exit_code, a.reason,
           CASE WHEN a.phase = 'main' THEN a.started_at ELSE (
               SELECT min(s.started_at) FROM scheduler.attempt s WHERE s.job_id = j.id) END AS started_at,
           a.wait_reason, a.wait_facts, f.as_of, f.position, f.p50_at, f.p90_at, f.ahead,
           c.requested_at AS cancel_requested_at,
           r.number AS array_number, r.tasks AS array_tasks
    FROM scheduler.job j
    JOIN LATERAL (SELECT * FROM scheduler.attempt WHERE job_id = j.id ORDER BY ordinal DESC LIMIT 1) a ON true
    LEFT JOIN scheduler.forecast f ON f.attempt_id = a.id
    LEFT JOIN scheduler.cancellation c ON c.job_id = j.id
    LEFT JOIN scheduler.job_array r ON r.id = j.array_id
"""


async def job(conn: Conn, job_id: UUID) -> JobView | None:
    row = await conn.fetchrow(_JOB + "WHERE j.id = $1", job_id)
    return None if row is None else _job(row)


async def jobs(
    conn: Conn,
    *,
    organisation_id: UUID | None,
    state: State | None,
    array: int | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[JobView]:
    """Newest first. before: (submitted_at, id) of the last one seen."""
    at, last = before or (None, None)
    rows = await conn.fetch(
        _JOB  # noqa: S608  its own text
        + "WHERE ($1::uuid IS NULL OR j.organisation_id = $1) "
        "AND ($2::scheduler.attempt_state IS NULL OR a.state = $2) "
        "AND ($3::timestamptz IS NULL OR (j.submitted_at, j.id) < ($3, $4)) "
        "AND ($6::bigint IS NULL OR j.array_id IN (SELECT id FROM scheduler.job_array w "
        "WHERE w.number = $6 AND ($1::uuid IS NULL OR w.organisation_id = $1))) "
        "ORDER BY j.submitted_at DESC, j.id DESC LIMIT $5",
        organisation_id,
        None if state is None else state.value,
        at,
        last,
        limit,
        array,
    )
    return [_job(row) for row in rows]


async def id_of_number(conn: Conn, *, organisation_id: UUID, number: int) -> UUID | None:
    found: UUID | None = await conn.fetchval(
        "SELECT id FROM scheduler.job WHERE organisation_id = $1 AND number = $2", organisation_id, number
    )
    return found


async def id_of_task(conn: Conn, *, organisation_id: UUID, number: int, index: int) -> UUID | None:
    """Of task `index` of array `number`."""
    found: UUID | None = await conn.fetchval(
        "SELECT j.id FROM scheduler.job j JOIN scheduler.job_array r ON r.id = j.array_id "
        "WHERE r.organisation_id = $1 AND r.number = $2 AND j.array_index = $3",
        organisation_id,
        number,
        index,
    )
    return found


async def tasks_of(conn: Conn, *, organisation_id: UUID, number: int) -> list[UUID]:
    """All jobs of an array, by index; none: there is no such array."""
    rows = await conn.fetch(
        "SELECT j.id FROM scheduler.job j JOIN scheduler.job_array r ON r.id = j.array_id "
        "WHERE r.organisation_id = $1 AND r.number = $2 ORDER BY j.array_index",
        organisation_id,
        number,
    )
    return [row["id"] for row in rows]


async def waiting_of(conn: Conn, *, organisation_id: UUID, person_id: UUID) -> list[UUID]:
    """A member's jobs that wait in our queue, the oldest first."""
    rows = await conn.fetch(
        "SELECT j.id FROM scheduler.job j JOIN scheduler.attempt a ON a.job_id = j.id "
        "WHERE j.organisation_id = $1 AND j.person_id = $2 AND a.state = 'QUEUED' AND a.ordinal > 0 "
        "ORDER BY j.submitted_at, j.id",
        organisation_id,
        person_id,
    )
    return [row["id"] for row in rows]


async def dependencies(conn: Conn, job_id: UUID) -> list[DependencyView]:
    """What a job waits for. All tasks of an array wait for the same, which is noted with the first of them."""
    rows = await conn.fetch(
        "SELECT d.kind::text AS kind, o.id AS job_id, o.number, a.state FROM scheduler.job j "
        "JOIN scheduler.dependency d ON d.job_id = coalesce(j.array_id, j.id) "
        "JOIN scheduler.job o ON o.id = d.on_job_id "
        "JOIN LATERAL "
        "(SELECT state FROM scheduler.attempt WHERE job_id = o.id ORDER BY ordinal DESC LIMIT 1) a ON true "
        "WHERE j.id = $1 ORDER BY o.number, o.id, d.kind",
        job_id,
    )
    return [
        DependencyView(
            kind=DependencyKind(row["kind"]), job_id=row["job_id"], number=row["number"], state=State(row["state"])
        )
        for row in rows
    ]


async def attempts(conn: Conn, job_id: UUID) -> list[AttemptView]:
    """The attempts in the line of a job; those that carry out its calls stand beside it (store.calls)."""
    rows = await conn.fetch(
        "SELECT * FROM scheduler.attempt WHERE job_id = $1 AND ordinal > 0 ORDER BY ordinal", job_id
    )
    return [_attempt(row) for row in rows]


async def native_ids(conn: Conn, attempt_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    rows = await conn.fetch(
        "SELECT id, backend_ref FROM scheduler.attempt WHERE id = ANY($1) AND backend_ref IS NOT NULL", attempt_ids
    )
    return {row["id"]: row["backend_ref"] for row in rows}


async def story(conn: Conn, job_id: UUID) -> list[StoryLine]:
    rows = await conn.fetch(
        "SELECT e.kind, e.state, e.facts, e.effective_at, e.recorded_at, a.ordinal, a.phase, a.reason, "
        "d.facts AS decision FROM scheduler.attempt_event e JOIN scheduler.attempt a ON a.id = e.attempt_id "
        "LEFT JOIN scheduler.decision d ON d.attempt_id = e.attempt_id AND d.at = e.effective_at "
        "AND d.kind = CASE e.kind WHEN 'Dispatched' THEN 'start' WHEN 'PreemptRequested' THEN 'preempt' END "
        "WHERE a.job_id = $1 AND a.ordinal > 0 ORDER BY a.ordinal, e.seq",
        job_id,
    )
    return [_story_line(row) for row in rows]


async def result(conn: Conn, job_id: UUID) -> bytes | None:
    """Of the newest attempt that left one."""
    body = await conn.fetchval(
        "SELECT r.body FROM scheduler.attempt_result r JOIN scheduler.attempt a ON a.id = r.attempt_id "
        "WHERE a.job_id = $1 AND a.ordinal > 0 AND length(r.body) > 0 ORDER BY a.ordinal DESC LIMIT 1",
        job_id,
    )
    return None if body is None else bytes(body)


async def live(conn: Conn) -> list[QueueEntry]:
    rows = await conn.fetch(
        "SELECT a.id AS attempt_id, a.job_id, a.organisation_id, j.name, a.kind, a.backend, a.state, a.ordinal, "
        "a.gpus, a.qpus, a.walltime_s, j.submitted_at, a.started_at, a.wait_reason, a.wait_facts, a.doubt "
        "FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "WHERE a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') "
        "ORDER BY a.state = 'QUEUED', a.backend, "
        "(a.wait_facts ->> 'position')::integer NULLS LAST, j.submitted_at, a.id"
    )
    return [_queue_entry(row) for row in rows]


def _waiting(row: asyncpg.Record) -> WaitingView | None:
    if State(row["state"]) is not State.QUEUED:
        return None
    why = Why(row["wait_reason"] or Why.NOT_PLANNED_YET)
    facts: Mapping[str, object] = row["wait_facts"]
    return WaitingView(reason=why, facts=facts, sentence=why_it_waits(why, facts))


def _job(row: asyncpg.Record) -> JobView:
    return JobView(
        id=row["id"],
        organisation_id=row["organisation_id"],
        project_id=row["project_id"],
        project=row["options"]["project"],
        person_id=row["person_id"],
        name=row["name"],
        kind=JobKind(row["kind"]),
        offering_id=row["placed_on"] if row["flexible"] else row["offering_id"],
        backend=row["placed_at"] if row["flexible"] else row["backend"],
        service_class=ServiceClass(row["service_class"]),
        gpus=row["placed_gpus"] if row["flexible"] else row["gpus"],
        cpus=row["placed_cpus"] if row["flexible"] else row["cpus"],
        memory_mb=row["placed_memory_mb"] if row["flexible"] else row["memory_mb"],
        data_location=row["data_location"],
        nodes=row["nodes"],
        shots=row["shots"],
        walltime_s=row["walltime_s"],
        max_attempts=row["max_attempts"],
        max_timeouts=row["max_timeouts"],
        begin_at=row["begin_at"],
        array=_array(row),
        number=row["number"],
        submitted_at=row["submitted_at"],
        state=State(row["state"]),
        attempt_id=row["attempt_id"],
        attempt_count=row["ordinal"],
        phase=row["phase"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        reason=row["reason"],
        cancel_requested_at=row["cancel_requested_at"],
        waiting=_foreseen(_waiting(row), row),
    )


def _foreseen(waiting: WaitingView | None, row: asyncpg.Record) -> WaitingView | None:
    """Of what waits for its turn."""
    if waiting is None or waiting.reason not in FORESEEN or row["as_of"] is None:
        return waiting
    forecast = ForecastView(
        as_of=row["as_of"],
        position=row["position"],
        p50_at=row["p50_at"],
        p90_at=row["p90_at"],
        ahead=row["ahead"],
        sentence=foretold(row["as_of"], row["p50_at"], row["p90_at"]),
        ahead_sentence=ahead_of_it(row["ahead"]),
    )
    return replace(waiting, forecast=forecast)


def _array(row: asyncpg.Record) -> ArrayView | None:
    if row["array_number"] is None:
        return None
    return ArrayView(number=row["array_number"], index=row["array_index"], tasks=row["array_tasks"])


def _attempt(row: asyncpg.Record) -> AttemptView:
    native_id = row["backend_ref"]
    return AttemptView(
        id=row["id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        phase=row["phase"],
        ordinal=row["ordinal"],
        backend=row["backend"],
        state=State(row["state"]),
        ref=None if native_id is None else Ref(row["backend"], row["id"], native_id),
        queued_at=row["queued_at"],
        dispatched_at=row["dispatched_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        reason=row["reason"],
    )


def _story_line(row: asyncpg.Record) -> StoryLine:
    state = State(row["state"])
    told = what_happened(row["kind"], state, row["facts"], row["reason"])
    why = None if row["decision"] is None else why_then(row["decision"])
    return StoryLine(
        at=row["effective_at"],
        recorded_at=row["recorded_at"],
        attempt=row["ordinal"],
        phase=row["phase"],
        kind=row["kind"],
        state=state,
        facts=row["facts"],
        sentence=told if why is None else Sentence(f"{told.ja}{why.ja}", f"{told.en} {why.en}"),
        decision=row["decision"],
    )


def _queue_entry(row: asyncpg.Record) -> QueueEntry:
    position = row["wait_facts"].get("position")
    return QueueEntry(
        attempt_id=row["attempt_id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        name=row["name"],
        kind=JobKind(row["kind"]),
        backend=row["backend"],
        state=State(row["state"]),
        ordinal=row["ordinal"],
        gpus=row["gpus"],
        qpus=row["qpus"],
        walltime_s=row["walltime_s"],
        submitted_at=row["submitted_at"],
        started_at=row["started_at"],
        position=position,
        waiting=_waiting(row),
        doubt=row["doubt"],
    )
