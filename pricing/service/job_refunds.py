"""Giving back a part of what a job was charged: at once within the limit of one person, else by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.service import append_audit
from infra.db.connection import Conn
from pricing import refunds
from pricing.approvals import Content, Proposal
from pricing.days import day_of, midnight
from pricing.errors import AlreadyBooked, LedgerConflict, RefundWrong, UnknownAttempt
from pricing.model import WHOLE_BP, Cause
from pricing.refunds import Refund
from pricing.service.approvals import Order, executes, propose
from pricing.service.settlement import book_refund
from pricing.store import approvals as proposal_store
from pricing.store import documents as document_store
from pricing.store import ledger as ledger_store
from pricing.store import pricebook as book_store
from pricing.store import refunds as store
from pricing.units import yen_text

REFUND = "refund.issue"
"""The kind of a proposal to give back more than one person may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be given back of a job: an amount without tax, or a share of what it is charged now."""

    id: UUID
    organisation_id: UUID
    job_id: UUID
    cause: Cause
    reason: str
    amount_micro_yen: int | None = None
    percent_bp: int | None = None

    def is_of(self, known: Refund) -> bool:
        """Whether that refund is what is wanted here. A share was of what was charged then: its amount is not asked."""
        told = (self.organisation_id, self.job_id, self.cause, self.reason.strip())
        return told == (known.organisation_id, known.job_id, known.cause, known.reason.strip()) and (
            self.percent_bp is not None or self.amount_micro_yen == known.amount_micro_yen
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it. proposal None: it is given back; else it waits for the second person."""

    amount_micro_yen: int
    charged_micro_yen: int
    """What the job is charged then."""
    proposal: Proposal | None


async def refund(conn: Conn, wanted: Wanted, *, actor: UUID, now: datetime) -> Decided:
    """Give back, or propose to. Again with the same id: nothing happens.

    NoWallet, RefundWrong, RefundTooLarge, the refusals of `propose`; AlreadyBooked: the id stands for another refund.
    """
    await store.lock_refunds(conn)  # one person's two wallets are two locks, the day is one
    await ledger_store.lock_wallet(conn, wanted.organisation_id)
    known = await store.refund(conn, wanted.id)
    if known is not None and not wanted.is_of(known):
        raise AlreadyBooked(id=str(wanted.id))
    amount = known.amount_micro_yen if known is not None else await _amount(conn, wanted)
    if known is None and await _needs_two(conn, wanted, amount, actor=actor, now=now):
        content = {
            "organisation_id": str(wanted.organisation_id),
            "job_id": str(wanted.job_id),
            "cause": wanted.cause.value,
            "amount_yen": yen_text(amount),
            "amount_micro_yen": amount,
        }
        proposal = await propose(
            conn, proposal_id=wanted.id, kind=REFUND, content=content, reason=wanted.reason, actor=actor, now=now
        )
        return Decided(amount, int(proposal.effect["charged_micro_yen"]), proposal)
    decided = Refund(
        id=wanted.id,
        organisation_id=wanted.organisation_id,
        job_id=wanted.job_id,
        cause=wanted.cause,
        amount_micro_yen=amount,
        reason=wanted.reason,
        decided_by=actor,
        approved_by=None,
        decided_at=now,
    )
    return Decided(amount, await _book(conn, decided), None)


async def refunds_of(conn: Conn, job_ids: Sequence[UUID]) -> list[Refund]:
    """What of these jobs' charges was given back, the earliest first."""
    return await store.refunds_of(conn, job_ids)


@executes(REFUND)
async def _give_back(conn: Conn, order: Order) -> Content:
    """The refund's id is its proposal's. In the rehearsal nobody has approved yet."""
    approved_by = order.approved_by if order.approved_by != order.proposed_by else None
    charged = await _book(
        conn,
        Refund(
            id=order.proposal_id,
            organisation_id=UUID(order.content["organisation_id"]),
            job_id=UUID(order.content["job_id"]),
            cause=Cause(order.content["cause"]),
            amount_micro_yen=int(order.content["amount_micro_yen"]),
            reason=order.reason,
            decided_by=order.proposed_by,
            approved_by=approved_by,
            decided_at=order.now,
        ),
    )
    return {"charged_yen": yen_text(charged), "charged_micro_yen": charged}


async def _needs_two(conn: Conn, wanted: Wanted, amount: int, *, actor: UUID, now: datetime) -> bool:
    """Under the lock of all refunds. What waits for a second person goes on waiting, whatever the limits are by now."""
    if await proposal_store.proposal(conn, wanted.id) is not None:
        return True
    limits = refunds.limits(await book_store.policy(conn, refunds.LIMIT, now=now))
    of_job, of_day = await store.given_alone(conn, actor, job_id=wanted.job_id, since=midnight(day_of(now)))
    return not limits.allows(amount, of_job=of_job, of_day=of_day)


async def _amount(conn: Conn, wanted: Wanted) -> int:
    """RefundWrong: neither or both of amount and share are given."""
    if (wanted.amount_micro_yen is None) == (wanted.percent_bp is None):
        raise RefundWrong(field="amount_yen")
    if wanted.percent_bp is None:
        assert wanted.amount_micro_yen is not None
        return wanted.amount_micro_yen
    if not 0 < wanted.percent_bp <= WHOLE_BP:
        raise RefundWrong(field="percent")
    money = (await document_store.money_of_jobs(conn, [wanted.job_id])).get(wanted.job_id)
    return refunds.part(money.charged_micro_yen if money else 0, percent_bp=wanted.percent_bp)


async def _book(conn: Conn, decided: Refund) -> int:
    try:
        is_new = await store.refund(conn, decided.id) is None
        charged = await book_refund(conn, decided)
    except UnknownAttempt:
        raise RefundWrong(field="job") from None
    except LedgerConflict as conflict:
        raise AlreadyBooked(id=str(decided.id)) from conflict
    if is_new:
        await append_audit(
            conn,
            actor=decided.decided_by,
            organisation_id=decided.organisation_id,
            action="job.refund",
            subject=f"job:{decided.job_id}",
            facts={
                "refund": str(decided.id),
                "amount_yen": yen_text(decided.amount_micro_yen),
                "cause": decided.cause.value,
                "reason": decided.reason,
                "approved_by": str(decided.approved_by) if decided.approved_by else "",
            },
            now=decided.decided_at,
        )
    return charged


def percent_bp(text: str) -> int:
    """'50' or '12.5' as 1/100 of a percent. RefundWrong: no such number, or with more than two decimal places."""
    try:
        scaled = Decimal(text.strip().removesuffix("%")) * 100
        whole = int(scaled)
    except (ArithmeticError, ValueError):
        raise RefundWrong(field="percent") from None
    if whole != scaled:
        raise RefundWrong(field="percent")
    return whole
