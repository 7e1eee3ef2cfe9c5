"""The tick that empties the outbox: one errand at a time, with nothing open in the database while Stripe is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import structlog

from infra.db.connection import Lease, Pool, transaction
from pricing.payments import Errand, Task
from pricing.remote import GatewayAway, GatewayRefused
from pricing.service import errands
from pricing.service.errands import Ready
from pricing.store.collecting import Link
from pricing.stripe_gateway import StripeGateway

_BATCH = 50
_log = structlog.get_logger("pricing")


async def tick(gateway: StripeGateway, pool: Pool, lease: Lease | None, now: datetime) -> int:
    """What is due, one after the other; how many were dealt with. When Stripe is away, the rest waits for the next."""
    async with transaction(pool, lease=lease) as conn:
        due = await errands.due_errands(conn, now=now, limit=_BATCH)
    moved = 0
    for errand in due:
        if not await _run(gateway, pool, lease, errand, now):
            break
        moved += 1
    return moved


async def _run(gateway: StripeGateway, pool: Pool, lease: Lease | None, errand: Errand, now: datetime) -> bool:
    """False: Stripe is away."""
    async with transaction(pool, lease=lease) as conn:
        ready = await errands.prepare(conn, errand)
        if ready is None:
            await errands.moot(conn, errand, now=now)
            return True
    try:
        links = await _HOW[errand.task](gateway, ready)
    except GatewayAway as away:
        _log.warning("stripe-away", errand=str(errand.id), task=errand.task.value, why=str(away))
        async with transaction(pool, lease=lease) as conn:
            await errands.later(conn, errand, why=str(away), now=now)
        return False
    except GatewayRefused as refused:
        _log.error("stripe-refused", errand=str(errand.id), task=errand.task.value, why=str(refused))
        async with transaction(pool, lease=lease) as conn:
            await errands.refused(conn, errand, why=str(refused), now=now)
        return True
    async with transaction(pool, lease=lease) as conn:
        await errands.done(conn, errand, links, now=now)
    return True


async def _issue(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    assert ready.of is not None
    customer = await gateway.ensure_customer(ready.customer, known_id=ready.customer_id)
    made = await gateway.issue_invoice(ready.of, customer_id=customer.stripe_id, revision=ready.errand.revision)
    return _customer_link(ready, customer.stripe_id), _link(ready, "invoice", made.stripe_id, made.url)


async def _checkout(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    customer = await gateway.ensure_customer(ready.customer, known_id=ready.customer_id)
    made = await gateway.open_checkout(
        topup_id=ready.errand.subject_id,
        customer_id=customer.stripe_id,
        amount_yen=ready.errand.content["amount_yen"],
        words="前払い（計算資源の利用） / Prepaid value for compute",
        return_url=ready.errand.content["return_url"],
    )
    return _customer_link(ready, customer.stripe_id), _link(ready, "checkout", made.stripe_id, made.url)


async def _remind(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    assert ready.invoice_id
    await gateway.remind(ready.invoice_id, document_id=ready.errand.subject_id, revision=ready.errand.revision)
    return ()


async def _close(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    await gateway.close_invoice(ready.invoice_id, document_id=ready.errand.subject_id, who=ready.customer)
    return ()


async def _credit(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    assert ready.invoice_id
    made = await gateway.credit_invoice(
        ready.invoice_id,
        note_id=ready.errand.subject_id,
        number=ready.errand.content["number"],
        amount_yen=ready.errand.content["amount_yen"],
    )
    return (_link(ready, "credit_note", made.stripe_id),)


async def _refund(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    made = await gateway.refund(
        refund_id=ready.errand.subject_id,
        intent_id=ready.errand.content["intent_id"],
        amount_yen=ready.errand.content["amount_yen"],
    )
    return (_link(ready, "refund", made.stripe_id),)


async def _give_back(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    made = await gateway.refund_balance(
        case_id=ready.errand.subject_id,
        customer_id=ready.errand.content["customer_id"],
        amount_yen=ready.errand.content["amount_yen"],
    )
    return (_link(ready, "refund", made.stripe_id),)


async def _take(gateway: StripeGateway, ready: Ready) -> Sequence[Link]:
    made = await gateway.take_balance(
        case_id=ready.errand.subject_id,
        customer_id=ready.errand.content["customer_id"],
        amount_yen=ready.errand.content["amount_yen"],
    )
    return (_link(ready, "intent", made.stripe_id),)


def _link(ready: Ready, kind: str, stripe_id: str, url: str | None = None) -> Link:
    return Link(kind, ready.errand.subject_id, stripe_id, ready.errand.organisation_id, url)


def _customer_link(ready: Ready, stripe_id: str) -> Link:
    return Link("customer", ready.errand.organisation_id, stripe_id, ready.errand.organisation_id)


_HOW: Mapping[Task, Callable[[StripeGateway, Ready], Awaitable[Sequence[Link]]]] = {
    Task.ISSUE: _issue,
    Task.REMIND: _remind,
    Task.CLOSE: _close,
    Task.CREDIT: _credit,
    Task.CHECKOUT: _checkout,
    Task.REFUND: _refund,
    Task.GIVE_BACK: _give_back,
    Task.TAKE: _take,
}
"""Each does its errand at Stripe, and tells what is linked to ours now. GatewayAway, GatewayRefused."""
