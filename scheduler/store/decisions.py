"""Records of decisions: why an attempt was handed over when it was, or had to make room. The story shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from infra.db.connection import Conn
from scheduler.core.decided import Way
from scheduler.core.model import Attempt
from scheduler.core.snapshot import Preempt, Start

_INSERT = "INSERT INTO scheduler.decision (attempt_id, organisation_id, at, kind, facts) VALUES ($1, $2, $3, $4, $5)"


async def started(
    conn: Conn, start: Start, attempt: Attempt, *, placed: Mapping[str, object] | None = None, now: datetime
) -> None:
    """In the transaction that notes its hand-over: there is one exactly where there is the other.

    placed: why on this machine, of one that could run on several.
    """
    facts = {"rule": Way.SEAT.value if start.ahead else start.way, **start.facts}
    if placed is not None:
        facts["placed"] = dict(placed)
    await conn.execute(_INSERT, attempt.id, attempt.organisation_id, now, "start", facts)


async def preempted(conn: Conn, one: Preempt, attempt: Attempt, *, now: datetime) -> None:
    """In the transaction that notes that it is asked to make room."""
    await conn.execute(_INSERT, attempt.id, attempt.organisation_id, now, "preempt", dict(one.facts))
