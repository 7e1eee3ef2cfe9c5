"""Which attempts a backend may forget: nobody reads their folders any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn


async def among(
    conn: Conn, attempt_ids: Sequence[UUID], *, backend: str, before: datetime, keeps_files: bool
) -> list[UUID]:
    """Those of these that ended on the backend before then, in a job that is over, with all that they left fetched.

    keeps_files: the files of those that ran are fetched, too. One that we do not know is none of them.
    """
    rows = await conn.fetch(
        "SELECT a.id FROM scheduler.attempt a WHERE a.id = ANY($1) AND a.backend = $2 AND a.ended_at < $3 "
        "AND NOT EXISTS (SELECT FROM scheduler.attempt n WHERE n.job_id = a.job_id "
        "  AND (n.ended_at IS NULL OR n.ended_at >= $3)) "
        "AND (a.started_at IS NULL OR a.backend_ref IS NULL OR ("
        "  (a.state NOT IN ('SUCCEEDED', 'FAILED') "
        "    OR EXISTS (SELECT FROM scheduler.attempt_result r WHERE r.attempt_id = a.id)) "
        "  AND (NOT $4 OR EXISTS (SELECT FROM scheduler.attempt_files f "
        "    WHERE f.attempt_id = a.id AND f.collected_at IS NOT NULL)))) ",
        list(attempt_ids),
        backend,
        before,
        keeps_files,
    )
    found = {row["id"] for row in rows}
    return [each for each in attempt_ids if each in found]
