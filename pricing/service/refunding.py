"""Money that goes back to a customer: one operator proposes, another approves."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing.approvals import Content, Proposal
from pricing.service.approvals import Order, executes, propose
from pricing.service.collecting import refund_payment

REFUND = "payment.refund"
"""The kind of a proposal to pay a payment back."""


async def propose_payment_refund(
    conn: Conn, payment_id: UUID, *, refund_id: UUID, amount_yen: int, reason: str, actor: UUID, now: datetime
) -> Proposal:
    """Prepaid value goes back in money when a second person approves. The refusals of `propose` and of the refund:

    PaymentNotFound, PaymentRefundTooLarge, InsufficientFunds.
    """
    content = {"payment_id": str(payment_id), "amount_yen": amount_yen}
    return await propose(conn, proposal_id=refund_id, kind=REFUND, content=content, reason=reason, actor=actor, now=now)


@executes(REFUND)
async def _refund(conn: Conn, order: Order) -> Content:
    """The refund's id is its proposal's."""
    after = await refund_payment(
        conn,
        UUID(order.content["payment_id"]),
        refund_id=order.proposal_id,
        amount_yen=int(order.content["amount_yen"]),
        reason=order.reason,
        actor=order.approved_by,
        now=order.now,
    )
    return {"left_yen": str(after.left_yen), "organisation_id": str(after.organisation_id)}
