"""Proposals: made by one operator, done when another one approves. What can be proposed registers itself here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from accounts.service import append_audit
from infra.db.connection import Conn, rehearsal
from pricing.approvals import LIFETIME, Content, Decision, Proposal, is_repeated, require_decidable, sha256_of
from pricing.errors import ProposalExists, ProposalReasonWrong, UnknownProposal
from pricing.store import approvals as store

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an executor is asked to do. approved_by: in a rehearsal for the proposal, who proposes."""

    proposal_id: UUID
    content: Content
    reason: str
    proposed_by: UUID
    approved_by: UUID
    now: datetime


Executor: TypeAlias = Callable[[Conn, Order], Awaitable[Content]]
"""Does what the content says, in the caller's transaction, and tells what it did, as JSON (no floats).

It raises a named refusal for everything that cannot be done. It runs twice, in the rehearsal of the proposal (which is
taken back) and at the approval; so it takes ids from the content or from proposal_id, never new ones.
"""

_executors: dict[str, Executor] = {}


def executes(kind: str) -> Callable[[Executor], Executor]:
    """Registers the function below as what is done when a proposal of this kind ('noun.verb') is approved."""

    def register(executor: Executor) -> Executor:
        assert kind not in _executors, kind
        _executors[kind] = executor
        return executor

    return register


async def propose(
    conn: Conn, *, proposal_id: UUID, kind: str, content: Content, reason: str, actor: UUID, now: datetime
) -> Proposal:
    """A proposal that waits for a second person. It is rehearsed first, so what cannot be done is refused at once.

    The same again (by its author) is nothing. ProposalReasonWrong, ProposalExists: the id is another's;
    and every refusal of its executor.
    """
    before = await store.proposal(conn, proposal_id)
    if before is not None:
        if (before.kind, before.sha256, before.proposed_by) != (kind, sha256_of(content), actor):
            raise ProposalExists(proposal=str(proposal_id))
        return before
    new = Proposal(
        id=proposal_id,
        kind=kind,
        content=content,
        effect={},
        reason=_reason(reason, shortest=1),
        proposed_by=actor,
        proposed_at=now,
        expires_at=now + LIFETIME,
    )
    async with rehearsal(conn):
        if not await store.add_proposal(conn, new):  # its twin came at the same moment
            raise ProposalExists(proposal=str(proposal_id))
        effect = await _executors[kind](conn, _order(new, actor, now))
    new = replace(new, effect=effect)
    if not await store.add_proposal(conn, new):
        raise ProposalExists(proposal=str(proposal_id))
    await _trace(conn, "proposal.make", new, reason=new.reason, actor=actor, now=now)
    return new


async def approve(conn: Conn, proposal_id: UUID, *, reason: str = "", actor: UUID, now: datetime) -> Proposal:
    """Does what is proposed, in this transaction. The same again by the same person is nothing.

    UnknownProposal, ProposalDecided, OwnProposal, ProposalExpired, ProposalReasonWrong; every refusal of its executor:
    then it stays open.
    """
    return await _decide(conn, proposal_id, approved=True, reason=reason, actor=actor, now=now)


async def reject(conn: Conn, proposal_id: UUID, *, reason: str, actor: UUID, now: datetime) -> Proposal:
    """Nothing is done, for good. UnknownProposal, ProposalDecided, OwnProposal, ProposalReasonWrong."""
    return await _decide(conn, proposal_id, approved=False, reason=reason, actor=actor, now=now)


async def proposal(conn: Conn, proposal_id: UUID) -> Proposal:
    """One proposal, with what was decided about it. UnknownProposal."""
    found = await store.proposal(conn, proposal_id)
    if found is None:
        raise UnknownProposal(proposal=str(proposal_id))
    return found


async def proposals(conn: Conn, *, undecided: bool = False, limit: int = 200) -> list[Proposal]:
    """The latest proposals, newest first. undecided: only those about which nobody decided (lapsed ones, too)."""
    return await store.proposals(conn, undecided=undecided, limit=limit)


async def _decide(
    conn: Conn, proposal_id: UUID, *, approved: bool, reason: str, actor: UUID, now: datetime
) -> Proposal:
    await store.lock_proposal(conn, proposal_id)
    asked = await proposal(conn, proposal_id)
    if is_repeated(asked, approved=approved, by=actor):
        return asked
    require_decidable(asked, approved=approved, by=actor, now=now)
    effect = await _executors[asked.kind](conn, _order(asked, actor, now)) if approved else None
    decision = Decision(
        approved=approved,
        reason=_reason(reason, shortest=0 if approved else 1),
        effect=effect,
        decided_by=actor,
        decided_at=now,
    )
    await store.add_decision(conn, proposal_id, decision)
    action = "proposal.approve" if approved else "proposal.reject"
    await _trace(conn, action, asked, reason=decision.reason, actor=actor, now=now)
    return replace(asked, decision=decision)


def _order(asked: Proposal, approved_by: UUID, now: datetime) -> Order:
    return Order(
        proposal_id=asked.id,
        content=asked.content,
        reason=asked.reason,
        proposed_by=asked.proposed_by,
        approved_by=approved_by,
        now=now,
    )


def _reason(text: str, *, shortest: int) -> str:
    told = text.strip()
    if not shortest <= len(told) <= _LONGEST_REASON:
        raise ProposalReasonWrong(limit=_LONGEST_REASON)
    return told


async def _trace(conn: Conn, action: str, of: Proposal, *, reason: str, actor: UUID, now: datetime) -> None:
    facts = {"kind": of.kind, "sha256": of.sha256.hex(), "reason": reason}
    await append_audit(
        conn, actor=actor, organisation_id=None, action=action, subject=f"proposal:{of.id}", facts=facts, now=now
    )
