"""Records of decisions: why an attempt was handed over when it was, or had to make room. The story shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from infra.db.connection import Conn
from scheduler.core.decided import Way
from scheduler.core.model import Attempt
from scheduler.core.snapshot import Preempt, Start
from scheduler.store.attempts import Decision

_INSERT = "INSERT INTO scheduler.decision (attempt_id, organisation_id, at, kind, facts) VALUES ($1, $2, $3, $4, $5)"


def of_start(start: Start, *, placed: Mapping[str, object] | None = None) -> Decision:
    """Written with its hand-over, in one statement: there is one exactly where there is the other.

    placed: why on this machine, of one that could run on several.
    """
    facts = {"rule": Way.SEAT.value if start.ahead else start.way, **start.facts}
    return "start", facts if placed is None else {**facts, "placed": dict(placed)}


async def preempted(conn: Conn, one: Preempt, attempt: Attempt, *, now: datetime) -> None:
    """In the transaction that notes that it is asked to make room."""
    await conn.execute(_INSERT, attempt.id, attempt.organisation_id, now, "preempt", dict(one.facts))
