"""The routes that the product uses, each with the published type of its parameters; every other one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from stripe import params as types

from tests.support.fake_stripe import cash, invoices
from tests.support.fake_stripe.world import Thing, World

Handler = Callable[..., Thing]


def _show(kind: str) -> Handler:
    return lambda world, identity, _: world.get(kind, identity)


def _list(kind: str, url: str, *names: str) -> Handler:
    """Of this kind, those whose fields are as the parameters of these names say."""

    def handler(world: World, params: dict[str, Any]) -> Thing:
        wanted = {name: params[name] for name in names if name in params}
        found = world.all(kind, where=lambda each: all(each.get(name) == value for name, value in wanted.items()))
        return world.page(found, params, url)

    return handler


def _events(world: World, params: dict[str, Any]) -> Thing:
    return world.page(list(reversed(world.events)), params, "/v1/events")


_ID = r"([A-Za-z0-9_]+)"
ROUTES: list[tuple[str, str, type | None, Handler]] = [
    ("post", "/v1/customers", types.CustomerCreateParams, cash.create_customer),
    ("get", "/v1/customers/search", types.CustomerSearchParams, cash.search_customers),
    ("get", f"/v1/customers/{_ID}", None, _show("customer")),
    ("get", f"/v1/customers/{_ID}/cash_balance", None, cash.cash_balance),
    (
        "get",
        f"/v1/customers/{_ID}/cash_balance_transactions",
        types.CustomerCashBalanceTransactionListParams,
        cash.cash_transactions,
    ),
    ("post", "/v1/invoices", types.InvoiceCreateParams, invoices.create_invoice),
    (
        "get",
        "/v1/invoices",
        types.InvoiceListParams,
        _list("invoice", "/v1/invoices", "customer", "status"),
    ),
    ("get", f"/v1/invoices/{_ID}", None, _show("invoice")),
    ("delete", f"/v1/invoices/{_ID}", None, invoices.delete_draft),
    ("post", f"/v1/invoices/{_ID}/add_lines", types.InvoiceAddLinesParams, invoices.add_lines),
    ("post", f"/v1/invoices/{_ID}/finalize", types.InvoiceFinalizeInvoiceParams, invoices.finalize),
    ("post", f"/v1/invoices/{_ID}/send", None, invoices.send),
    ("post", f"/v1/invoices/{_ID}/void", None, invoices.void),
    ("post", f"/v1/invoices/{_ID}/pay", types.InvoicePayParams, invoices.pay),
    (
        "get",
        "/v1/invoice_payments",
        types.InvoicePaymentListParams,
        _list("invoice_payment", "/v1/invoice_payments", "invoice", "status", "payment"),
    ),
    ("post", "/v1/credit_notes", types.CreditNoteCreateParams, invoices.create_credit_note),
    (
        "get",
        "/v1/credit_notes",
        types.CreditNoteListParams,
        _list("credit_note", "/v1/credit_notes", "invoice"),
    ),
    ("post", "/v1/payment_intents", types.PaymentIntentCreateParams, cash.create_intent),
    (
        "get",
        "/v1/payment_intents",
        types.PaymentIntentListParams,
        _list("payment_intent", "/v1/payment_intents", "customer"),
    ),
    ("get", f"/v1/payment_intents/{_ID}", None, _show("payment_intent")),
    ("post", "/v1/checkout/sessions", types.checkout.SessionCreateParams, cash.create_session),
    (
        "get",
        "/v1/checkout/sessions",
        types.checkout.SessionListParams,
        _list("checkout.session", "/v1/checkout/sessions", "customer", "payment_intent"),
    ),
    ("get", f"/v1/checkout/sessions/{_ID}", None, _show("checkout.session")),
    ("post", "/v1/refunds", types.RefundCreateParams, cash.create_refund),
    ("get", "/v1/refunds", types.RefundListParams, _list("refund", "/v1/refunds", "payment_intent")),
    ("get", f"/v1/refunds/{_ID}", None, _show("refund")),
    ("get", f"/v1/charges/{_ID}", None, _show("charge")),
    ("get", f"/v1/disputes/{_ID}", None, _show("dispute")),
    ("get", "/v1/disputes", types.DisputeListParams, _list("dispute", "/v1/disputes", "payment_intent")),
    ("get", "/v1/events", types.EventListParams, _events),
]


def find(method: str, path: str) -> Iterator[tuple[type | None, Handler, tuple[str, ...]]]:
    """Those that fit; the more special ones stand first."""
    for wanted, pattern, params, handler in ROUTES:
        if method == wanted and (match := re.fullmatch(pattern, path)):
            yield params, handler, match.groups()
