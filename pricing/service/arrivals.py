"""What Stripe says of an object, taken into the books: whatever the order, however often, with the same result.

Each function is given the object as it is now. What it books has a key of Stripe's, so nothing is booked twice; what it
cannot book for certain becomes a case.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from infra.db.connection import Conn
from pricing.ledger.templates import NAMESPACE
from pricing.payments import CaseKind, Method, Payment, PaymentCase, Receivable, Resolution, transfer_case
from pricing.remote import Remote, RemoteCash, RemoteDispute, RemoteIntent, RemoteInvoice, RemoteRefund
from pricing.service import wallets
from pricing.service.receiving import open_case, receive
from pricing.store import collecting as store
from pricing.store import payments as payment_store
from pricing.units import MICRO

_JPY = "jpy"
_TRANSFERS = (CaseKind.UNDERPAID, CaseKind.OVERPAID, CaseKind.UNMATCHED)
_OURS_AGAIN = frozenset({"won", "warning_closed", "prevented"})


async def take(conn: Conn, seen: Remote, *, now: datetime) -> int:
    """Take an object into the books; how many payments, refunds or cases are new."""
    match seen:
        case RemoteInvoice():
            return await _invoice(conn, seen, now)
        case RemoteCash():
            return await _cash(conn, seen, now)
        case RemoteIntent():
            return await _intent(conn, seen, now)
        case RemoteRefund():
            return await _refund(conn, seen, now)
        case RemoteDispute():
            return await _dispute(conn, seen, now)


async def put_aside(conn: Conn, object_id: str, *, why: str, now: datetime) -> int:
    """What our own rules refuse to book, for a person; 0: it is there."""
    return await _case_of(conn, CaseKind.FAILED, object_id, None, 0, now, why=why)


async def _invoice(conn: Conn, seen: RemoteInvoice, now: datetime) -> int:
    of = await store.receivable(conn, seen.ref) if seen.ref else None
    paid = [each for each in seen.payments if each.intent_id is not None]
    if of is None:
        return await _unmatched(conn, seen.stripe_id, seen.customer_id, seen.total_yen, now) if paid else 0
    if (seen.currency, seen.total_yen) != (_JPY, of.amount_yen):
        facts = {"number": of.number, "ours_yen": of.amount_yen, "currency": seen.currency, "status": seen.status}
        return await _case_of(conn, CaseKind.DIFFERS, seen.stripe_id, of.organisation_id, seen.total_yen, now, **facts)
    new = 0
    for each in paid:
        assert each.intent_id is not None
        if await receive(
            conn,
            payment_id=_id("payment", each.intent_id),
            organisation_id=of.organisation_id,
            document_id=of.document_id,
            method=Method.BANK_TRANSFER,
            amount_yen=each.amount_yen,
            reference=of.number,
            paid_at=each.paid_at,
            stripe_id=each.intent_id,
            now=now,
        ):
            new += 1 + await _too_much(conn, of, each.intent_id, now)
    return new


async def _too_much(conn: Conn, before: Receivable, intent_id: str, now: datetime) -> int:
    """It had been paid elsewhere before: the money is prepaid value now, and somebody should know."""
    after = await store.receivable(conn, before.document_id)
    if after is None or after.open_yen >= 0:
        return 0
    facts = {"number": before.number}
    return await _case_of(conn, CaseKind.OVERPAID, intent_id, before.organisation_id, -after.open_yen, now, **facts)


async def _cash(conn: Conn, seen: RemoteCash, now: datetime) -> int:
    """What transfers brought and no invoice has used. A case that the money has left is settled."""
    link = await store.linked(conn, seen.customer_id)
    organisation_id = link.organisation_id if link else None
    kind = transfer_case(seen.available_yen, seen.open_yen)
    if organisation_id is not None and kind is None:
        for each in await payment_store.open_cases_of(conn, organisation_id, _TRANSFERS):
            if each.facts.get("customer_id") == seen.customer_id:
                await _settle(conn, each, "the money was used", now)
    about = seen.last_transfer_id or seen.customer_id
    facts = {"customer_id": seen.customer_id, "sender": seen.sender or "", "open_yen": list(seen.open_yen)}
    if seen.other_currencies:
        facts["currencies"] = list(seen.other_currencies)
        return await _case_of(conn, CaseKind.UNMATCHED, about, organisation_id, seen.available_yen, now, **facts)
    if kind is None:
        return 0
    kind = kind if link else CaseKind.UNMATCHED
    return await _case_of(conn, kind, about, organisation_id, seen.available_yen, now, **facts)


async def _intent(conn: Conn, seen: RemoteIntent, now: datetime) -> int:
    """A card's payment for a top-up, or money taken out of a cash balance after a case was resolved so."""
    if seen.status != "succeeded":
        return 0
    wish = await store.top_up(conn, seen.ref) if seen.ref else None
    case = await payment_store.case(conn, seen.ref) if seen.ref and wish is None else None
    asked = wish or case
    if asked is None or asked.organisation_id is None:
        return await _unmatched(conn, seen.stripe_id, seen.customer_id, seen.received_yen, now)
    if (seen.currency, seen.received_yen) != (_JPY, asked.amount_yen):
        facts = {"ours_yen": asked.amount_yen, "currency": seen.currency, "ref": str(seen.ref)}
        return await _case_of(
            conn, CaseKind.DIFFERS, seen.stripe_id, asked.organisation_id, seen.received_yen, now, **facts
        )
    return await receive(
        conn,
        payment_id=_id("payment", seen.stripe_id),
        organisation_id=asked.organisation_id,
        top_up_id=wish.id if wish else None,
        method=Method.CARD if wish else Method.BANK_TRANSFER,
        amount_yen=seen.received_yen,
        reference=seen.stripe_id,
        paid_at=seen.at,
        stripe_id=seen.stripe_id,
        now=now,
    )


