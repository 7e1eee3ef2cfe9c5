"""What is to be paid and what was: for organisations and operators; and where Stripe tells that something happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field

from infra.db.connection import transaction
from portal.api.proposals import ProposalOut, proposal_out
from portal.api.wire import Count, DryRun, In, Items, Out, Word
from portal.auth.caller import MoneyReader, Operator
from portal.auth.idempotency import IdempotencyKey
from portal.deps import deps_of
from pricing import service as pricing
from pricing.errors import StripeOff
from pricing.payments import CaseKind, Method, Payment, PaymentCase, Receivable, Resolution, Stage, TopUp
from pricing.stripe_gateway import verified

router = APIRouter(tags=["money"])
operators = APIRouter(tags=["operator"], prefix="/collection")
WholeYen = Annotated[str, Field(description="Whole yen with tax.", examples=["1100"])]
_LATEST = 200


class ReceivableOut(Out):
    """A document that is to be paid. `open_yen`: what is left; `pay_url`: where, if Stripe collects it."""

    document_id: UUID
    organisation_id: UUID
    number: str
    amount_yen: WholeYen
    open_yen: WholeYen
    due_date: date
    pay_url: str | None


class StandingOut(Out):
    """`stage`: good, reminded, or refusing: no new jobs are taken (from `refusing_from` on, if nothing is paid)."""

    stage: Stage
    overdue_yen: WholeYen
    disputed_yen: WholeYen
    refusing_from: date | None
    items: list[ReceivableOut]


class PaymentOut(Out):
    """`left_yen`: what has not gone back. `invoice_document_id` null: prepaid value."""

    id: UUID
    organisation_id: UUID
    invoice_document_id: UUID | None
    method: Method
    amount_yen: WholeYen
    left_yen: WholeYen
    reference: str
    paid_at: datetime
    recorded_at: datetime


class NewTopUp(In):
    amount_yen: Annotated[Count, Field(description="Whole yen.", examples=[10000])]


class TopUpOut(Out):
    """`pay_url`: a page for a card, null for the first moment. `paid_yen`: what has come."""

    id: UUID
    amount_yen: WholeYen
    paid_yen: WholeYen
    requested_at: datetime
    pay_url: str | None


class PaidElsewhere(In):
    """Money for an invoice that came to our own bank account."""

    amount_yen: Annotated[Count, Field(description="Whole yen, as it came.")]
    reference: Annotated[
        Word, Field(description="The bank's; a repeated one is nothing.", min_length=1, max_length=200)
    ]
    paid_at: AwareDatetime


class CaseOut(Out):
    """A payment that a person must look at; `resolution` null: it is open."""

    id: UUID
    organisation_id: UUID | None
    kind: CaseKind
    stripe_id: str
    amount_yen: WholeYen
    facts: dict[str, Any]
    opened_at: datetime
    resolution: Resolution | None
    reason: str | None
    resolved_at: datetime | None


class CaseEnd(In):
    resolution: Resolution
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class NewRefund(In):
    amount_yen: Annotated[Count, Field(description="Whole yen.")]
    reason: Annotated[Word, Field(min_length=1, max_length=500)]


class ReconciliationOut(Out):
    """Stripe against our books; null fields: there never was one."""

    day: date | None
    ran_at: datetime | None
    compared: int
    differences: list[dict[str, Any]]


class Received(Out):
    received: bool


@router.get("/receivables")
async def list_receivables(caller: MoneyReader) -> StandingOut:
    """What the organisation is asked to pay, with what that means for new jobs."""
    async with caller.transaction() as conn:
        found = await pricing.receivables(conn, organisation_id=caller.organisation_id)
        stands = await pricing.collection_standing(conn, caller.organisation_id, now=caller.now)
    return StandingOut(
        stage=stands.stage,
        overdue_yen=str(stands.overdue_yen),
        disputed_yen=str(stands.disputed_yen),
        refusing_from=stands.refusing_from,
        items=receivables_out(found),
    )


@router.get("/payments")
async def list_payments(caller: MoneyReader) -> Items[PaymentOut]:
    """The organisation's latest payments."""
    async with caller.transaction() as conn:
        found = await pricing.payments(conn, organisation_id=caller.organisation_id, limit=_LATEST)
    return Items(items=[_payment(each) for each in found])


@router.post("/top-ups", status_code=HTTPStatus.CREATED)
async def begin_top_up(request: Request, caller: MoneyReader, new: NewTopUp, key: IdempotencyKey) -> TopUpOut:
    """Pay in by card: `GET /top-ups/{id}` tells a moment later where. `stripe-off`: cards are not taken here."""
    deps = deps_of(request)
    if not deps.webhook_secrets:
        raise StripeOff
    async with caller.transaction() as conn:
        asked = await pricing.begin_top_up(
            conn,
            top_up_id=uuid5(caller.organisation_id, f"top-up:{key}"),
            organisation_id=caller.organisation_id,
            amount_yen=new.amount_yen,
            person_id=caller.principal.person_id,
            return_url=f"{deps.address}/{caller.language.value}/balance",
            now=caller.now,
        )
    return _top_up(asked)


@router.get("/top-ups/{top_up_id}")
async def get_top_up(caller: MoneyReader, top_up_id: UUID) -> TopUpOut:
    """Where to pay, and what has come."""
    async with caller.transaction() as conn:
        found = await pricing.top_up(conn, top_up_id)
    return _top_up(found)


