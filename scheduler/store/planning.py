"""What a cycle of planning reads, and the reasons that it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from pricing.model import ServiceClass
from scheduler.core.dependencies import READY, DependencyKind, Outlook, Prerequisite, outlook
from scheduler.core.fairshare import MICRO
from scheduler.core.model import State
from scheduler.core.quotas import Share
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Task, Wait, Waiting
from scheduler.store.attempts import resources_of
from scheduler.store.calls import CANCEL_WANTED
from scheduler.store.phases import HAS_INPUTS, LACKS_ITS_START

_FORGOTTEN_AFTER_HALF_LIVES = 20  # a millionth is left

Reason = tuple[str | None, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt with a backend and what it holds of its organisation's share."""

    holding: Holding
    micro_nu: int


@dataclass(frozen=True, slots=True)
class Live:
    """All that waits, with the reasons that the last plan left, and all that a backend has."""

    waiting: Sequence[Waiting]
    reasons: Mapping[UUID, Reason]
    held: Sequence[Held]


async def live(conn: Conn) -> Live:
    """At one instant. What the tasks of an array wait for is noted with the first of them (head)."""
    rows = await conn.fetch(
        "SELECT a.id, a.organisation_id, a.backend, a.not_before, a.wait_reason, a.wait_facts, a.gpus, a.cpus, "  # noqa: S608  our own words
        "a.memory_mb, a.qpus, a.walltime_s, a.nu, a.state = 'QUEUED' AS is_queued, a.backend_ref, a.started_at, "
        "a.dispatched_at, coalesce(a.started_at, a.dispatched_at) AS since, "
        "j.submitted_at, j.service_class, j.begin_at, "
        "j.array_id, j.array_index, r.max_running, coalesce(j.array_id, j.id) AS head, "
        "j.session_job_id IS NOT NULL OR "
        "EXISTS (SELECT FROM scheduler.dependency d WHERE d.job_id = coalesce(j.array_id, j.id)) AS depends, "
        f"CASE WHEN {LACKS_ITS_START} OR (f.staged_at IS NULL AND {HAS_INPUTS}) "
        "THEN coalesce(f.problem, '') END AS staging, "
        "a.caller_id, CASE WHEN a.caller_id IS NULL THEN u.backend END AS calls, "
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
        held=[Held(_holding(row), micro(row["nu"])) for row in rows if not row["is_queued"]],
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
    """Of every organisation with a share or a use.

    Its decayed use is core.fairshare.decayed() summed up where the rows are; a test compares the two.
    """
    rows = await conn.fetch(
        "SELECT organisation_id, s.weight, s.max_queued_jobs, s.max_running_jobs, coalesce(u.used, 0) AS used FROM ("
        "SELECT DISTINCT ON (organisation_id) organisation_id, weight, max_queued_jobs, max_running_jobs "
        "FROM scheduler.share WHERE effective_at <= $1::timestamptz ORDER BY organisation_id, effective_at DESC) s "
        "FULL JOIN (SELECT organisation_id, sum(nu * power(0.5::float8, "
        "greatest(0, extract(epoch FROM $1::timestamptz - charged_at)::float8) / $2::float8)) AS used "
        "FROM scheduler.fairshare_charge WHERE charged_at > $3 GROUP BY organisation_id) u USING (organisation_id)",
        at,
        half_life.total_seconds(),
        at - _FORGOTTEN_AFTER_HALF_LIVES * half_life,
    )
    return {row["organisation_id"]: Claim(_share(row), micro(row["used"])) for row in rows}


def _share(row: asyncpg.Record) -> Share | None:
    if row["weight"] is None:
        return None
    return Share(weight=row["weight"], max_queued_jobs=row["max_queued_jobs"], max_running_jobs=row["max_running_jobs"])


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


def micro(nu: float) -> int:
    return round(nu * MICRO)


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
    )
