"""What a cycle of planning reads, and the reasons that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from scheduler.core.snapshot import Holding, Task, Wait, Waiting
from scheduler.store import tree
from scheduler.store.attempts import resources_of
from scheduler.store.calls import CANCEL_WANTED
from scheduler.store.phases import HAS_INPUTS, LACKS_ITS_START
from scheduler.store.tree import micro

Reason = tuple[str | None, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Live:
    """All that waits, with the reasons that the last plan left, and all that a backend has."""

    waiting: Sequence[Waiting]
    reasons: Mapping[UUID, Reason]
    held: Sequence[Holding]


async def live(conn: Conn) -> Live:
    """At one instant. What the tasks of an array wait for is noted with the first of them (head)."""
    rows = await conn.fetch(
        "SELECT a.id, a.organisation_id, a.backend, a.not_before, a.wait_reason, a.wait_facts, a.gpus, a.cpus, "  # noqa: S608  our own words
        "a.memory_mb, a.qpus, a.walltime_s, a.nu, a.state = 'QUEUED' AS is_queued, a.backend_ref, a.started_at, "
        "a.dispatched_at, coalesce(a.started_at, a.dispatched_at) AS since, "
        "j.submitted_at, j.service_class, j.begin_at, j.project_id, j.person_id, "
        "j.array_id, j.array_index, r.max_running, coalesce(j.array_id, j.id) AS head, "
        "j.session_job_id IS NOT NULL OR "
        "EXISTS (SELECT FROM scheduler.dependency d WHERE d.job_id = coalesce(j.array_id, j.id)) AS depends, "
        f"CASE WHEN {LACKS_ITS_START} OR (f.staged_at IS NULL AND {HAS_INPUTS}) "
        "THEN coalesce(f.problem, '') END AS staging, "
        "a.caller_id, CASE WHEN a.caller_id IS NULL THEN u.backend END AS calls, u.calls AS max_calls, "
        "u.shots AS call_shots, u.max_shots, u.idle_s, u.base_us, u.per_kshot_us, u.nu_per_hour, "
        f"{CANCEL_WANTED} AS cancel_wanted FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "LEFT JOIN scheduler.job_array r ON r.id = j.array_id "
        "LEFT JOIN scheduler.attempt_files f ON f.attempt_id = a.id "
        "LEFT JOIN scheduler.job_qpu u ON u.job_id = j.id "
        "LEFT JOIN scheduler.cancellation c ON c.job_id = a.job_id "
        "WHERE a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING')"
    )
    queued = [row for row in rows if row["is_queued"]]
    outlooks = await _outlooks(conn) if any(row["depends"] for row in queued) else {}
    return Live(
        waiting=[_waiting(row, outlooks.get(row["head"], READY)) for row in queued],
        reasons={row["id"]: (row["wait_reason"], row["wait_facts"]) for row in queued},
        held=[_holding(row) for row in rows if not row["is_queued"]],
    )


async def _outlooks(conn: Conn) -> dict[UUID, Outlook]:
    """Of everything that waits and was asked to wait for other jobs."""
    rows = await conn.fetch(
        "SELECT d.job_id AS head, d.kind, coalesce(o.number::text, o.id::text) AS job, n.state, n.started "
        "FROM (SELECT job_id, on_job_id, kind::text AS kind FROM scheduler.dependency UNION ALL "
        "SELECT coalesce(array_id, id), session_job_id, NULL FROM scheduler.job "
        "WHERE session_job_id IS NOT NULL AND (array_id IS NULL OR array_id = id)) d "
        "JOIN scheduler.job o ON o.id = d.on_job_id "
        "JOIN LATERAL (SELECT (array_agg(a.state ORDER BY a.ordinal DESC))[1] AS state, "
        "bool_or(a.started_at IS NOT NULL) AS started FROM scheduler.attempt a WHERE a.job_id = o.id) n ON true "
        "WHERE d.job_id IN (SELECT coalesce(j.array_id, j.id) FROM scheduler.attempt w "
        "JOIN scheduler.job j ON j.id = w.job_id WHERE w.state = 'QUEUED') ORDER BY d.job_id, o.number, o.id"
    )
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
    """One statement for all. What has left the queue meanwhile is not touched."""
    await conn.execute(
        "UPDATE scheduler.attempt a SET wait_reason = new.why, wait_facts = new.facts "
        "FROM unnest($1::uuid[], $2::text[], $3::jsonb[]) AS new (id, why, facts) "
        "WHERE a.id = new.id AND a.state = 'QUEUED'",
        [wait.attempt_id for wait in waits],
        [wait.why.value for wait in waits],
        [dict(wait.facts) for wait in waits],
    )


def _waiting(row: asyncpg.Record, of_others: Outlook) -> Waiting:
    facts = row["wait_facts"]
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
        project_id=row["project_id"],
        person_id=row["person_id"],
        calls_micro_nu=_calls_micro_nu(row),
    )


def _holding(row: asyncpg.Record) -> Holding:
    return Holding(
        attempt_id=row["id"],
        organisation_id=row["organisation_id"],
        backend=row["backend"],
        needs=resources_of(row),
        until=row["since"] + timedelta(seconds=row["walltime_s"]),
        accepted=row["backend_ref"] is not None,
        started=row["started_at"] is not None,
        sent_at=row["dispatched_at"],
        array_id=row["array_id"],
        is_call=row["caller_id"] is not None,
        project_id=row["project_id"],
        person_id=row["person_id"],
        micro_nu=micro(row["nu"]),
        calls=row["calls"],
        calls_micro_nu=_calls_micro_nu(row),
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
