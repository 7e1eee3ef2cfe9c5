"""What a cycle of planning reads, and the reasons that it leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from pricing.model import ServiceClass
from scheduler.core.calls import Allowance, all_calls_nu
from scheduler.core.dependencies import READY, DependencyKind, Outlook, Prerequisite, outlook
from scheduler.core.model import State
from scheduler.core.quotas import Share
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Inside, Task, Wait, Waiting
from scheduler.store import tree
from scheduler.store.attempts import resources_of
from scheduler.store.calls import CANCEL_WANTED
from scheduler.store.phases import HAS_INPUTS, LACKS_ITS_START
from scheduler.store.tree import micro

Reason = tuple[str | None, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Gone:
    """An attempt that is over. micro_nu: what was charged to the fair share for it, at that instant; None: nothing."""

    seq: int
    micro_nu: int | None = None
    charged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """All that waits, with the reasons that the last plan left, and all that a backend has."""

    waiting: Sequence[Waiting]
    reasons: Mapping[UUID, Reason]
    held: Sequence[Holding]
    gone: Mapping[UUID, Gone] = field(default_factory=dict)
    """Of attempts that were asked for by name: those that are over. One that never was is nowhere."""


LIVE = "('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING')"
COLUMNS = f"""a.id, a.seq, a.organisation_id, a.backend, a.not_before, a.wait_reason, a.wait_facts, a.gpus, a.cpus,
    a.memory_mb, a.qpus, a.walltime_s, a.nu, a.state = 'QUEUED' AS is_queued, a.state IN {LIVE} AS is_live,
    a.backend_ref, a.started_at, a.dispatched_at, coalesce(a.started_at, a.dispatched_at) AS since,
    a.preempt_wanted_at, a.state = 'CANCELLING' AS is_cancelling,
    j.submitted_at, j.service_class, j.begin_at, j.project_id, j.person_id,
    j.array_id, j.array_index, r.max_running, coalesce(j.array_id, j.id) AS head,
    j.session_job_id IS NOT NULL OR
        EXISTS (SELECT FROM scheduler.dependency d WHERE d.job_id = coalesce(j.array_id, j.id)) AS depends,
    CASE WHEN {LACKS_ITS_START} OR (f.staged_at IS NULL AND {HAS_INPUTS})
        THEN coalesce(f.problem, '') END AS staging,
    a.caller_id, CASE WHEN a.caller_id IS NULL THEN u.backend END AS calls, u.calls AS max_calls,
    u.shots AS call_shots, u.max_shots, u.idle_s, u.base_us, u.per_kshot_us, u.nu_per_hour,
    {CANCEL_WANTED} AS cancel_wanted, v.id AS reservation_id, v.number AS reservation, v.since AS inside_since,
    v.until AS inside_until, b.shorten,
    EXISTS (SELECT FROM scheduler.reservation_cancelled x WHERE x.reservation_id = v.id) AS reservation_cancelled"""  # noqa: S608  our own words
CHARGE = "g.nu AS charged_nu, g.charged_at"
JOINS = """LEFT JOIN scheduler.job j ON j.id = a.job_id
    LEFT JOIN scheduler.job_array r ON r.id = j.array_id
    LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id
    LEFT JOIN scheduler.job_qpu u ON u.job_id = j.id
    LEFT JOIN scheduler.cancellation c ON c.job_id = a.job_id
    LEFT JOIN scheduler.reservation_job b ON b.job_id = a.job_id AND a.caller_id IS NULL
    LEFT JOIN scheduler.reservation v ON v.id = b.reservation_id"""
JOIN_CHARGE = "LEFT JOIN scheduler.fairshare_charge g ON g.attempt_id = a.id AND a.ended_at IS NOT NULL"
"""What is read of an attempt `a`, of all that live and of those that are named alike."""

ALL = f"SELECT {COLUMNS} FROM scheduler.attempt a {JOINS} WHERE a.state IN {LIVE}"  # noqa: S608  our own words
_NAMED = (
    f"SELECT {COLUMNS}, {CHARGE} FROM unnest($1::uuid[]) AS named (id) "  # noqa: S608  our own words
    f"JOIN scheduler.attempt a ON a.id = named.id {JOINS} {JOIN_CHARGE}"
)


async def live(conn: Conn, ids: Collection[UUID] | None = None) -> Live:
    """At one instant; of all, or of these attempts and what has become of those of them that are over.

    What the tasks of an array wait for is noted with the first of them (head).
    """
    return await told(conn, await (conn.fetch(ALL) if ids is None else conn.fetch(_NAMED, list(set(ids)))))


async def told(conn: Conn, rows: Sequence[asyncpg.Record]) -> Live:
    """Rows of COLUMNS. Only what waits for other jobs makes a second look necessary."""
    queued = [row for row in rows if row["is_queued"]]
    heads = {row["head"] for row in queued if row["depends"]}
    outlooks = await _outlooks(conn, heads) if heads else {}
    return Live(
        waiting=[_waiting(row, outlooks.get(row["head"], READY)) for row in queued],
        reasons={row["id"]: (row["wait_reason"], row["wait_facts"]) for row in queued},
        held=[_holding(row) for row in rows if row["is_live"] and not row["is_queued"]],
        gone={row["id"]: _gone(row) for row in rows if not row["is_live"]},
    )


OUTLOOKS = """
    SELECT d.job_id AS head, d.kind, coalesce(o.number::text, o.id::text) AS job, n.state, n.started
    FROM (SELECT job_id, on_job_id, kind::text AS kind FROM scheduler.dependency WHERE job_id = ANY($1) UNION ALL
        SELECT id, session_job_id, NULL FROM scheduler.job WHERE session_job_id IS NOT NULL AND id = ANY($1)) d
    JOIN scheduler.job o ON o.id = d.on_job_id
    JOIN LATERAL (SELECT (array_agg(a.state ORDER BY a.ordinal DESC))[1] AS state,
        bool_or(a.started_at IS NOT NULL) AS started FROM scheduler.attempt a WHERE a.job_id = o.id) n ON true
    ORDER BY d.job_id, o.number, o.id
