"""What needs two persons: an operator's proposals, and another operator's decisions about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from portal.api.wire import DryRun, In, Items, Out, Word
from portal.auth.caller import Operator
from pricing import service as pricing
from pricing.approvals import Proposal, ProposalStatus

router = APIRouter(tags=["operator"], prefix="/proposals")


class DecisionOut(Out):
    """What the second person decided. `effect`: what was done; null where it was rejected."""

    approved: bool
    reason: str
    effect: dict[str, Any] | None
    decided_by: UUID
    decided_at: datetime


class ProposalOut(Out):
    """`effect`: what it would have done when it was proposed. It can be approved until `expires_at`, by another person.

    `dry_run`: nothing was kept; this is how it would be.
    """

    id: UUID
    kind: str
    status: ProposalStatus
    content: dict[str, Any]
    sha256: Annotated[str, Field(description="Of the content's canonical JSON: keys sorted, no spaces, UTF-8.")]
    effect: dict[str, Any]
    reason: str
    proposed_by: UUID
    proposed_at: datetime
    expires_at: datetime
    decision: DecisionOut | None
    dry_run: bool


class Approval(In):
    reason: Annotated[Word, Field(description="Optional; kept with the decision.", max_length=500)] = ""


class Rejection(In):
    reason: Annotated[Word, Field(description="Why not; kept with the decision and shown.", max_length=500)]


@router.get("")
async def list_proposals(
    caller: Operator,
    undecided: Annotated[bool, Query(description="Only those about which nobody has decided.")] = False,  # noqa: FBT002
) -> Items[ProposalOut]:
    """The latest 200, the newest first."""
    async with caller.transaction() as conn:
        found = await pricing.proposals(conn, undecided=undecided)
    return Items(items=[proposal_out(each, caller.now) for each in found])


@router.get("/{proposal_id}")
async def get_proposal(caller: Operator, proposal_id: UUID) -> ProposalOut:
    """One proposal, with what was decided about it."""
    async with caller.transaction() as conn:
        found = await pricing.proposal(conn, proposal_id)
    return proposal_out(found, caller.now)


@router.post("/{proposal_id}/approve")
async def approve_proposal(
    caller: Operator,
    proposal_id: UUID,
    given: Approval,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """Does what is proposed, at once. Its author cannot; whoever approves again what they approved changes nothing."""
    async with caller.transaction(dry_run=dry_run) as conn:
        found = await pricing.approve(
            conn, proposal_id, reason=given.reason, actor=caller.principal.person_id, now=caller.now
        )
    return proposal_out(found, caller.now, dry_run=dry_run)


@router.post("/{proposal_id}/reject")
async def reject_proposal(
    caller: Operator,
    proposal_id: UUID,
    given: Rejection,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """Nothing of it is ever done. Its author cannot decide about it, either way."""
    async with caller.transaction(dry_run=dry_run) as conn:
        found = await pricing.reject(
            conn, proposal_id, reason=given.reason, actor=caller.principal.person_id, now=caller.now
        )
    return proposal_out(found, caller.now, dry_run=dry_run)


def proposal_out(found: Proposal, now: datetime, *, dry_run: bool = False) -> ProposalOut:
    """A proposal on the wire."""
    decided = found.decision
    return ProposalOut(
        id=found.id,
        kind=found.kind,
        status=found.status(now),
        content=dict(found.content),
        sha256=found.sha256.hex(),
        effect=dict(found.effect),
        reason=found.reason,
        proposed_by=found.proposed_by,
        proposed_at=found.proposed_at,
        expires_at=found.expires_at,
        decision=None
        if decided is None
        else DecisionOut(
            approved=decided.approved,
            reason=decided.reason,
            effect=None if decided.effect is None else dict(decided.effect),
            decided_by=decided.decided_by,
            decided_at=decided.decided_at,
        ),
        dry_run=dry_run,
    )
