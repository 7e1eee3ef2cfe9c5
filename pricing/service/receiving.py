"""Money that came, booked once: what was owed is repaid, the rest becomes prepaid value."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from infra.db.connection import Conn
from pricing.payments import CaseKind, Method, Payment, PaymentCase, book
from pricing.service import wallets
from pricing.store import collecting as asked_store
from pricing.store import ledger as ledger_store
from pricing.store import payments as store


async def receive(
    conn: Conn,
    *,
    payment_id: UUID,
    organisation_id: UUID,
    method: Method,
    amount_yen: int,
    reference: str,
    paid_at: datetime,
    document_id: UUID | None = None,
    top_up_id: UUID | None = None,
    stripe_id: str | None = None,
    actor: UUID | None = None,
    now: datetime,
) -> bool:
    """Keep a payment and book it, in the caller's transaction. False: it is there, by its id or by Stripe's.

    Of a document: it repays what is open of that, even where less is owed because some of it was taken back since
    then (which is carried or credited when the month closes, so it comes back once). It counts from now on (a month
    that is closed stays as it is); paid_at is kept beside it. NoWallet.
    """
    await ledger_store.lock_wallet(conn, organisation_id)
    asked = await asked_store.receivable(conn, document_id) if document_id else None
    booking = book(amount_yen, open_yen=asked.open_yen if asked else 0)
    new = Payment(
        id=payment_id,
        organisation_id=organisation_id,
        document_id=document_id,
        top_up_id=top_up_id,
        method=method,
        amount_yen=amount_yen,
        repaid_micro_yen=booking.repaid_micro_yen,
        prepaid_micro_yen=booking.prepaid_micro_yen,
        stripe_id=stripe_id,
        reference=reference,
        paid_at=paid_at,
        recorded_by=actor,
        recorded_at=now,
        left_yen=amount_yen,
    )
    if not await store.add_payment(conn, new, booking):
        return False
    for move, part in (
        (partial(wallets.repay_credit, was_asked=True), booking.repaid_micro_yen),
        (wallets.receive_payment, booking.prepaid_micro_yen),
    ):
        if part:
            await move(
                conn,
                payment_id=payment_id,
                organisation_id=organisation_id,
                amount_micro_yen=part,
                reason=f"{method.value} {reference}",
                actor=actor,
                now=now,
            )
    return True


async def open_case(
    conn: Conn,
    kind: CaseKind,
    stripe_id: str,
    *,
    case_id: UUID,
    organisation_id: UUID | None,
    amount_yen: int,
    now: datetime,
    **facts: object,
) -> bool:
    """For an operator to look at. False: there is one of this kind about this object."""
    return await store.add_case(
        conn,
        PaymentCase(
            id=case_id,
            organisation_id=organisation_id,
            kind=kind,
            stripe_id=stripe_id,
            amount_yen=amount_yen,
            facts=facts,
            opened_at=now,
        ),
    )