"""


async def _outlooks(conn: Conn, heads: Collection[UUID]) -> dict[UUID, Outlook]:
    """Of jobs that were asked to wait for other jobs."""
    rows = await conn.fetch(OUTLOOKS, list(heads))
    conditions: dict[UUID, list[Prerequisite]] = {}
    for row in rows:
        kind = None if row["kind"] is None else DependencyKind(row["kind"])
        one = Prerequisite(kind, row["job"], State(row["state"]), row["started"])
        conditions.setdefault(row["head"], []).append(one)
    return {head: outlook(each) for head, each in conditions.items()}


@dataclass(frozen=True, slots=True)
class Claim:
    """What an organisation may have, and has had. share None: none was ever set."""

    share: Share | None = None
    used_micro_nu: int = 0


async def claims(conn: Conn, *, at: datetime, half_life: timedelta) -> dict[UUID, Claim]:
    """Of every organisation with a share or a use."""
    known = await tree.settings(conn, at=at)
    used = await tree.used_micro_nu(conn, at=at, half_life=half_life)
    organisations = sorted({branch[0] for branch in (*known.weights, *used) if len(branch) == 1 and branch[0]})
    return {each: Claim(share_of(known, each), used.get((each,), 0)) for each in organisations}


def share_of(known: tree.Settings, organisation_id: UUID) -> Share | None:
    """None: none was ever set."""
    weight, limits = known.weights.get((organisation_id,)), known.limits.get(((organisation_id,), None))
    if weight is None or limits is None:
        return None
    queued, running = limits.max_queued_jobs, limits.max_running_jobs
    assert queued is not None  # an organisation's jobs are always limited
    assert running is not None
    return Share(weight=weight, max_queued_jobs=queued, max_running_jobs=running)


async def write_reasons(conn: Conn, waits: Sequence[Wait]) -> None:
    """One statement for all. What has left the queue meanwhile is not touched, nor what says so already."""
    await conn.execute(
        "UPDATE scheduler.attempt a SET wait_reason = new.why, wait_facts = new.facts "
        "FROM unnest($1::uuid[], $2::text[], $3::jsonb[]) AS new (id, why, facts) "
        "WHERE a.id = new.id AND a.state = 'QUEUED' "
        "AND (a.wait_reason, a.wait_facts) IS DISTINCT FROM (new.why, new.facts)",
        [wait.attempt_id for wait in waits],
        [wait.why.value for wait in waits],
        [dict(wait.facts) for wait in waits],
    )


def _waiting(row: asyncpg.Record, of_others: Outlook) -> Waiting:
    facts = row["wait_facts"] if row["not_before"] is not None else {}  # only while it is set aside
    parked = facts.get("problem") if row["wait_reason"] == Why.PARKED else None
    refused = facts.get("code") if row["wait_reason"] == Why.NOT_ELIGIBLE else None
    return Waiting(
        attempt_id=row["id"],
        organisation_id=row["organisation_id"],
        backend=row["backend"],
        needs=resources_of(row),
        walltime_s=row["walltime_s"],
        micro_nu=micro(row["nu"]),
        submitted_at=row["submitted_at"],
        service_class=ServiceClass(row["service_class"]),
        begin_at=row["begin_at"],
        outlook=of_others,
        task=None if row["array_id"] is None else Task(row["array_id"], row["array_index"], row["max_running"]),
        not_before=row["not_before"],
        refused=refused,
        cancel_wanted=row["cancel_wanted"],
        staging=row["staging"],
        parked=parked,
        calls=row["calls"],
        is_call=row["caller_id"] is not None,
        inside=_inside(row),
        project_id=row["project_id"],
        person_id=row["person_id"],
        calls_micro_nu=_calls_micro_nu(row),
        seq=row["seq"],
    )


def _holding(row: asyncpg.Record) -> Holding:
    until = row["since"] + timedelta(seconds=row["walltime_s"])
    return Holding(
        attempt_id=row["id"],
        organisation_id=row["organisation_id"],
        backend=row["backend"],
        needs=resources_of(row),
        until=until if row["inside_until"] is None else min(until, row["inside_until"]),
        accepted=row["backend_ref"] is not None,
        started=row["started_at"] is not None,
        sent_at=row["dispatched_at"],
        array_id=row["array_id"],
        is_call=row["caller_id"] is not None,
        reservation_id=row["reservation_id"],
        project_id=row["project_id"],
        person_id=row["person_id"],
        micro_nu=micro(row["nu"]),
        calls=row["calls"],
        calls_micro_nu=_calls_micro_nu(row),
        seq=row["seq"],
        service_class=ServiceClass(row["service_class"]),
        started_at=row["started_at"],
        leaving=row["is_cancelling"] or row["preempt_wanted_at"] is not None,
        asked_to_leave_at=row["preempt_wanted_at"],
    )


def _gone(row: asyncpg.Record) -> Gone:
    charged = row["charged_nu"]
    return Gone(row["seq"]) if charged is None else Gone(row["seq"], micro(charged), row["charged_at"])


def _inside(row: asyncpg.Record) -> Inside | None:
    """What a job calls while it runs is not in its reservation."""
    if row["reservation_id"] is None:
        return None
    return Inside(
        reservation_id=row["reservation_id"],
        name=f"R{row['reservation']}",
        since=row["inside_since"],
        until=row["inside_until"],
        shorten=row["shorten"],
        is_cancelled=row["reservation_cancelled"],
    )


def _calls_micro_nu(row: asyncpg.Record) -> int:
    """What all calls of a job may use at most; of any other job nothing."""
    if row["calls"] is None:
        return 0
    allowed = Allowance(
        calls=row["max_calls"],
        shots=row["call_shots"],
        max_shots=row["max_shots"],
        idle_s=row["idle_s"],
        base_us=row["base_us"],
        per_kshot_us=row["per_kshot_us"],
        nu_per_hour=row["nu_per_hour"],
    )
    return micro(all_calls_nu(allowed))
