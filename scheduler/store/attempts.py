"""Attempts and their events: read for a change under the row's lock, and written as lifecycle.advance() made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from infra.db.ahead import Look, Row, row_of
from infra.db.connection import WAKE_CHANNEL, Conn, Lease, fence_args, fenced
from pricing.model import ServiceClass
from scheduler.core.events import Event, Queued, facts_of
from scheduler.core.model import WITH_BACKEND, Attempt, Doubt, JobKind, State
from scheduler.core.reasons import Why
from scheduler.store.calls import CANCEL_WANTED

Decision = tuple[str | None, Mapping[str, object]]
"""What is recorded beside an event, a kind of scheduler.decision with its facts; None: nothing."""
_ATTEMPT = f"""
    SELECT a.id, a.job_id, a.organisation_id, a.backend, a.phase, a.skippable, a.caller_id, a.max_timeouts, a.ordinal,
           a.offering_id, a.kind::text, a.max_attempts, a.walltime_s, a.nu, a.queued_at, a.state::text, a.backend_ref,
           a.dispatched_at, a.started_at, a.ended_at, a.exit_code, a.reason, a.not_before, a.doubt,
           a.doubt_since, a.unknown_count, a.preempt_wanted_at, a.preempt_for::text, a.version,
           {CANCEL_WANTED} AS cancel_wanted,
           CASE WHEN a.max_timeouts = 0 THEN 0 ELSE (
               SELECT count(*) FROM scheduler.attempt t WHERE t.job_id = a.job_id AND t.phase = a.phase
               AND t.ordinal < a.ordinal AND t.reason = 'timed_out')::integer END AS timeouts,
           CASE WHEN a.caller_id IS NOT NULL THEN a.ordinal - 1 WHEN a.phase_ordinal IS NULL THEN 0 ELSE (
               SELECT count(*) FROM scheduler.attempt t WHERE t.job_id = a.job_id AND t.phase <> a.phase
               AND t.ordinal < a.ordinal)::integer END AS earlier,
           (SELECT n.name FROM scheduler.job_phase n
             WHERE n.job_id = a.job_id AND n.ordinal = a.phase_ordinal + 1) AS next_phase,
           ARRAY(SELECT e.kind FROM scheduler.attempt_event e WHERE e.attempt_id = a.id ORDER BY e.seq) AS trail
    FROM scheduler.attempt a
    LEFT JOIN scheduler.cancellation c ON c.job_id = a.job_id
