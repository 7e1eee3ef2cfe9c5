"""What was handed over lately, and what became of it: for the yardstick of a book that is opened. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from infra.db.connection import Conn
from scheduler.core.book.lived import Lived
from scheduler.store.attempts import resources_of

_COLUMNS = "a.seq, a.backend, a.gpus, a.cpus, a.memory_mb, a.qpus, a.walltime_s, j.submitted_at, a.dispatched_at"
_FROM = "FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id"
_AGES = "(j.service_class <> 'spot' OR a.caller_id IS NOT NULL) AND j.session_job_id IS NULL"
"""Spare work is never due, and what runs in a session holds nothing of its own."""
_QUERY = f"""
    (SELECT {_COLUMNS}, a.ended_at {_FROM}
     WHERE a.dispatched_at IS NOT NULL AND a.ended_at >= $1 AND {_AGES} ORDER BY a.ended_at DESC LIMIT $2)
    UNION ALL SELECT {_COLUMNS}, NULL {_FROM}
    WHERE a.state IN ('DISPATCHING', 'RUNNING', 'CANCELLING') AND a.dispatched_at IS NOT NULL AND {_AGES}
"""


async def lived(conn: Conn, *, since: datetime, limit: int) -> Sequence[Lived]:
    """What runs, and of what has ended since then the last so many."""
    return [
        Lived(
            seq=row["seq"],
            backend=row["backend"],
            needs=resources_of(row),
            walltime_s=row["walltime_s"],
            submitted_at=row["submitted_at"],
            sent_at=row["dispatched_at"],
            ended_at=row["ended_at"],
        )
        for row in await conn.fetch(_QUERY, since, limit)
    ]