@operators.get("/receivables")
async def list_all_receivables(
    caller: Operator,
    only_open: Annotated[bool, Query(description="Without what is paid.")] = True,  # noqa: FBT002
) -> Items[ReceivableOut]:
    """What all organisations are asked to pay, by due date."""
    async with caller.transaction() as conn:
        found = await pricing.receivables(conn, only_open=only_open)
    return Items(items=receivables_out(found))


@operators.post("/receivables/{number}/paid")
async def mark_paid(
    caller: Operator,
    number: Word,
    told: PaidElsewhere,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ReceivableOut:
    """An invoice was paid to our own bank account, whole or in part."""
    async with caller.transaction(dry_run=dry_run) as conn:
        after = await pricing.mark_paid(
            conn,
            number,
            amount_yen=told.amount_yen,
            reference=told.reference,
            paid_at=told.paid_at,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    [out] = receivables_out([after])
    return out


@operators.get("/payments")
async def list_all_payments(caller: Operator) -> Items[PaymentOut]:
    """The latest payments of all."""
    async with caller.transaction() as conn:
        found = await pricing.payments(conn, limit=_LATEST)
    return Items(items=[_payment(each) for each in found])


@operators.post("/payments/{payment_id}/refunds", status_code=HTTPStatus.CREATED)
async def propose_payment_refund(
    caller: Operator,
    payment_id: UUID,
    new: NewRefund,
    key: IdempotencyKey,
    dry_run: DryRun = False,  # noqa: FBT002
) -> ProposalOut:
    """Unused prepaid value goes back in money, the way it came. A second operator approves it."""
    async with caller.transaction(dry_run=dry_run) as conn:
        made = await pricing.propose_payment_refund(
            conn,
            payment_id,
            refund_id=uuid5(payment_id, f"refund:{key}"),
            amount_yen=new.amount_yen,
            reason=new.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return proposal_out(made, caller.now, dry_run=dry_run)


@operators.get("/cases")
async def list_cases(
    caller: Operator,
    only_open: Annotated[bool, Query(description="Without what is resolved.")] = True,  # noqa: FBT002
) -> Items[CaseOut]:
    """Payments that a person must look at, the oldest first."""
    async with caller.transaction() as conn:
        found = await pricing.payment_cases(conn, only_open=only_open)
    return Items(items=[case_out(each) for each in found])


@operators.post("/cases/{case_id}/resolve")
async def resolve_case(
    caller: Operator,
    case_id: UUID,
    end: CaseEnd,
    dry_run: DryRun = False,  # noqa: FBT002
) -> CaseOut:
    """How a case ends. `refunded` and `taken` move the money at Stripe."""
    async with caller.transaction(dry_run=dry_run) as conn:
        after = await pricing.resolve_payment_case(
            conn,
            case_id,
            end.resolution,
            reason=end.reason,
            actor=caller.principal.person_id,
            now=caller.now,
        )
    return case_out(after)


@operators.get("/reconciliation")
async def get_reconciliation(caller: Operator) -> ReconciliationOut:
    """Last night's comparison of Stripe with our books."""
    async with caller.transaction() as conn:
        found = await pricing.last_reconciliation(conn)
    if found is None:
        return ReconciliationOut(day=None, ran_at=None, compared=0, differences=[])
    return ReconciliationOut(
        day=found["day"], ran_at=found["ran_at"], compared=found["compared"], differences=found["differences"]
    )


@router.post("/stripe/events", tags=["stripe"])
async def receive_stripe_event(request: Request) -> Received:
    """For Stripe alone: an event, signed over the raw body. It is kept, and followed up a moment later."""
    deps = deps_of(request)
    if not deps.webhook_secrets:
        raise StripeOff
    now = deps.clock()
    header = request.headers.get("stripe-signature")
    hint = verified(await request.body(), header, secrets=deps.webhook_secrets, now=now)
    async with transaction(deps.pool) as conn:
        await pricing.receive_event(conn, hint, now=now)
    return Received(received=True)


def receivables_out(found: Iterable[Receivable]) -> list[ReceivableOut]:
    """Receivables on the wire."""
    return [
        ReceivableOut(
            document_id=each.document_id,
            organisation_id=each.organisation_id,
            number=each.number,
            amount_yen=str(each.amount_yen),
            open_yen=str(max(each.open_yen, 0)),
            due_date=each.due_date,
            pay_url=each.url,
        )
        for each in found
    ]


def case_out(of: PaymentCase) -> CaseOut:
    """A case on the wire."""
    return CaseOut(
        id=of.id,
        organisation_id=of.organisation_id,
        kind=of.kind,
        stripe_id=of.stripe_id,
        amount_yen=str(of.amount_yen),
        facts=dict(of.facts),
        opened_at=of.opened_at,
        resolution=of.resolution,
        reason=of.reason,
        resolved_at=of.resolved_at,
    )


def _payment(of: Payment) -> PaymentOut:
    return PaymentOut(
        id=of.id,
        organisation_id=of.organisation_id,
        invoice_document_id=of.document_id,
        method=of.method,
        amount_yen=str(of.amount_yen),
        left_yen=str(of.left_yen),
        reference=of.reference,
        paid_at=of.paid_at,
        recorded_at=of.recorded_at,
    )


def _top_up(of: TopUp) -> TopUpOut:
    return TopUpOut(
        id=of.id,
        amount_yen=str(of.amount_yen),
        paid_yen=str(of.paid_yen),
        requested_at=of.requested_at,
        pay_url=of.url,
    )
