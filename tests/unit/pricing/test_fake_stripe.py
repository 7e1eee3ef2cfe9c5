"""The fake keeps what the product relies on: without this, tests against it prove nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from tests.support.fake_stripe import FakeStripe
from tests.support.fake_stripe.house import API_VERSION, OLDER_SECRET, SECRET

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def fake() -> FakeStripe:
    return FakeStripe(NOW)


@pytest.fixture
def client(fake: FakeStripe) -> Any:
    return _client(fake)


def _client(fake: FakeStripe, *, key: str | None = None, version: str = API_VERSION) -> Any:
    return stripe.StripeClient(
        key or fake.key, stripe_version=version, max_network_retries=0, http_client=fake.transport
    ).v1


def _key(word: str) -> dict[str, str]:
    return {"idempotency_key": word}


def _invoice(client: Any, *, yen: int = 1000, tax: int = 100, number: str = "I-1") -> tuple[str, str]:
    """A customer and an open invoice."""
    customer = client.customers.create({"name": "株式会社ひかり"}, _key(f"customer {number}"))
    draft = client.invoices.create(
        {
            "customer": customer.id,
            "currency": "jpy",
            "collection_method": "send_invoice",
            "due_date": int(NOW.timestamp()) + 86_400,
            "number": number,
        },
        _key(f"draft {number}"),
    )
    rate = {"display_name": "消費税", "percentage": 10, "inclusive": False}
    taxes = [{"amount": tax, "taxable_amount": yen, "tax_rate_data": rate}]
    lines = [{"amount": yen, "description": "GPU", "tax_amounts": taxes}]
    client.invoices.add_lines(draft.id, {"lines": lines}, _key(f"lines {number}"))
    client.invoices.finalize_invoice(draft.id, {}, _key(f"final {number}"))
    return customer.id, draft.id


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"custmer": "cus_1"}, "custmer"),
        ({"customer": "cus_1", "due_date": "1.5"}, "due_date"),
        ({"customer": "cus_1", "collection_method": "sned_invoice"}, "collection_method"),
        ({"customer": "cus_1", "auto_advance": "yes"}, "auto_advance"),
        ({"customer": "cus_1", "custom_fields": [{"name": "番号"}]}, "value"),
    ],
)
def test_what_the_published_types_do_not_know_is_refused(client: Any, params: dict[str, Any], named: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=named):
        client.invoices.create(params, _key("x"))


def test_a_fraction_of_a_yen_is_refused(client: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="amount"):
        client.refunds.create({"payment_intent": "pi_1", "amount": 1.0}, _key("x"))


def test_an_unknown_route_another_key_or_another_version_is_refused(fake: FakeStripe, client: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized"):
        client.billing.meters.list({})
    with pytest.raises(stripe.AuthenticationError):
        _client(fake, key="sk_other").customers.retrieve("cus_1")
    with pytest.raises(stripe.InvalidRequestError, match="version"):
        _client(fake, version="2026-09-30.endive").customers.retrieve("cus_1")


def test_a_key_stands_for_one_request(client: Any) -> None:
    first = client.customers.create({"name": "甲"}, _key("k"))
    assert client.customers.create({"name": "甲"}, _key("k")).id == first.id
    with pytest.raises(stripe.IdempotencyError):
        client.customers.create({"name": "乙"}, _key("k"))


def test_a_number_is_used_once_and_an_open_invoice_does_not_change(client: Any) -> None:
    _, invoice = _invoice(client)
    with pytest.raises(stripe.InvalidRequestError, match="open, not draft"):
        client.invoices.add_lines(invoice, {"lines": [{"amount": 1}]}, _key("more"))
    with pytest.raises(stripe.InvalidRequestError, match="already in use"):
        client.invoices.create(
            {"customer": client.invoices.retrieve(invoice).customer, "currency": "jpy", "number": "I-1"}, _key("again")
        )


@pytest.mark.parametrize(
    ("transfers", "status", "left"),
    [([1100], "paid", 0), ([1099], "open", 1099), ([1099, 1], "paid", 0), ([1500], "paid", 400), ([], "open", 0)],
)
def test_a_transfer_pays_a_whole_invoice_or_waits(
    fake: FakeStripe, client: Any, transfers: list[int], status: str, left: int
) -> None:
    customer, invoice = _invoice(client)
    for amount in transfers:
        fake.transfer(customer, amount)
    assert client.invoices.retrieve(invoice).status == status
    available = client.customers.cash_balance.retrieve(customer).available
    assert (getattr(available, "jpy", 0) if available else 0) == left


def test_a_total_below_the_minimum_charge_goes_to_the_customers_balance(client: Any) -> None:
    customer, invoice = _invoice(client, yen=45, tax=4)
    assert client.invoices.retrieve(invoice).status == "paid"
    assert client.customers.retrieve(customer).balance == 49


def test_mail_is_signed_with_each_active_secret(fake: FakeStripe, client: Any) -> None:
    fake.transfer(_invoice(client)[0], 1100)
    [*_, paid] = fake.mail()
    header = fake.signature(paid, at=NOW, secrets=(SECRET, OLDER_SECRET))
    for secret in (SECRET, OLDER_SECRET):
        assert stripe.WebhookSignature.verify_header(paid, header, secret, None)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(paid + b" ", header, SECRET, None)


def test_search_lags_and_lists_do_not(fake: FakeStripe, client: Any) -> None:
    made = client.customers.create({"metadata": {"ref": "o-1"}}, _key("k"))
    assert client.customers.search({"query": "metadata['ref']:'o-1'"}).data == []
    fake.pass_time(timedelta(minutes=1))
    assert [each.id for each in client.customers.search({"query": "metadata['ref']:'o-1'"}).data] == [made.id]


def test_no_more_is_refunded_than_was_paid(fake: FakeStripe, client: Any) -> None:
    fake.transfer(_invoice(client)[0], 1100)
    [intent] = fake.of("payment_intent")
    client.refunds.create({"payment_intent": intent["id"], "amount": 1000}, _key("a"))
    with pytest.raises(stripe.InvalidRequestError, match="larger"):
        client.refunds.create({"payment_intent": intent["id"], "amount": 101}, _key("b"))
