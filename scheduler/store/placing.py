"""Candidates of jobs, rules of data, and what waits and may be placed anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hpc_adapters.contract import Resources
from infra.db.ahead import Look, rows_of
from infra.db.connection import Conn
from scheduler.core.placement import Choice, Option, chosen
from scheduler.store.phases import HAS_INPUTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A job on one of its offerings: what it asks for there, and what it costs at most."""

    offering_id: str
    backend: str
    needs: Resources
    nu: float
    ceiling_micro_yen: int
    max_qpu_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexible:
    """An attempt that waits and was never handed over. code: of the refusal for which it is set aside, if it is."""

    attempt_id: UUID
    job_id: UUID
    organisation_id: UUID
    person_id: UUID
    seq: int
    offering_id: str
    nodes: int
    data_location: str | None
    code: str | None
    candidates: Sequence[Candidate]


async def insert(conn: Conn, job_id: UUID, organisation_id: UUID, candidates: Sequence[Candidate]) -> None:
    """Of a job, or of the first task of an array for all of them; before its attempts."""
    await conn.executemany(
        "INSERT INTO scheduler.job_candidate (job_id, organisation_id, offering_id, backend, gpus, cpus, memory_mb, "
        "qpus, max_qpu_us, nu, ceiling_micro_yen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            (
                job_id,
                organisation_id,
                each.offering_id,
                each.backend,
                each.needs.gpus,
                each.needs.cpus,
                each.needs.memory_mb,
                each.needs.qpus,
                each.max_qpu_us,
                each.nu,
                each.ceiling_micro_yen,
            )
            for each in candidates
        ],
    )


async def candidates_of(conn: Conn, job_id: UUID) -> Sequence[Candidate]:
    """The cheapest first; none: it runs on its own offering."""
    rows = await conn.fetch(
        "SELECT c.* FROM scheduler.job j JOIN scheduler.job_candidate c ON c.job_id = coalesce(j.array_id, j.id) "
        "WHERE j.id = $1 ORDER BY c.ceiling_micro_yen, c.offering_id",
        job_id,
    )
    return [_candidate(row) for row in rows]


def first_choice(candidates: Sequence[Candidate]) -> Choice | None:
    """Where a job waits at first: nothing is known of what is free then. None: there is none."""
    return chosen(
        Option(offering_id=each.offering_id, backend=each.backend, ceiling_micro_yen=each.ceiling_micro_yen)
        for each in candidates
    )


_FLEXIBLE = f"""
    SELECT a.id, a.job_id, a.organisation_id, j.person_id, a.seq, a.offering_id, j.nodes, j.data_location,
           CASE WHEN a.wait_reason = 'NOT_ELIGIBLE' AND a.not_before IS NOT NULL THEN a.wait_facts ->> 'code' END
               AS code,
           (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.ceiling_micro_yen, c.offering_id) FROM scheduler.job_candidate c
             WHERE c.job_id = coalesce(j.array_id, j.id)) AS candidates
    FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id
    WHERE a.flexible AND a.state = 'QUEUED' AND a.dispatched_at IS NULL AND a.organisation_id <> ALL($1)
      AND (a.wait_reason IS NULL OR a.wait_reason NOT IN ('DEPENDENCY', 'ARRAY_THROTTLE'))
      AND (a.not_before IS NULL OR a.not_before <= $2 OR a.wait_reason = 'NOT_ELIGIBLE')
      AND (j.begin_at IS NULL OR j.begin_at <= $2)
      AND NOT EXISTS (SELECT FROM scheduler.cancellation k WHERE k.job_id = j.id) AND NOT {HAS_INPUTS}
    ORDER BY a.seq LIMIT $3
"""  # noqa: S608  our own words
"""Of all but these organisations. What waits for other jobs is known by the last plan."""


