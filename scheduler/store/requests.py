"""What a backend is told of an attempt, as it was asked for at submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hpc_adapters.contract import ArrayTask, Circuit, JobRequest, Placement, Script, Signal, Torchrun
from infra.db.connection import Conn
from scheduler.core.model import Attempt, JobKind
from scheduler.store.attempts import resources_of

_REQUEST = """
    SELECT j.*, h.options AS asked, p.body, r.number AS array_number, r.first_index, r.last_index, r.step, r.tasks,
           EXISTS (SELECT FROM scheduler.job_input i WHERE i.job_id = h.id) AS has_inputs
    FROM scheduler.job j
    JOIN scheduler.job h ON h.id = coalesce(j.array_id, j.id)
    JOIN scheduler.job_payload p ON p.job_id = h.id
    LEFT JOIN scheduler.job_array r ON r.id = j.array_id
    WHERE j.id = $1
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, but for what is only looked up when it is handed over: as whom it runs, and its secrets."""

    request: JobRequest
    person_id: UUID
    secrets: Sequence[str]


async def request_of(conn: Conn, attempt: Attempt) -> Asked:
    """Of an attempt that is about to be handed over. The tasks of an array share what is kept with the first."""
    row = await conn.fetchrow(_REQUEST, attempt.job_id)
    if row is None:
        raise LookupError(f"job {attempt.job_id} has no payload")
    request = JobRequest(
        attempt_id=attempt.id,
        tenant=str(attempt.organisation_id),
        resources=resources_of(row),
        walltime_s=row["walltime_s"],
        payload=_payload(row, attempt.kind),
        job_id=attempt.job_id,
        ordinal=attempt.ordinal,
        number=row["number"],
        service_class=row["service_class"],
        placement=placement_of(row["asked"].get("placement", {})),
        array=_array(row),
        has_inputs=row["has_inputs"],
    )
    return Asked(request, row["person_id"], tuple(row["asked"].get("secrets", ())))


def _payload(row: asyncpg.Record, kind: JobKind) -> Script | Circuit:
    if kind is JobKind.QUANTUM:
        return Circuit(program=row["body"], shots=row["shots"])
    asked = row["asked"]
    launch = asked.get("launch")
    return Script(
        body=row["body"],
        arguments=tuple(asked["arguments"]),
        environment=dict(asked["environment"]),
        launch=None if launch is None else Torchrun(**launch),
    )


def placement_of(told: Mapping[str, Any]) -> Placement:
    """As it was stored: only what differs from the usual."""
    signal = told.get("signal")
    return Placement(**{**told, "signal": None if signal is None else Signal(**signal)})


def _array(row: asyncpg.Record) -> ArrayTask | None:
    if row["array_number"] is None:
        return None
    return ArrayTask(
        number=row["array_number"],
        index=row["array_index"],
        first=row["first_index"],
        last=row["last_index"],
        step=row["step"],
        count=row["tasks"],
    )