"""  # noqa: S608  our own words


async def locked(conn: Conn, attempt_id: UUID) -> Attempt | None:
    """The attempt as it is now; nobody else changes it before this transaction ends."""
    row = await conn.fetchrow(_ATTEMPT + "WHERE a.id = $1 FOR UPDATE OF a", attempt_id)
    if row is not None and row["version"] != len(row["trail"]):
        # It was changed while this waited for its lock: the row is new, its events are those of an older snapshot.
        row = await conn.fetchrow(_ATTEMPT + "WHERE a.id = $1", attempt_id)
    return None if row is None else _attempt(row)


def seen_look(attempt_id: UUID) -> Look:
    """What seen() asks."""
    return Look(_ATTEMPT + "WHERE a.id = $1", (attempt_id,))


async def seen(conn: Conn, attempt_id: UUID) -> Attempt | None:
    """As it is now. Others may change it: what is made of it is written by save_at_once()."""
    row = await row_of(conn, seen_look(attempt_id))
    return None if row is None else _attempt(row)


async def with_ref(conn: Conn) -> list[Attempt]:
    """All that a backend has accepted and that has not ended, longest running first."""
    rows = await conn.fetch(
        _ATTEMPT + "WHERE a.state = ANY($1) AND a.backend_ref IS NOT NULL ORDER BY a.dispatched_at, a.id",
        sorted(WITH_BACKEND),
    )
    return [_attempt(row) for row in rows]


async def unanswered(conn: Conn, *, backend: str, sent_before: datetime, limit: int) -> list[Attempt]:
    """Handed over before an instant, and nobody knows with what outcome."""
    rows = await conn.fetch(
        _ATTEMPT
        + "WHERE a.state IN ('DISPATCHING', 'CANCELLING') AND a.backend_ref IS NULL "
        + "AND a.backend = $1 AND a.dispatched_at < $2 ORDER BY a.dispatched_at, a.id LIMIT $3",
        backend,
        sent_before,
        limit,
    )
    return [_attempt(row) for row in rows]


async def to_cancel(conn: Conn, *, limit: int) -> list[Attempt]:
    """Live attempts whose job shall end, oldest wish first."""
    rows = await conn.fetch(
        _ATTEMPT
        + "WHERE a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') AND c.job_id IS NOT NULL "
        + "ORDER BY c.requested_at, a.id LIMIT $1",
        limit,
    )
    return [_attempt(row) for row in rows]


async def to_leave(conn: Conn, *, limit: int) -> list[Attempt]:
    """Running attempts that were asked to make room, and have not ended; the oldest wish first."""
    rows = await conn.fetch(
        _ATTEMPT + "WHERE a.state = 'RUNNING' AND a.preempt_wanted_at IS NOT NULL "
        "ORDER BY a.preempt_wanted_at, a.id LIMIT $1",
        limit,
    )
    return [_attempt(row) for row in rows]


async def preempted(conn: Conn, *, since: datetime) -> dict[UUID, int]:
    """How many attempts of each organisation were asked to make room since then."""
    rows = await conn.fetch(
        "SELECT organisation_id, count(*) AS number FROM scheduler.attempt WHERE preempt_wanted_at > $1 "
        "GROUP BY organisation_id",
        since,
    )
    return {row["organisation_id"]: row["number"] for row in rows}


async def orphaned(conn: Conn, *, limit: int) -> list[Attempt]:
    """Live attempts that carry out a call of one that has ended."""
    rows = await conn.fetch(
        _ATTEMPT + "WHERE a.ordinal < 0 AND a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') "
        "AND EXISTS (SELECT FROM scheduler.attempt m WHERE m.id = a.caller_id AND m.ended_at IS NOT NULL) "
        "ORDER BY a.queued_at, a.id LIMIT $1",
        limit,
    )
    return [_attempt(row) for row in rows]


async def ended_unconfirmed(
    conn: Conn, *, backend: str, reasons: Sequence[str], since: datetime, limit: int
) -> list[Attempt]:
    """Ended by our own conclusion, and once handed over: the backend may still turn out to have it."""
    rows = await conn.fetch(
        _ATTEMPT
        + "WHERE a.ended_at >= $2 AND a.dispatched_at IS NOT NULL AND a.backend = $1 AND a.reason = ANY($3) "
        + "ORDER BY a.ended_at DESC, a.id LIMIT $4",
        backend,
        since,
        list(reasons),
        limit,
    )
    return [_attempt(row) for row in rows]


async def without_result(conn: Conn, *, backend: str, since: datetime, limit: int) -> list[Attempt]:
    """Ended by themselves, and nobody has looked yet whether they left a result."""
    rows = await conn.fetch(
        _ATTEMPT
        + "WHERE a.ended_at >= $2 AND a.dispatched_at IS NOT NULL AND a.backend = $1 "
        + "AND a.state IN ('SUCCEEDED', 'FAILED') AND a.backend_ref IS NOT NULL "
        + "AND NOT EXISTS (SELECT FROM scheduler.attempt_result r WHERE r.attempt_id = a.id) "
        + "ORDER BY a.ended_at, a.id LIMIT $3",
        backend,
        since,
        limit,
    )
    return [_attempt(row) for row in rows]


async def insert(conn: Conn, attempts: Sequence[Attempt]) -> None:
    """New attempts, QUEUED, each with its first event. Wakes the dispatcher."""
    await conn.executemany(_INSERT, [queued_args(attempt) for attempt in attempts])


def queued_sql(first: int, *, of: str) -> str:
    """What insert() writes, after the WITH of a statement: its eleven parameters are counted from `first`.

    of: a SELECT of its job's id, which it waits for: a trigger copies from that job's row what is asked.
    """
    id_, job_id, organisation_id, phase, ordinal, backend, queued_at, version, kind, channel, offering_id = (
        f"${number}" for number in range(first, first + 11)
    )
    return f"""attempt AS (INSERT INTO scheduler.attempt
            (id, job_id, organisation_id, phase, ordinal, backend, state, queued_at, version, offering_id)
            SELECT {id_}::uuid, of.id, {organisation_id}::uuid, {phase}, {ordinal}::integer, {backend}, 'QUEUED',
                {queued_at}::timestamptz, {version}::integer, {offering_id}::text
                FROM ({of}) of WHERE of.id = {job_id}),
        event AS (INSERT INTO scheduler.attempt_event
            (attempt_id, seq, organisation_id, kind, state, facts, effective_at, recorded_at)
            VALUES ({id_}, {version}, {organisation_id}, {kind}, 'QUEUED', '{{}}', {queued_at}, {queued_at}))
        SELECT pg_notify({channel}, 'dispatch')"""  # noqa: S608  our own words


def queued_args(attempt: Attempt) -> tuple[object, ...]:
    """The parameters of queued_sql()."""
    return (
        attempt.id,
        attempt.job_id,
        attempt.organisation_id,
        attempt.phase,
        attempt.ordinal,
        attempt.backend,
        attempt.queued_at,
        attempt.version,
        Queued.__name__,
        WAKE_CHANNEL,
        attempt.offering_id,
    )


_INSERT = f"WITH {queued_sql(1, of='SELECT $2::uuid AS id')}"


async def save(conn: Conn, before: Attempt, after: Attempt, event: Event, *, now: datetime) -> bool:
    """Writes what advance() made of a locked attempt. False, and nothing written: this event is noted already."""
    if after.version == before.version:
        await conn.execute(_UPDATE, *_changed(after))
        return True
    done = await conn.execute(
        "WITH noted AS (INSERT INTO scheduler.attempt_event "
        "(attempt_id, seq, organisation_id, kind, state, facts, effective_at, recorded_at) "
        "VALUES ($1, $13, $19, $20, $2::text::scheduler.attempt_state, $21, $22, $23) "
        "ON CONFLICT (attempt_id, kind, effective_at) DO NOTHING RETURNING seq) "
        + _UPDATE  # one round trip for both
        + " AND EXISTS (SELECT FROM noted)",
        *_changed(after),
        after.organisation_id,
        type(event).__name__,
        facts_of(event),
        event.at,
        now,
    )
    return done == "UPDATE 1"


async def save_at_once(
    conn: Conn,
    before: Attempt,
    after: Attempt,
    event: Event,
    *,
    lease: Lease | None,
    now: datetime,
    decision: Decision = (None, {}),
) -> bool:
    """save() of an attempt that was only seen(), in a transaction of its own under reading(): one round trip.

    False, and nothing written: it is not as it was then, its job shall end, or the event is noted already.
    """
    done = await conn.fetchval(
        _AT_ONCE,
        *_changed(after),
        after.organisation_id,
        type(event).__name__,
        facts_of(event),
        event.at,
        now,
        before.version,
        before.state.value,
        before.backend,
        before.cancel_wanted,
        *decision,
        *fence_args(lease),
    )
    return bool(done)


_UPDATE = (
    "UPDATE scheduler.attempt SET state = $2::text::scheduler.attempt_state, backend_ref = $3, dispatched_at = $4, "
    "started_at = $5, ended_at = $6, exit_code = $7, reason = $8, not_before = $9, doubt = $10, doubt_since = $11, "
    "unknown_count = $12, version = $13, wait_reason = $14, wait_facts = $15, preempt_wanted_at = $16, "
    "preempt_for = $17::text::pricing.service_class, offering_id = coalesce($18, offering_id) WHERE id = $1"
)


_AT_ONCE = f"""
    WITH fenced AS MATERIALIZED ({fenced(30)}), held AS (
        SELECT a.id FROM fenced, scheduler.attempt a
        LEFT JOIN scheduler.cancellation c ON c.job_id = a.job_id
        WHERE a.id = $1 AND a.version = $24 AND a.state = $25::text::scheduler.attempt_state AND a.backend = $26
        AND ($27 OR c.job_id IS NULL) FOR UPDATE OF a
    ), noted AS (
        INSERT INTO scheduler.attempt_event
        (attempt_id, seq, organisation_id, kind, state, facts, effective_at, recorded_at)
        SELECT $1, $13, $19, $20, $2::text::scheduler.attempt_state, $21::jsonb, $22::timestamptz, $23::timestamptz
        FROM held ON CONFLICT (attempt_id, kind, effective_at) DO NOTHING RETURNING seq
    ), decided AS (
        INSERT INTO scheduler.decision (attempt_id, organisation_id, at, kind, facts)
        SELECT $1, $19, $23, $28::text, $29::jsonb FROM noted WHERE $28::text IS NOT NULL
    ), moved AS ({_UPDATE} AND EXISTS (SELECT FROM noted))
    SELECT (SELECT count(*) FROM noted) FROM fenced
