"""Between Stripe's objects and ours, both ways; the library itself is not needed for that. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pricing.collectable import Collectable, CollectLine, split_tax
from pricing.remote import EventHint, InvoicePaid, RemoteDispute, RemoteIntent, RemoteInvoice, RemoteRefund

_KNOWN_BY = {
    "cash_balance": "customer",
    "customer_cash_balance_transaction": "customer",
    "charge": "payment_intent",
    "checkout.session": "payment_intent",
    "invoice_payment": "invoice",
}
"""By which field the object is asked for that an event is really about."""


def hint_of(event: Any) -> EventHint:
    """What an event is about. AttributeError: it is no event."""
    thing = event.data.object
    object_id = getattr(thing, _KNOWN_BY.get(thing.object, "id"), None) or getattr(thing, "id", "")
    return EventHint(event_id=event.id, type=event.type, object_id=str(object_id), happened_at=instant(event.created))


def lines_of(of: Collectable) -> list[dict[str, Any]]:
    """The lines of an invoice, each with its part of the tax of its rate."""
    lines = [_line(each) for each in of.others]
    for group in of.groups:
        amounts = [each.amount_yen for each in group.lines]
        rate = {
            "display_name": "消費税",
            "percentage": group.rate_bp / 100,
            "inclusive": False,
            "country": "JP",
            "tax_type": "jct",
        }
        for each, tax in zip(group.lines, split_tax(group.tax_yen, amounts), strict=True):
            taxes = [{"amount": tax, "taxable_amount": each.amount_yen, "tax_rate_data": rate}]
            lines.append({**_line(each), "tax_amounts": taxes})
    return lines


def _line(line: CollectLine) -> dict[str, Any]:
    return {"amount": line.amount_yen, "description": line.description}


def read_paid(payment: Any) -> InvoicePaid:
    return InvoicePaid(
        intent_id=getattr(payment.payment, "payment_intent", None),
        amount_yen=payment.amount_paid,
        paid_at=instant(payment.status_transitions.paid_at),
    )


def read_refund(refund: Any) -> RemoteRefund:
    return RemoteRefund(
        stripe_id=refund.id,
        ref=ref_of(refund),
        intent_id=refund.payment_intent,
        status=refund.status,
        amount_yen=refund.amount,
    )


def read_dispute(dispute: Any) -> RemoteDispute:
    return RemoteDispute(
        stripe_id=dispute.id,
        intent_id=dispute.payment_intent,
        status=dispute.status,
        reason=dispute.reason,
        amount_yen=dispute.amount,
    )


def ref_of(thing: Any) -> UUID | None:
    """Our id in the metadata. What somebody typed there by hand is none."""
    try:
        return UUID(thing.metadata["ref"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_invoice(invoice: Any, paid: Any) -> RemoteInvoice:
    """paid: its payments that were made."""
    return RemoteInvoice(
        stripe_id=invoice.id,
        ref=ref_of(invoice),
        customer_id=invoice.customer,
        currency=invoice.currency,
        status=invoice.status,
        total_yen=invoice.total,
        url=invoice.hosted_invoice_url,
        payments=tuple(read_paid(each) for each in paid),
    )


def read_intent(intent: Any) -> RemoteIntent:
    return RemoteIntent(
        stripe_id=intent.id,
        ref=ref_of(intent),
        customer_id=intent.customer,
        currency=intent.currency,
        status=intent.status,
        received_yen=intent.amount_received,
        at=instant(intent.created),
    )


def instant(seconds: int) -> datetime:
    """Stripe's seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def seconds(at: datetime) -> int:
    """An instant in Stripe's seconds."""
    return int(at.timestamp())
