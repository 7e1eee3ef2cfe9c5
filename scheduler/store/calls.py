"""Calls of running jobs to their QPU: what was asked for, each call once, its answer once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from scheduler.core.calls import IDLE, Allowance, Call, Used
from scheduler.core.model import State

CANCEL_WANTED = """(c.job_id IS NOT NULL OR (a.caller_id IS NOT NULL AND EXISTS (
    SELECT FROM scheduler.attempt m WHERE m.id = a.caller_id AND m.ended_at IS NOT NULL)))"""
"""Of an attempt `a` and the wish to cancel its job, `c`: it shall end.

A call ends with the attempt that made it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQpu:
    """The QPU of a job, ready to be stored. call_s: walltime of one call; wait_s: of its wait for the device."""

    offering_id: str
    backend: str
    call_s: int
    wait_s: int
    allowed: Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A running attempt that may call. asked: the files that it has left so far; the next has the number after."""

    caller_id: UUID
    job_id: UUID
    organisation_id: UUID
    project_id: UUID
    person_id: UUID
    backend: str
    native_id: str
    started_at: datetime
    qpu: NewQpu
    asked: int
    refused: int
    """So many of these were refused."""
    pending: bool
    """A call of it has no answer yet: the next file is not read before."""
    answered_at: datetime | None
    """When its newest call was: before that a silence is ours. None: it has not called yet, or waits for an answer."""
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A call of a running attempt that is over, and whose answer nobody has written."""

    job_id: UUID
    number: int
    organisation_id: UUID
    person_id: UUID
    caller_id: UUID
    backend: str
    native_id: str
    file_number: int
    code: str | None
    facts: Mapping[str, object]
    state: State | None
    reason: str | None
    result: bytes | None
    """None: nobody has looked yet what it left, or there is nothing to look at."""
    has_run: bool


async def insert(conn: Conn, job_id: UUID, organisation_id: UUID, qpu: NewQpu) -> None:
    """What a new job may call."""
    allowed = qpu.allowed
    await conn.execute(
        "INSERT INTO scheduler.job_qpu (job_id, organisation_id, offering_id, backend, calls, shots, idle_s, call_s, "
        "base_us, per_kshot_us, max_shots, nu_per_hour, wait_s) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        job_id,
        organisation_id,
        qpu.offering_id,
        qpu.backend,
        allowed.calls,
        allowed.shots,
        allowed.idle_s,
        qpu.call_s,
        allowed.base_us,
        allowed.per_kshot_us,
        allowed.max_shots,
        allowed.nu_per_hour,
        qpu.wait_s,
    )


_SESSION = """
    SELECT a.id AS caller_id, a.job_id, a.organisation_id, j.project_id, j.person_id, a.backend, a.backend_ref,
           a.started_at, u.offering_id, u.backend AS qpu_backend, u.calls, u.shots, u.idle_s, u.call_s, u.base_us,
           u.per_kshot_us, u.max_shots, u.nu_per_hour, u.wait_s, coalesce(n.asked, 0) AS asked,
           coalesce(n.refused, 0) AS refused, coalesce(n.pending, false) AS pending, n.answered_at,
           x.caller_id IS NOT NULL AS closed
    FROM scheduler.attempt a
    JOIN scheduler.job_qpu u ON u.job_id = a.job_id
    JOIN scheduler.job j ON j.id = a.job_id
    LEFT JOIN scheduler.qpu_closed x ON x.caller_id = a.id
    LEFT JOIN LATERAL (
        SELECT k.file_number AS asked, w.number IS NULL AS pending, w.recorded_at AS answered_at,
               (SELECT count(r.code)::integer FROM scheduler.qpu_call r WHERE r.caller_id = a.id) AS refused
        FROM scheduler.qpu_call k LEFT JOIN scheduler.qpu_answer w ON w.job_id = k.job_id AND w.number = k.number
        WHERE k.caller_id = a.id ORDER BY k.file_number DESC LIMIT 1) n ON true  -- those before it are answered
    WHERE a.state = 'RUNNING' AND a.ordinal > 0 AND a.backend_ref IS NOT NULL
      AND NOT EXISTS (SELECT FROM scheduler.cancellation c WHERE c.job_id = a.job_id)
"""


async def sessions(conn: Conn, *, limit: int) -> list[Session]:
    """Running attempts that may call, the longest running first."""
    rows = await conn.fetch(_SESSION + "ORDER BY a.started_at, a.id LIMIT $1", limit)
    return [_session(row) for row in rows]


async def session_now(conn: Conn, caller_id: UUID) -> Session | None:
    """One of them, as it is now; no call of it is taken, and it does not end, before this transaction does."""
    await conn.execute("SELECT FROM scheduler.attempt WHERE id = $1 FOR UPDATE", caller_id)
    row = await conn.fetchrow(_SESSION + "AND a.id = $1", caller_id)
    return None if row is None else _session(row)


