"""Proposals and what was decided about them, in the database."""

from __future__ import annotations

from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.approvals import Decision, Proposal

_ADVISORY_CLASS = 7711004
_PROPOSAL = """SELECT p.id, p.kind, p.content, p.effect, p.reason, p.proposed_by, p.proposed_at, p.expires_at,
    d.approved, d.reason AS decision_reason, d.effect AS decision_effect, d.decided_by, d.decided_at
    FROM pricing.proposal p LEFT JOIN pricing.proposal_decision d ON d.proposal_id = p.id"""


async def proposal(conn: Conn, proposal_id: UUID) -> Proposal | None:
    row = await conn.fetchrow(f"{_PROPOSAL} WHERE p.id = $1", proposal_id)
    return _proposal(row) if row else None


async def proposals(conn: Conn, *, undecided: bool, limit: int) -> list[Proposal]:
    """The latest, newest first."""
    rows = await conn.fetch(
        f"{_PROPOSAL} WHERE d.proposal_id IS NULL OR NOT $1 ORDER BY p.proposed_at DESC, p.id LIMIT $2",
        undecided,
        limit,
    )
    return [_proposal(row) for row in rows]


async def add_proposal(conn: Conn, new: Proposal) -> bool:
    """False when the id is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.proposal
               (id, kind, content, sha256, effect, reason, proposed_by, proposed_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING""",
        new.id,
        new.kind,
        dict(new.content),
        new.sha256,
        dict(new.effect),
        new.reason,
        new.proposed_by,
        new.proposed_at,
        new.expires_at,
    )
    return status == "INSERT 0 1"


async def lock_proposal(conn: Conn, proposal_id: UUID) -> None:
    """Whoever decides about it next waits for the end of this transaction. (Its row cannot be locked: append-only.)"""
    await conn.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _ADVISORY_CLASS, str(proposal_id))


async def add_decision(conn: Conn, proposal_id: UUID, new: Decision) -> None:
    await conn.execute(
        """INSERT INTO pricing.proposal_decision (proposal_id, approved, reason, effect, decided_by, decided_at)
           VALUES ($1, $2, $3, $4, $5, $6)""",
        proposal_id,
        new.approved,
        new.reason,
        None if new.effect is None else dict(new.effect),
        new.decided_by,
        new.decided_at,
    )


def _proposal(row: Record) -> Proposal:
    decision = None
    if row["approved"] is not None:
        decision = Decision(
            approved=row["approved"],
            reason=row["decision_reason"],
            effect=row["decision_effect"],
            decided_by=row["decided_by"],
            decided_at=row["decided_at"],
        )
    return Proposal(
        id=row["id"],
        kind=row["kind"],
        content=row["content"],
        effect=row["effect"],
        reason=row["reason"],
        proposed_by=row["proposed_by"],
        proposed_at=row["proposed_at"],
        expires_at=row["expires_at"],
        decision=decision,
    )
