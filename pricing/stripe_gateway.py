"""Stripe: the only module that imports its library, and the only one of this package that calls out.

The library's client is synchronous and runs in a worker thread. It never repeats a call by itself: the outbox does,
with the same Idempotency-Key, after looking whether the thing is there (`metadata.ref`). Prices, taxes and numbers are
ours (manual tax amounts, our invoice number); Stripe collects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID

import stripe

from infra.tokyo import TOKYO
from pricing.collectable import Collectable
from pricing.errors import WebhookRefused
from pricing.payments import idempotency_key
from pricing.remote import (
    Customer,
    EventHint,
    GatewayAway,
    GatewayRefused,
    Made,
    Remote,
    RemoteCash,
    RemoteInvoice,
    Snapshot,
)
from pricing.stripe_words import (
    hint_of,
    instant,
    lines_of,
    read_dispute,
    read_intent,
    read_invoice,
    read_refund,
    ref_of,
    seconds,
)

API_VERSION = "2026-10-28.endive"
"""Pinned in the library, in each request and at the webhook endpoint alike."""
TOLERANCE = timedelta(minutes=5)
_TIMEOUT_S = 30.0
_LINES_AT_ONCE = 50
_PAGE = 100
_TRANSFER = {
    "payment_method_types": ["customer_balance"],
    "payment_method_options": {
        "customer_balance": {"funding_type": "bank_transfer", "bank_transfer": {"type": "jp_bank_transfer"}}
    },
}
T = TypeVar("T")


class StripeGateway:
    """key: a restricted one (invoices, customers, charges, checkout, events). http_client: for tests."""

    def __init__(self, key: str, *, http_client: stripe.HTTPClient | None = None) -> None:
        client = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            max_network_retries=0,
            http_client=http_client or stripe.RequestsClient(timeout=_TIMEOUT_S),
        )
        self._api: Any = client.v1

    # What the outbox asks for. Each may be repeated as often as needed. GatewayAway, GatewayRefused.

    async def ensure_customer(self, who: Customer, *, known_id: str | None) -> Made:
        """The customer of an organisation, made if there is none."""
        return Made(known_id) if known_id else await self._call(lambda: self._customer(who))

    async def issue_invoice(self, of: Collectable, *, customer_id: str, revision: int = 0) -> RemoteInvoice:
        """Draft, lines, finalise, send. GatewayRefused: its total is not ours, and it was deleted or voided."""
        return await self._call(lambda: self._issue(of, customer_id, revision))

    async def remind(self, stripe_id: str, *, document_id: UUID, revision: int) -> None:
        """Write to the customer about an open invoice once more."""
        key = _key("remind", document_id, revision)
        await self._call(lambda: self._api.invoices.send_invoice(stripe_id, {}, key))

    async def close_invoice(self, stripe_id: str | None, *, document_id: UUID, who: Customer) -> None:
        """It was paid elsewhere. One that is open no longer stays as it is, and there need not be one.

        stripe_id None: it was never linked, and may all the same have been made just before a crash.
        """
        await self._call(lambda: self._close(stripe_id, document_id, who))

    async def credit_invoice(self, stripe_id: str, *, note_id: UUID, number: str, amount_yen: int) -> Made:
        """A credit note. On a paid invoice the value goes back in our ledger, not through Stripe."""
        return await self._call(lambda: self._credit(stripe_id, note_id, number, amount_yen))

    async def open_checkout(
        self, *, topup_id: UUID, customer_id: str, amount_yen: int, words: str, return_url: str
    ) -> Made:
        """A page on which a card pays for prepaid value."""
        return await self._call(lambda: self._checkout(topup_id, customer_id, amount_yen, words, return_url))

    async def refund(self, *, refund_id: UUID, intent_id: str, amount_yen: int) -> Made:
        """Money of a payment goes back to the card or account that it came from."""
        params = {"payment_intent": intent_id, "amount": amount_yen, "metadata": {"ref": str(refund_id)}}
        return await self._call(lambda: self._refund(refund_id, params))

    async def refund_balance(self, *, case_id: UUID, customer_id: str, amount_yen: int) -> Made:
        """Money in the cash balance goes back to the account that it came from."""
        params = {
            "origin": "customer_balance",
            "customer": customer_id,
            "amount": amount_yen,
            "currency": "jpy",
            "metadata": {"ref": str(case_id)},
        }
        return await self._call(lambda: self._refund(case_id, params))

    async def take_balance(self, *, case_id: UUID, customer_id: str, amount_yen: int) -> Made:
        """Money in the cash balance becomes ours, for prepaid value."""
        return await self._call(lambda: self._take(case_id, customer_id, amount_yen))

    # What is there.

    async def look(self, object_id: str) -> Remote | None:
        """An object as it is now. None: it is not there, or of no kind that matters here."""
        return await self._call(lambda: self._look(object_id))

    async def events(self, *, since: datetime, until: datetime) -> list[EventHint]:
        """All events of [since, until), oldest first. Stripe keeps them for 30 days."""
        created = {"gte": seconds(since), "lt": seconds(until)}
        found = await self._call(
            lambda: list(self._api.events.list({"created": created, "limit": _PAGE}).auto_paging_iter())
        )
        return [hint_of(each) for each in reversed(found)]

    async def snapshot(self, *, since: datetime) -> Snapshot:
        """What was received and given back since then, and what is open, for the nightly comparison."""
        return await self._call(lambda: self._snapshot(seconds(since)))

    # The synchronous side.

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except (stripe.InvalidRequestError, stripe.CardError) as refused:
            raise GatewayRefused(str(refused)) from refused
        except stripe.StripeError as away:  # down, too many requests, a key that is wrong: time and people heal that
            raise GatewayAway(f"{type(away).__name__}: {away}") from away

    def _find_customer(self, who: Customer) -> Any:
        query = f"metadata['ref']:'{who.organisation_id}'"
        return next(iter(self._api.customers.search({"query": query}).data), None)

    def _customer(self, who: Customer) -> Made:
        if found := self._find_customer(who):
            return Made(found.id)
        params: dict[str, Any] = {
            "name": who.name,
            "preferred_locales": ["ja"],
            "metadata": {"ref": str(who.organisation_id)},
        }
        if who.email:
            params["email"] = who.email
        if who.tax_ids:
            params["tax_id_data"] = [{"type": kind, "value": value} for kind, value in who.tax_ids]
        return Made(self._api.customers.create(params, _key("customer", who.organisation_id)).id)

    def _issue(self, of: Collectable, customer_id: str, revision: int) -> RemoteInvoice:
        invoice = self._invoice_of(of.document_id, customer_id) or self._draft(of, customer_id, revision)
        if invoice.status == "draft":
            if not invoice.lines.data:
                invoice = self._add_lines(invoice.id, of, revision)
            if invoice.total != of.amount_yen:
                self._api.invoices.delete(invoice.id)
                raise GatewayRefused(f"the draft of {of.number} came to {invoice.total}, not to {of.amount_yen}")
            key = _key("finalize", of.document_id, revision)
            invoice = self._api.invoices.finalize_invoice(invoice.id, {"auto_advance": False}, key)
        if invoice.total != of.amount_yen:
            if invoice.status == "open":
                self._api.invoices.void_invoice(invoice.id, {}, _key("void", of.document_id, revision))
            raise GatewayRefused(f"{of.number} is {invoice.total} at Stripe, not {of.amount_yen}")
        if invoice.status == "open":
            self._api.invoices.send_invoice(invoice.id, {}, _key("send", of.document_id, revision))
        return self._read_invoice(invoice)

    def _invoice_of(self, document_id: UUID, customer_id: str) -> Any:
        """Ours that is there and not void. Lists are complete at once; searches lag behind."""
        listed = self._api.invoices.list({"customer": customer_id, "limit": _PAGE})
        for each in listed.auto_paging_iter():
            if ref_of(each) == document_id and each.status != "void":
                return each
        return None

    def _draft(self, of: Collectable, customer_id: str, revision: int) -> Any:
        end_of_day = datetime.combine(of.due_date, time(23, 59, 59), TOKYO)
        params = {
            "customer": customer_id,
            "currency": "jpy",
            "number": of.number,
            "collection_method": "send_invoice",
            "due_date": seconds(end_of_day),
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "payment_settings": _TRANSFER,
            "metadata": {"ref": str(of.document_id)},
        }
        return self._api.invoices.create(params, _key("draft", of.document_id, revision))

    def _add_lines(self, stripe_id: str, of: Collectable, revision: int) -> Any:
        lines = lines_of(of)
        invoice = None
        for first in range(0, len(lines), _LINES_AT_ONCE):
            key = _key(f"lines {first}", of.document_id, revision)
            some = {"lines": lines[first : first + _LINES_AT_ONCE]}
            invoice = self._api.invoices.add_lines(stripe_id, some, key)
        return invoice

    def _close(self, stripe_id: str | None, document_id: UUID, who: Customer) -> None:
        known = None if stripe_id else self._find_customer(who)
        invoice = self._invoice_of(document_id, known.id) if known else None
        if stripe_id:
            invoice = self._api.invoices.retrieve(stripe_id)
        if invoice is not None and invoice.status == "open":
            self._api.invoices.pay(invoice.id, {"paid_out_of_band": True}, _key("close", document_id))

    def _credit(self, stripe_id: str, note_id: UUID, number: str, amount_yen: int) -> Made:
        for each in self._api.credit_notes.list({"invoice": stripe_id, "limit": _PAGE}).auto_paging_iter():
            if ref_of(each) == note_id:
                return Made(each.id)
        params: dict[str, Any] = {
            "invoice": stripe_id,
            "amount": amount_yen,
            "memo": number,
            "email_type": "none",
            "metadata": {"ref": str(note_id)},
        }
        if self._api.invoices.retrieve(stripe_id).status == "paid":
            params["out_of_band_amount"] = amount_yen
        return Made(self._api.credit_notes.create(params, _key("credit", note_id)).id)

    def _checkout(self, topup_id: UUID, customer_id: str, amount_yen: int, words: str, return_url: str) -> Made:
        for each in self._api.checkout.sessions.list({"customer": customer_id, "limit": _PAGE}).auto_paging_iter():
            if ref_of(each) == topup_id:
                return Made(each.id, each.url)
        ref = {"ref": str(topup_id)}
        price = {"currency": "jpy", "unit_amount": amount_yen, "product_data": {"name": words}}
        params = {
            "mode": "payment",
            "customer": customer_id,
            "allowed_payment_method_types": ["card"],
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": return_url,
            "cancel_url": return_url,
            "client_reference_id": str(topup_id),
            "metadata": ref,
            "payment_intent_data": {"metadata": ref},
        }
        made = self._api.checkout.sessions.create(params, _key("checkout", topup_id))
        return Made(made.id, made.url)

    def _refund(self, refund_id: UUID, params: dict[str, Any]) -> Made:
        wanted = {name: params[name] for name in ("payment_intent",) if name in params}
        for each in self._api.refunds.list({**wanted, "limit": _PAGE}).auto_paging_iter():
            if ref_of(each) == refund_id:
                return Made(each.id)
        return Made(self._api.refunds.create(params, _key("refund", refund_id)).id)

    def _take(self, case_id: UUID, customer_id: str, amount_yen: int) -> Made:
        for each in self._api.payment_intents.list({"customer": customer_id, "limit": _PAGE}).auto_paging_iter():
            if ref_of(each) == case_id:
                return Made(each.id)
        params = {
            "amount": amount_yen,
            "currency": "jpy",
            "customer": customer_id,
            "confirm": True,
            "allowed_payment_method_types": _TRANSFER["payment_method_types"],
            "payment_method_data": {"type": "customer_balance"},
            "payment_method_options": _TRANSFER["payment_method_options"],
            "metadata": {"ref": str(case_id)},
        }
        return Made(self._api.payment_intents.create(params, _key("take", case_id)).id)

    def _look(self, object_id: str) -> Remote | None:
        readers: dict[str, Callable[[str], Remote | None]] = {
            "in": lambda each: self._read_invoice(self._api.invoices.retrieve(each)),
            "cus": self._cash,
            "pi": lambda each: self._read_intent(self._api.payment_intents.retrieve(each)),
            "re": lambda each: read_refund(self._api.refunds.retrieve(each)),
            "dp": lambda each: read_dispute(self._api.disputes.retrieve(each)),
        }
        reader = readers.get(object_id.partition("_")[0])
        try:
            return reader(object_id) if reader else None
        except stripe.InvalidRequestError as gone:
            if gone.code == "resource_missing":
                return None
            raise

    def _read_invoice(self, invoice: Any) -> RemoteInvoice:
        paid = self._api.invoice_payments.list({"invoice": invoice.id, "status": "paid", "limit": _PAGE})
        return read_invoice(invoice, paid.auto_paging_iter())

    def _cash(self, customer_id: str) -> RemoteCash:
        balance = self._api.customers.cash_balance.retrieve(customer_id)
        available = balance.available.to_dict() if balance.available else {}
        moves = self._api.customers.cash_balance_transactions.list(customer_id, {"limit": _PAGE})
        last = next((each for each in moves.auto_paging_iter() if each.type == "funded"), None)
        jp = last.funded.bank_transfer.jp_bank_transfer if last else None
        opens = self._api.invoices.list({"customer": customer_id, "status": "open", "limit": _PAGE})
        return RemoteCash(
            customer_id=customer_id,
            available_yen=available.get("jpy", 0),
            other_currencies=tuple(sorted(set(available) - {"jpy"})),
            last_transfer_id=last.id if last else None,
            sender=jp.sender_name if jp else None,
            open_yen=tuple(each.amount_remaining for each in opens.auto_paging_iter()),
        )

    def _read_intent(self, intent: Any) -> Remote:
        """A payment; of an invoice, that invoice."""
        if ref_of(intent) is None:
            params = {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
            for each in self._api.invoice_payments.list(params).data:
                return self._read_invoice(self._api.invoices.retrieve(each.invoice))
        return read_intent(intent)

    def _snapshot(self, since_s: int) -> Snapshot:
        window = {"created": {"gte": since_s}, "limit": _PAGE}
        intents = list(self._api.payment_intents.list(window).auto_paging_iter())
        refunds = self._api.refunds.list(window).auto_paging_iter()
        opens = list(self._api.invoices.list({"status": "open", "limit": _PAGE}).auto_paging_iter())
        disputes = self._api.disputes.list(window).auto_paging_iter()
        return Snapshot(
            received={each.id: each.amount_received for each in intents if each.status == "succeeded"},
            refunded={each.id: each.amount for each in refunds if each.status not in {"failed", "canceled"}},
            asked={each.id: each.total for each in opens if ref_of(each) is not None},
            disputed=tuple(each.id for each in disputes),
            customers=tuple(sorted({each.customer for each in opens if each.customer})),
        )


def verified(body: bytes, header: str | None, *, secrets: Sequence[str], now: datetime) -> EventHint:
    """A webhook as it came. WebhookRefused: under none of the active secrets, too old, or no event.

    secrets: two while one is being replaced. The age is judged by `now`, not by the library's clock.
    """
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret, None)
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        sent = int((header or "").partition("t=")[2].partition(",")[0])
        if abs(now - instant(sent)) > TOLERANCE:
            raise WebhookRefused(problem="age")
        return _event(body)
    raise WebhookRefused(problem="signature")


def _event(body: bytes) -> EventHint:
    try:
        return hint_of(stripe.StripeClient("unused").construct_event_without_verification(body))
    except (ValueError, AttributeError, TypeError, KeyError) as wrong:
        raise WebhookRefused(problem="content") from wrong


def _key(kind: str, our_id: UUID, revision: int = 0) -> dict[str, str]:
    return {"idempotency_key": idempotency_key(kind, our_id, revision)}