async def _refund(conn: Conn, seen: RemoteRefund, now: datetime) -> int:
    """One of ours is in the books already. One that failed, or that we did not ask for, is for a person."""
    of = await payment_store.payment_by_stripe(conn, seen.intent_id)
    organisation_id = of.organisation_id if of else None
    if seen.status in {"failed", "canceled"}:
        facts = {"ref": str(seen.ref), "status": seen.status, "intent": seen.intent_id or ""}
        return await _case_of(conn, CaseKind.FAILED, seen.stripe_id, organisation_id, seen.amount_yen, now, **facts)
    is_ours = seen.ref is not None and (
        await payment_store.reversal(conn, seen.ref) is not None or await payment_store.case(conn, seen.ref) is not None
    )
    if is_ours:
        return 0
    facts = {"refund_of": seen.intent_id or ""}
    return await _case_of(conn, CaseKind.UNMATCHED, seen.stripe_id, organisation_id, seen.amount_yen, now, **facts)


async def _dispute(conn: Conn, seen: RemoteDispute, now: datetime) -> int:
    """The bank took the money: as much prepaid value goes as is free, new work is refused, and what runs goes on.

    Won: it comes back. Lost: a person decides how it ends. A bank that only asks ('warning_…') takes nothing.
    """
    of = await payment_store.payment_by_stripe(conn, seen.intent_id)
    facts = {"reason": seen.reason, "intent": seen.intent_id or ""}
    asks = seen.status.startswith("warning")
    kind = CaseKind.UNMATCHED if asks else CaseKind.DISPUTE
    new = await _case_of(conn, kind, seen.stripe_id, of.organisation_id if of else None, seen.amount_yen, now, **facts)
    if of is None:
        return new
    taken = await payment_store.reversal(conn, _id("dispute", seen.stripe_id))
    if taken is None and seen.status not in _OURS_AGAIN and not asks:
        await _reverse(conn, of, seen, now)
    if seen.status in _OURS_AGAIN:
        if taken is not None:
            await _give_again(conn, of, seen, taken["booked_micro_yen"], now)
        for each in await payment_store.open_cases_of(
            conn, of.organisation_id, (CaseKind.DISPUTE, CaseKind.UNMATCHED), stripe_id=seen.stripe_id
        ):
            await _settle(conn, each, seen.status, now)
    return new


async def _reverse(conn: Conn, of: Payment, seen: RemoteDispute, now: datetime) -> None:
    free = (await wallets.balance(conn, of.organisation_id, now=now)).prepaid_micro_yen
    booked = min(free, seen.amount_yen * MICRO)
    reversal_id = _id("dispute", seen.stripe_id)
    reason = f"dispute {seen.stripe_id}"
    if booked:
        await wallets.pay_back(
            conn,
            payment_id=reversal_id,
            organisation_id=of.organisation_id,
            amount_micro_yen=booked,
            reason=reason,
            actor=None,
            now=now,
        )
    await _note(conn, of, seen, "dispute", reversal_id, booked, reason, now)


async def _give_again(conn: Conn, of: Payment, seen: RemoteDispute, booked_micro_yen: int, now: datetime) -> None:
    reversal_id = _id("dispute won", seen.stripe_id)
    reason = f"dispute {seen.stripe_id} {seen.status}"
    if await payment_store.reversal(conn, reversal_id) is not None:
        return
    if booked_micro_yen:
        await wallets.receive_payment(
            conn,
            payment_id=reversal_id,
            organisation_id=of.organisation_id,
            amount_micro_yen=booked_micro_yen,
            reason=reason,
            actor=None,
            now=now,
        )
    await _note(conn, of, seen, "dispute_won", reversal_id, booked_micro_yen, reason, now)


async def _note(
    conn: Conn, of: Payment, seen: RemoteDispute, kind: str, reversal_id: UUID, booked: int, reason: str, now: datetime
) -> None:
    await payment_store.add_reversal(
        conn,
        reversal_id=reversal_id,
        of=of,
        kind=kind,
        amount_yen=seen.amount_yen,
        booked_micro_yen=booked,
        stripe_id=seen.stripe_id,
        reason=reason,
        actor=None,
        now=now,
    )


async def _unmatched(conn: Conn, stripe_id: str, customer_id: str | None, amount_yen: int, now: datetime) -> int:
    """Money for nothing that we asked for."""
    link = await store.linked(conn, customer_id)
    organisation_id = link.organisation_id if link else None
    facts = {"customer": customer_id or ""}
    return await _case_of(conn, CaseKind.UNMATCHED, stripe_id, organisation_id, amount_yen, now, **facts)


async def _case_of(
    conn: Conn,
    kind: CaseKind,
    stripe_id: str,
    organisation_id: UUID | None,
    amount_yen: int,
    now: datetime,
    **facts: object,
) -> int:
    return await open_case(
        conn,
        kind,
        stripe_id,
        case_id=_id("case", kind, stripe_id),
        organisation_id=organisation_id,
        amount_yen=amount_yen,
        now=now,
        **facts,
    )


async def _settle(conn: Conn, of: PaymentCase, reason: str, now: datetime) -> None:
    await payment_store.resolve(conn, of, Resolution.SETTLED, reason=reason, actor=None, now=now)


def _id(*key: object) -> UUID:
    """What follows from an object of Stripe's has one id, whoever sees it first."""
    return uuid5(NAMESPACE, ":".join(map(str, ("stripe", *key))))