def _session(row: asyncpg.Record) -> Session:
    allowed = Allowance(
        calls=row["calls"],
        shots=row["shots"],
        max_shots=row["max_shots"],
        idle_s=row["idle_s"],
        base_us=row["base_us"],
        per_kshot_us=row["per_kshot_us"],
        nu_per_hour=row["nu_per_hour"],
    )
    return Session(
        caller_id=row["caller_id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        project_id=row["project_id"],
        person_id=row["person_id"],
        backend=row["backend"],
        native_id=row["backend_ref"],
        started_at=row["started_at"],
        qpu=NewQpu(
            offering_id=row["offering_id"],
            backend=row["qpu_backend"],
            call_s=row["call_s"],
            wait_s=row["wait_s"],
            allowed=allowed,
        ),
        asked=row["asked"],
        refused=row["refused"],
        pending=row["pending"],
        answered_at=row["answered_at"],
        closed=row["closed"],
    )


async def used(conn: Conn, job_id: UUID) -> tuple[Used, int]:
    """What the calls of a job took of its allowance, and the highest number of one."""
    row = await conn.fetchrow(
        "SELECT count(attempt_id)::integer AS calls, coalesce(sum(shots) FILTER (WHERE attempt_id IS NOT NULL), 0)"
        "::bigint AS shots, coalesce(max(number), 0) AS newest FROM scheduler.qpu_call WHERE job_id = $1",
        job_id,
    )
    assert row is not None
    return Used(row["calls"], row["shots"]), row["newest"]


async def keep_call(
    conn: Conn,
    session: Session,
    number: int,
    made: tuple[Call, UUID] | tuple[str, Mapping[str, object]],
    *,
    now: datetime,
) -> None:
    """The next file of a session that is locked: the call and the attempt that carries it out, or why none does."""
    is_call = isinstance(made[0], Call)
    call = made[0] if isinstance(made[0], Call) else None
    await conn.execute(
        "INSERT INTO scheduler.qpu_call (job_id, number, organisation_id, caller_id, file_number, attempt_id, code, "
        "facts, body, shots, max_qpu_us, nu, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        session.job_id,
        number,
        session.organisation_id,
        session.caller_id,
        session.asked + 1,
        made[1] if is_call else None,
        None if is_call else made[0],
        {} if is_call else made[1],
        None if call is None else call.program,
        0 if call is None else call.shots,
        None if call is None else call.max_qpu_us,
        0.0 if call is None else call.nu,
        now,
    )


async def close(conn: Conn, session: Session, *, now: datetime) -> None:
    """No call of it is taken any more. Again: nothing happens."""
    await conn.execute(
        "INSERT INTO scheduler.qpu_closed (caller_id, organisation_id, reason, recorded_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT DO NOTHING",
        session.caller_id,
        session.organisation_id,
        IDLE,
        now,
    )


async def unanswered(conn: Conn, *, limit: int) -> list[Unanswered]:
    """Calls of running attempts that are over and have no answer yet, the oldest first.

    Of each attempt that is its newest at most: the next file is not read before.
    """
    rows = await conn.fetch(
        "SELECT k.job_id, k.number, k.organisation_id, j.person_id, k.caller_id, m.backend, "
        "m.backend_ref AS native_id, k.file_number, k.code, k.facts, t.state, t.reason, r.body AS result, "
        "t.backend_ref IS NOT NULL AND t.state IN ('SUCCEEDED', 'FAILED') AS has_run "
        "FROM scheduler.attempt m JOIN scheduler.job_qpu u ON u.job_id = m.job_id "
        "JOIN LATERAL (SELECT * FROM scheduler.qpu_call WHERE caller_id = m.id ORDER BY file_number DESC LIMIT 1) k "
        "ON true "
        "JOIN scheduler.job j ON j.id = k.job_id "
        "LEFT JOIN scheduler.attempt t ON t.id = k.attempt_id "
        "LEFT JOIN scheduler.attempt_result r ON r.attempt_id = k.attempt_id "
        "WHERE m.state = 'RUNNING' AND m.ordinal > 0 AND m.backend_ref IS NOT NULL "
        "AND (k.attempt_id IS NULL OR t.ended_at IS NOT NULL) "
        "AND NOT EXISTS (SELECT FROM scheduler.qpu_answer w WHERE w.job_id = k.job_id AND w.number = k.number) "
        "ORDER BY k.recorded_at, k.job_id, k.number LIMIT $1",
        limit,
    )
    return [Unanswered(**{**row, "state": None if row["state"] is None else State(row["state"])}) for row in rows]


async def set_answered(conn: Conn, call: Unanswered, *, now: datetime) -> None:
    """Its answer lies where whoever asked finds it. Again: nothing happens."""
    await conn.execute(
        "INSERT INTO scheduler.qpu_answer (job_id, number, organisation_id, recorded_at) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT DO NOTHING",
        call.job_id,
        call.number,
        call.organisation_id,
        now,
    )
