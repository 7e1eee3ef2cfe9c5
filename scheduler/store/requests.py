"""What a backend is told of an attempt, as it was asked for at submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from hpc_adapters.contract import ArrayTask, Circuit, JobRequest, Placement, Script, SessionHold, Signal, Torchrun
from infra.db.ahead import Look, Row, row_of
from infra.db.connection import Conn
from scheduler.core.model import Attempt, JobKind
from scheduler.reservations.model import number_of
from scheduler.store.attempts import resources_of
from scheduler.store.phases import HAS_INPUTS

_REQUEST = f"""
    SELECT j.person_id, j.number, j.service_class::text, j.array_index, a.gpus, a.cpus, a.memory_mb, a.qpus,
           a.walltime_s, a.max_qpu_us, a.flexible, j.data_location, j.session_idle_s, j.session_dedicated,
           j.session_job_id,
           (SELECT e.id FROM scheduler.attempt e WHERE e.job_id = j.session_job_id ORDER BY e.ordinal DESC LIMIT 1)
               AS session, coalesce(s.shots, a.shots) AS shots, a.phase_ordinal IS NOT NULL AS is_phase,
           CASE WHEN a.caller_id IS NULL THEN coalesce(f.options, h.options) ELSE '{{}}' END AS asked,
           coalesce(k.body, s.body, f.body, p.body) AS body,
           a.caller_id IS NULL AND EXISTS (SELECT FROM scheduler.job_qpu u WHERE u.job_id = j.id) AS has_calls,
           r.number AS array_number, r.first_index, r.last_index, r.step, r.tasks, {HAS_INPUTS} AS has_inputs
    FROM scheduler.attempt a
    JOIN scheduler.job j ON j.id = a.job_id
    JOIN scheduler.job h ON h.id = coalesce(j.array_id, j.id)
    LEFT JOIN scheduler.job_payload p ON p.job_id = h.id
    LEFT JOIN scheduler.job_phase f ON f.job_id = a.job_id AND f.name = a.phase
    LEFT JOIN scheduler.phase_start s ON s.job_id = a.job_id AND s.phase = a.phase
    LEFT JOIN scheduler.qpu_call k ON k.attempt_id = a.id
    LEFT JOIN scheduler.job_array r ON r.id = j.array_id
    WHERE a.id = $1
"""  # noqa: S608  our own words


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, but for what is only looked up when it is handed over: as whom it runs, and its secrets."""

    request: JobRequest
    person_id: UUID
    secrets: Sequence[str]
    data_location: str | None = None
    is_flexible: bool = False
    """Its job may run on one of several offerings."""


def request_look(attempt_id: UUID) -> Look:
    """What request_of() asks."""
    return Look(_REQUEST, (attempt_id,))


async def request_of(conn: Conn, attempt: Attempt) -> Asked:
    """Of an attempt that is about to be handed over. The tasks of an array share what is kept with the first."""
    row = await row_of(conn, request_look(attempt.id))
    if row is None or row["body"] is None:
        raise LookupError(f"job {attempt.job_id} has no payload")
    request = JobRequest(
        attempt_id=attempt.id,
        tenant=str(attempt.organisation_id),
        resources=resources_of(row),
        walltime_s=row["walltime_s"],
        payload=_payload(row, attempt.kind),
        job_id=uuid5(attempt.job_id, attempt.phase) if row["is_phase"] else attempt.job_id,  # for its checkpoints
        ordinal=attempt.tries,
        number=row["number"],
        service_class=row["service_class"],
        placement=placement_of(row["asked"].get("placement", {})),
        array=_array(row),
        has_inputs=row["has_inputs"],
        has_calls=row["has_calls"],
        session=row["session"],
    )
    return Asked(
        request,
        row["person_id"],
        tuple(row["asked"].get("secrets", ())),
        data_location=row["data_location"],
        is_flexible=row["flexible"],
    )


def _payload(row: Row, kind: JobKind) -> Script | Circuit | SessionHold:
    if row["session_idle_s"] is not None:
        return SessionHold(idle_s=row["session_idle_s"], dedicated=row["session_dedicated"])
    if kind is JobKind.QUANTUM:
        return Circuit(program=row["body"], shots=row["shots"], max_qpu_us=row["max_qpu_us"])
    asked = row["asked"]
    launch = asked.get("launch")
    return Script(
        body=row["body"],
        arguments=tuple(asked["arguments"]),
        environment=dict(asked["environment"]),
        launch=None if launch is None else Torchrun(**launch),
    )


def placement_of(told: Mapping[str, Any]) -> Placement:
    """As it was stored: only what differs from the usual. A reservation of ours is nothing that the machine knows."""
    signal = told.get("signal")
    if number_of(told.get("reservation")) is not None:
        told = {**told, "reservation": None}
    return Placement(**{**told, "signal": None if signal is None else Signal(**signal)})


def _array(row: Row) -> ArrayTask | None:
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
