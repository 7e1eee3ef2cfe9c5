"""Grants that two persons give: one proposes, another approves, and only then is there value."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing.approvals import Content, Proposal
from pricing.errors import AmountNotPositive, GrantExpired
from pricing.model import GrantPurpose
from pricing.service.approvals import Order, executes, propose
from pricing.service.outlook import may_issue
from pricing.service.wallets import balance, issue_grant
from pricing.store import wallets as store
from pricing.units import yen_text

GRANT = "grant.issue"
"""The kind of a proposal to give a grant."""


async def propose_grant(
    conn: Conn,
    *,
    grant_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    expires_at: datetime,
    purpose: GrantPurpose,
    reason: str,
    actor: UUID,
    now: datetime,
) -> Proposal:
    """A grant that comes into force when a second person approves. The refusals of `propose` and of the grant:

    AmountNotPositive, GrantExpired, NoWallet, MoreThanDeliverable.
    """
    if amount_micro_yen <= 0:
        raise AmountNotPositive(amount_yen=yen_text(amount_micro_yen))
    if expires_at <= now:
        raise GrantExpired(expires_at=expires_at.isoformat())
    content = {
        "organisation_id": str(organisation_id),
        "amount_yen": yen_text(amount_micro_yen),
        "amount_micro_yen": amount_micro_yen,
        "expires_at": expires_at.isoformat(),
        "purpose": purpose.value,
    }
    return await propose(conn, proposal_id=grant_id, kind=GRANT, content=content, reason=reason, actor=actor, now=now)


@executes(GRANT)
async def _give(conn: Conn, order: Order) -> Content:
    """The grant's id is its proposal's. What lies in all wallets must stay deliverable."""
    organisation_id = UUID(order.content["organisation_id"])
    amount = int(order.content["amount_micro_yen"])
    await store.lock_issuance(conn)  # two grants do not take the same rest
    (await may_issue(conn, now=order.now)).require(amount)
    await issue_grant(
        conn,
        grant_id=order.proposal_id,
        organisation_id=organisation_id,
        amount_micro_yen=amount,
        expires_at=datetime.fromisoformat(order.content["expires_at"]),
        purpose=GrantPurpose(order.content["purpose"]),
        reason=order.reason,
        actor=order.approved_by,
        now=order.now,
    )
    after = await balance(conn, organisation_id, now=order.now)
    return {"available_yen": yen_text(after.available_micro_yen), "grant_id": str(order.proposal_id)}