"""  # noqa: S608  our own words


def _changed(after: Attempt) -> tuple[object, ...]:
    waits = after.not_before if after.state is State.QUEUED else None
    return (
        after.id,
        after.state.value,
        after.native_id,
        after.dispatched_at,
        after.started_at,
        after.ended_at,
        after.exit_code,
        after.reason,
        after.not_before,
        after.doubt,
        after.doubt_since,
        after.doubt_count,
        after.version,
        None if waits is None else Why.RETRY_LATER.value,
        {} if waits is None else {"until": waits.isoformat()},
        after.preempt_wanted_at,
        None if after.preempt_for is None else after.preempt_for.value,
        after.offering_id,
    )


async def set_aside(conn: Conn, attempt_id: UUID, *, until: datetime, why: Why, facts: Mapping[str, object]) -> None:
    """Keeps a waiting attempt out of the plan for a while. Its state does not change."""
    await conn.execute(
        "UPDATE scheduler.attempt SET not_before = $2, wait_reason = $3, wait_facts = $4 "
        "WHERE id = $1 AND state = 'QUEUED'",
        attempt_id,
        until,
        why.value,
        dict(facts),
    )


async def billing_facts(conn: Conn, attempt_id: UUID) -> Mapping[str, object]:
    """Whose attempt it is, and of which offering, as pricing.open_attempt wants it."""
    row = await conn.fetchrow(
        "SELECT j.organisation_id, j.project_id, j.person_id, a.offering_id FROM scheduler.attempt a "
        "JOIN scheduler.job j ON j.id = a.job_id WHERE a.id = $1",
        attempt_id,
    )
    if row is None:
        raise LookupError(f"there is no attempt {attempt_id}")
    return dict(row)


async def charge_fair_share(conn: Conn, attempt: Attempt, *, nu: float, at: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.fairshare_charge "
        "(attempt_id, organisation_id, nu, charged_at, project_id, person_id, backend) "
        "SELECT $1, $2, $3, $4, j.project_id, j.person_id, $5 FROM scheduler.job j WHERE j.id = $6 "
        "ON CONFLICT (attempt_id) DO NOTHING",
        attempt.id,
        attempt.organisation_id,
        nu,
        at,
        attempt.backend,
        attempt.job_id,
    )


async def keep_result(conn: Conn, attempt: Attempt, body: bytes, *, now: datetime) -> None:
    """Body empty: it was looked for, and the job left none."""
    await conn.execute(
        "INSERT INTO scheduler.attempt_result (attempt_id, organisation_id, body, recorded_at) "
        "VALUES ($1, $2, $3, $4) ON CONFLICT (attempt_id) DO NOTHING",
        attempt.id,
        attempt.organisation_id,
        body,
        now,
    )


def resources_of(row: Row) -> Resources:
    return Resources(gpus=row["gpus"], cpus=row["cpus"], memory_mb=row["memory_mb"], qpus=row["qpus"])


def _attempt(row: Row) -> Attempt:
    return Attempt(
        id=row["id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        backend=row["backend"],
        offering_id=row["offering_id"],
        phase=row["phase"],
        earlier=row["earlier"],
        next_phase=row["next_phase"],
        skippable=row["skippable"],
        beside=row["caller_id"] is not None,
        max_timeouts=row["max_timeouts"],
        timeouts=row["timeouts"],
        ordinal=row["ordinal"],
        kind=JobKind(row["kind"]),
        max_attempts=row["max_attempts"],
        walltime_s=row["walltime_s"],
        nu=row["nu"],
        queued_at=row["queued_at"],
        trail=tuple(row["trail"]),
        state=State(row["state"]),
        native_id=row["backend_ref"],
        dispatched_at=row["dispatched_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        reason=row["reason"],
        not_before=row["not_before"],
        doubt=None if row["doubt"] is None else Doubt(row["doubt"]),
        doubt_since=row["doubt_since"],
        doubt_count=row["unknown_count"],
        cancel_wanted=row["cancel_wanted"],
        preempt_wanted_at=row["preempt_wanted_at"],
        preempt_for=None if row["preempt_for"] is None else ServiceClass(row["preempt_for"]),
    )