async def waiting(conn: Conn, *, now: datetime, most: int, of_one: int) -> Sequence[Flexible]:
    """The oldest of what may be placed anew now, so many of one organisation before all others have had theirs.

    What begins later, backs off, waits for other jobs or is cancelled cannot move; nor can what has files.
    """
    found: dict[UUID, asyncpg.Record] = {}
    beyond: dict[UUID, asyncpg.Record] = {}
    count, full = Counter[UUID](), set[UUID]()
    while True:
        rows = await conn.fetch(_FLEXIBLE, list(full), now, most)
        for row in (row for row in rows if row["id"] not in found):
            its = found if count[row["organisation_id"]] < of_one else beyond
            its[row["id"]] = row
            count[row["organisation_id"]] += 1
        before, full = full, {each for each, its in count.items() if its >= of_one}
        if len(rows) < most or len(found) >= most or full == before:
            break
    return [_flexible(row) for row in [*found.values(), *beyond.values()][:most]]


async def last_move(conn: Conn, attempt_id: UUID) -> Mapping[str, Any] | None:
    """The facts with which it was placed anew the last time; None: it waits where it came."""
    found: Mapping[str, Any] | None = await conn.fetchval(
        "SELECT facts FROM scheduler.attempt_event WHERE attempt_id = $1 AND kind = 'Placed' ORDER BY seq DESC LIMIT 1",
        attempt_id,
    )
    return found


# -- where data must stay ----------------------------------------------------------------------------------------------


def data_location_look(organisation_id: UUID, project: str) -> Look:
    """What data_location() asks."""
    return Look(
        "SELECT max(location) AS location FROM ("
        "SELECT DISTINCT ON (r.project_id) r.location FROM scheduler.data_rule r "
        "LEFT JOIN accounts.project p ON p.id = r.project_id "
        "WHERE r.organisation_id = $1 AND (r.project_id IS NULL OR p.slug = $2) "
        "ORDER BY r.project_id, r.id DESC) newest",
        (organisation_id, project),
    )


async def data_location(conn: Conn, organisation_id: UUID, project: str) -> str | None:
    """By the rules of an organisation and of one of its projects, by its slug: the stricter one."""
    rows = await rows_of(conn, data_location_look(organisation_id, project))
    found: str | None = rows[0]["location"]
    return found


async def rules(conn: Conn, organisation_id: UUID) -> Mapping[str | None, str | None]:
    """The rule of the organisation (None) and of each of its projects, by slug, that ever had one."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (r.project_id) p.slug, r.location FROM scheduler.data_rule r "
        "LEFT JOIN accounts.project p ON p.id = r.project_id WHERE r.organisation_id = $1 "
        "ORDER BY r.project_id, r.id DESC",
        organisation_id,
    )
    return {row["slug"]: row["location"] for row in rows}


async def set_rule(
    conn: Conn, organisation_id: UUID, project: str | None, location: str | None, *, set_by: UUID, now: datetime
) -> bool:
    """False: there is no such project."""
    done = await conn.execute(
        "INSERT INTO scheduler.data_rule (organisation_id, project_id, location, set_by, recorded_at) "
        "SELECT $1, p.id, $3, $4, $5 FROM (VALUES (1)) one LEFT JOIN accounts.project p "
        "ON p.organisation_id = $1 AND p.slug = $2 WHERE $2::text IS NULL OR p.id IS NOT NULL",
        organisation_id,
        project,
        location,
        set_by,
        now,
    )
    return str(done) == "INSERT 0 1"


async def told_domestic(conn: Conn, backends: Collection[str]) -> Mapping[str, bool]:
    """Of those of these that are quantum devices, as they last told of themselves."""
    rows = await conn.fetch("SELECT backend, domestic FROM scheduler.device WHERE backend = ANY($1)", list(backends))
    return {row["backend"]: row["domestic"] for row in rows}


def _flexible(row: asyncpg.Record) -> Flexible:
    return Flexible(
        attempt_id=row["id"],
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        seq=row["seq"],
        offering_id=row["offering_id"],
        nodes=row["nodes"],
        data_location=row["data_location"],
        code=row["code"],
        candidates=[_candidate(each) for each in row["candidates"]],
    )


def _candidate(row: asyncpg.Record | Mapping[str, Any]) -> Candidate:
    return Candidate(
        offering_id=row["offering_id"],
        backend=row["backend"],
        needs=Resources(gpus=row["gpus"], cpus=row["cpus"], memory_mb=row["memory_mb"], qpus=row["qpus"]),
        nu=row["nu"],
        ceiling_micro_yen=row["ceiling_micro_yen"],
        max_qpu_us=row["max_qpu_us"],
    )
