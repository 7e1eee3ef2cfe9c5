"""What of a branch is with backends, and until when at the latest: which of one's own jobs gives back enough."""

from __future__ import annotations

from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.remedies import OwnRun

_MOST = 1_000


async def own_runs(
    conn: Conn, *, organisation_id: UUID, project_id: UUID | None, person_id: UUID | None, backend: str | None
) -> list[OwnRun]:
    """Of an organisation, one project or one user in it, there or (None) anywhere; those that end first."""
    rows = await conn.fetch(
        "SELECT coalesce(j.number::text, j.id::text) AS job, a.gpus, "
        "coalesce(a.started_at, a.dispatched_at) + a.walltime_s * interval '1 second' AS until "
        "FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "WHERE a.state IN ('DISPATCHING', 'RUNNING', 'CANCELLING') AND a.caller_id IS NULL "
        "AND a.organisation_id = $1 AND ($2::uuid IS NULL OR j.project_id = $2) "
        "AND ($3::uuid IS NULL OR j.person_id = $3) AND ($4::text IS NULL OR a.backend = $4) "
        "ORDER BY until, a.seq LIMIT $5",
        organisation_id,
        project_id,
        person_id,
        backend,
        _MOST,
    )
    return [OwnRun(job=row["job"], gpus=row["gpus"], until=row["until"]) for row in rows]
