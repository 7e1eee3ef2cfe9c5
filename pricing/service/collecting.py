"""What is asked for, and what people decide about payments. Nothing here speaks to Stripe: the outbox is filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from accounts.service import append_audit
from infra.db.connection import Conn, notify
from pricing.collectable import Collectable
from pricing.days import day_of
from pricing.document import Document
from pricing.errors import (
    MoreThanOpen,
    PaymentCaseNotFound,
    PaymentCaseResolved,
    PaymentNotFound,
    PaymentRefundTooLarge,
    ReceivableNotFound,
    ResolutionUnfit,
    TopUpNotFound,
    TopUpOutOfRange,
)
from pricing.payments import (
    MINIMUM_CHARGE_YEN,
    CaseKind,
    Method,
    Payment,
    PaymentCase,
    Receivable,
    Resolution,
    Task,
    TopUp,
    reminders_due,
)
from pricing.service import wallets
from pricing.service.receiving import receive
from pricing.store import collecting as store
from pricing.store import ledger as ledger_store
from pricing.store import payments as payment_store
from pricing.units import MICRO

LOOP = "collecting"
"""What the outbox wakes."""
LARGEST_TOP_UP_YEN = 1_000_000
"""By card; more comes by bank transfer."""
_FITS: Mapping[Resolution, frozenset[CaseKind]] = {
    Resolution.LEFT: frozenset({CaseKind.UNDERPAID, CaseKind.OVERPAID, CaseKind.UNMATCHED}),
    Resolution.REFUNDED: frozenset({CaseKind.UNDERPAID, CaseKind.OVERPAID, CaseKind.UNMATCHED}),
    Resolution.TAKEN: frozenset({CaseKind.OVERPAID, CaseKind.UNMATCHED}),
    Resolution.EXPLAINED: frozenset(CaseKind),
}
_ERRANDS = {Resolution.REFUNDED: Task.GIVE_BACK, Resolution.TAKEN: Task.TAKE}


async def request(conn: Conn, document_id: UUID, *, now: datetime) -> bool:
    """Ask an organisation to pay a document that was issued, in the transaction that issues it. False: nothing is due,
    or it was asked for. ReceivableNotFound: there is no such document.
    """
    issued = await store.document(conn, document_id)
    if issued is None:
        raise ReceivableNotFound(number=str(document_id))
    if issued["amount_due_yen"] <= 0:
        return False
    return await ask(conn, Collectable.of_document(document_id, dict(issued)), now=now)


async def request_all(conn: Conn, documents: Sequence[Document], *, now: datetime) -> None:
    """`request` of many documents that have just been issued."""
    due = [
        Collectable.of_document(
            each.id,
            {
                "organisation_id": each.organisation_id,
                "number": each.number,
                "due_date": each.due_date,
                "amount_due_yen": each.amounts.amount_due_yen,
                "content": each.content,
            },
        )
        for each in documents
        if each.amounts.amount_due_yen > 0
    ]
    if not due:
        return
    await store.add_receivables(conn, due, now=now)
    asked = [(each.organisation_id, each.document_id) for each in due if each.amount_yen >= MINIMUM_CHARGE_YEN]
    await store.put_out_all(conn, Task.ISSUE, asked, now=now)
    if asked:
        await notify(conn, LOOP)


async def ask(conn: Conn, of: Collectable, *, now: datetime) -> bool:
    """Ask for an amount, with Stripe where there is one (never below its minimum charge). False: it was asked for."""
    if not await store.add_receivable(conn, of, now=now):
        return False
    if of.amount_yen >= MINIMUM_CHARGE_YEN:
        await _put_out(conn, Task.ISSUE, of.organisation_id, of.document_id, now=now)
    return True


async def credit(conn: Conn, document_id: UUID, *, note_id: UUID, number: str, amount_yen: int, now: datetime) -> None:
    """A credit note lowers what is open of a document. Again: nothing. ReceivableNotFound, MoreThanOpen."""
    of = await store.receivable(conn, document_id)
    if of is None:
        raise ReceivableNotFound(number=str(document_id))
    if not await store.add_credit(conn, note_id=note_id, of=of, number=number, amount_yen=amount_yen, now=now):
        return
    _require_open(of, amount_yen)
    content = {"document_id": str(document_id), "number": number, "amount_yen": amount_yen}
    subject = uuid5(note_id, str(document_id))  # a note may lower several documents
    await _put_out(conn, Task.CREDIT, of.organisation_id, subject, content=content, now=now)


async def receivables(conn: Conn, *, organisation_id: UUID | None = None, only_open: bool = False) -> list[Receivable]:
    """What is asked for, by due date."""
    return await store.receivables(conn, organisation_id=organisation_id, only_open=only_open)


async def receivable(conn: Conn, number: str) -> Receivable:
    """ReceivableNotFound."""
    found = await store.receivable_by_number(conn, number)
    if found is None:
        raise ReceivableNotFound(number=number)
    return found


async def mark_paid(
    conn: Conn, number: str, *, amount_yen: int, reference: str, paid_at: datetime, actor: UUID | None, now: datetime
) -> Receivable:
    """Money for an invoice came to our own bank account. Again with the same reference: nothing.

    What is left open stays open; when nothing is, Stripe's invoice is closed. ReceivableNotFound, MoreThanOpen.
    """
    of = await receivable(conn, number)
    await ledger_store.lock_wallet(conn, of.organisation_id)
    of = await receivable(conn, number)  # as it is under the lock: two do not take the same yen as open
    payment_id = uuid5(of.document_id, f"elsewhere:{reference}")
    if await payment_store.payment(conn, payment_id) is not None:
        return of
    _require_open(of, amount_yen)
    await receive(
        conn,
        payment_id=payment_id,
        organisation_id=of.organisation_id,
        document_id=of.document_id,
        method=Method.ELSEWHERE,
        amount_yen=amount_yen,
        reference=reference,
        paid_at=paid_at,
        actor=actor,
        now=now,
    )
    if amount_yen == of.open_yen:
        await _put_out(conn, Task.CLOSE, of.organisation_id, of.document_id, now=now)
    return await receivable(conn, number)


async def begin_top_up(
    conn: Conn,
    *,
    top_up_id: UUID,
    organisation_id: UUID,
    amount_yen: int,
    person_id: UUID,
    return_url: str,
    now: datetime,
) -> TopUp:
    """A page on which a card pays prepaid value in is asked of Stripe; its address follows. TopUpOutOfRange."""
    if not MINIMUM_CHARGE_YEN <= amount_yen <= LARGEST_TOP_UP_YEN:
        raise TopUpOutOfRange(
            amount_yen=str(amount_yen), minimum_yen=str(MINIMUM_CHARGE_YEN), maximum_yen=str(LARGEST_TOP_UP_YEN)
        )
    is_new = await store.add_top_up(
        conn, top_up_id=top_up_id, organisation_id=organisation_id, amount_yen=amount_yen, person_id=person_id, now=now
    )
    if is_new:
        content = {"amount_yen": amount_yen, "return_url": return_url}
        await _put_out(conn, Task.CHECKOUT, organisation_id, top_up_id, content=content, now=now)
    return await top_up(conn, top_up_id)


async def top_up(conn: Conn, top_up_id: UUID) -> TopUp:
    """TopUpNotFound."""
    found = await store.top_up(conn, top_up_id)
    if found is None:
        raise TopUpNotFound(top_up=str(top_up_id))
    return found


async def payments(conn: Conn, *, organisation_id: UUID | None = None, limit: int) -> list[Payment]:
    """The latest first."""
    return await payment_store.payments(conn, organisation_id=organisation_id, limit=limit)


async def refund_payment(
    conn: Conn, payment_id: UUID, *, refund_id: UUID, amount_yen: int, reason: str, actor: UUID | None, now: datetime
) -> Payment:
    """Prepaid value goes back in money, the way it came (what came elsewhere, an operator transfers).

    Again with the same refund_id: nothing. PaymentNotFound, PaymentRefundTooLarge, InsufficientFunds: it was spent.
    """
    of = await _locked_payment(conn, payment_id)
    if await payment_store.reversal(conn, refund_id) is not None:
        return of
    if not 0 < amount_yen <= of.left_yen:
        raise PaymentRefundTooLarge(amount_yen=str(amount_yen), left_yen=str(of.left_yen))
    await wallets.pay_back(
        conn,
        payment_id=refund_id,
        organisation_id=of.organisation_id,
        amount_micro_yen=amount_yen * MICRO,
        reason=reason,
        actor=actor,
        now=now,
    )
    await payment_store.add_reversal(
        conn,
        reversal_id=refund_id,
        of=of,
        kind="refund",
        amount_yen=amount_yen,
        booked_micro_yen=amount_yen * MICRO,
        stripe_id=None,
        reason=reason,
        actor=actor,
        now=now,
    )
    if of.stripe_id is not None:
        content = {"intent_id": of.stripe_id, "amount_yen": amount_yen}
        await _put_out(conn, Task.REFUND, of.organisation_id, refund_id, content=content, now=now)
    found = await payment_store.payment(conn, payment_id)
    assert found is not None
    return found


async def payment_cases(conn: Conn, *, only_open: bool = True) -> list[PaymentCase]:
    """Payments that a person must look at, the oldest first."""
    return await payment_store.cases(conn, only_open=only_open)


async def resolve_payment_case(
    conn: Conn, case_id: UUID, resolution: Resolution, *, reason: str, actor: UUID | None, now: datetime
) -> PaymentCase:
    """How a case ends; what is to be done at Stripe for that is put out. Again the same: nothing.

    PaymentCaseNotFound, PaymentCaseResolved, ResolutionUnfit.
    """
    of = await _case(conn, case_id)
    if of.kind not in _FITS.get(resolution, ()) or (resolution in _ERRANDS and "customer_id" not in of.facts):
        raise ResolutionUnfit(kind=of.kind.value, resolution=resolution.value)
    if not await payment_store.resolve(conn, of, resolution, reason=reason, actor=actor, now=now):
        found = await _case(conn, case_id)
        if found.resolution is not resolution:
            raise PaymentCaseResolved(case=str(case_id), resolution=str(found.resolution))
        return found
    errand = _ERRANDS.get(resolution)
    if errand is not None and of.organisation_id is not None:
        content = {"customer_id": of.facts["customer_id"], "amount_yen": of.amount_yen}
        await _put_out(conn, errand, of.organisation_id, case_id, content=content, now=now)
    await append_audit(
        conn,
        actor=actor,
        organisation_id=of.organisation_id,
        action="payment_case.resolve",
        subject=f"payment_case:{case_id}",
        facts={"resolution": resolution.value, "reason": reason},
        now=now,
    )
    return await _case(conn, case_id)


async def remind(conn: Conn, *, now: datetime) -> int:
    """Put out the reminders that should have been written by now; how many are new."""
    written = 0
    for each in await store.receivables(conn, organisation_id=None, only_open=True):
        count = reminders_due(each.due_date, day_of(now)) if each.stripe_id else 0
        if count:  # one that was missed is not written after the next
            written += await _put_out(
                conn, Task.REMIND, each.organisation_id, each.document_id, revision=count, now=now
            )
    return written


async def last_reconciliation(conn: Conn) -> Mapping[str, Any] | None:
    """Of the last night: day, since, compared, differences, ran_at. None: there never was one."""
    return await payment_store.last_reconciliation(conn)


async def _locked_payment(conn: Conn, payment_id: UUID) -> Payment:
    """As it is under its wallet's lock: two do not give back the same yen. PaymentNotFound."""
    of = await payment_store.payment(conn, payment_id)
    if of is not None:
        await ledger_store.lock_wallet(conn, of.organisation_id)
        of = await payment_store.payment(conn, payment_id)
    if of is None:
        raise PaymentNotFound(payment=str(payment_id))
    return of


async def _case(conn: Conn, case_id: UUID) -> PaymentCase:
    found = await payment_store.case(conn, case_id)
    if found is None:
        raise PaymentCaseNotFound(case=str(case_id))
    return found


async def _put_out(
    conn: Conn,
    task: Task,
    organisation_id: UUID,
    subject_id: UUID,
    *,
    revision: int = 0,
    content: Mapping[str, Any] | None = None,
    now: datetime,
) -> bool:
    is_new = await store.put_out(
        conn, task, organisation_id=organisation_id, subject_id=subject_id, revision=revision, content=content, now=now
    )
    if is_new:
        await notify(conn, LOOP)
    return is_new


def _require_open(of: Receivable, amount_yen: int) -> None:
    if not 0 < amount_yen <= of.open_yen:
        raise MoreThanOpen(number=of.number, amount_yen=str(amount_yen), open_yen=str(of.open_yen))
