"""The gateway against the fake: each step may be cut off before or behind Stripe's work, and done again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from pricing.collectable import CollectLine
from pricing.errors import WebhookRefused
from pricing.remote import Customer, GatewayAway, GatewayRefused, RemoteCash, RemoteIntent, RemoteInvoice
from pricing.stripe_gateway import API_VERSION, TOLERANCE, StripeGateway, verified
from tests.support.collecting import a_collectable
from tests.support.fake_stripe import FakeStripe, Killed, invoices
from tests.support.fake_stripe.house import OLDER_SECRET, SECRET
from tests.support.market import an_id

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHO = Customer(
    organisation_id=an_id("organisation", "alpha"),
    name="株式会社ひかり",
    email="keiri@example.jp",
    tax_ids=(("jp_cn", "1234567890123"), ("jp_trn", "T1234567890123")),
)


@pytest.fixture
def fake() -> FakeStripe:
    return FakeStripe(NOW)


@pytest.fixture
def gateway(fake: FakeStripe) -> StripeGateway:
    return StripeGateway(fake.key, http_client=fake.transport)


async def _customer(gateway: StripeGateway) -> str:
    return (await gateway.ensure_customer(WHO, known_id=None)).stripe_id


def test_the_pinned_version_is_the_librarys() -> None:
    assert stripe.api_version == API_VERSION


async def test_an_invoice_is_ours_to_the_yen_the_number_and_the_tax(fake: FakeStripe, gateway: StripeGateway) -> None:
    prepaid = (CollectLine(description="前払金充当", amount_yen=-331),)
    of = a_collectable(
        net_yen=315, tax_yen=31, amount_yen=15 + 100, others=(*prepaid, CollectLine(description="繰越", amount_yen=100))
    )
    made = await gateway.issue_invoice(of, customer_id=await _customer(gateway))
    assert (made.status, made.total_yen, made.currency, made.ref) == ("open", 115, "jpy", of.document_id)
    [invoice] = fake.of("invoice")
    assert invoice["number"] == of.number
    assert invoice["payment_settings"]["payment_method_types"] == ["customer_balance"]
    assert sum(tax["amount"] for line in invoice["lines"]["data"] for tax in line["taxes"]) == 31
    assert [event["type"] for event in fake.world.events][-2:] == ["invoice.finalized", "invoice.sent"]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("step", range(5))
async def test_cut_off_anywhere_it_is_finished_once(
    fake: FakeStripe, gateway: StripeGateway, side: str, step: int
) -> None:
    """customer, draft, lines, finalise, send: the process dies before the call arrives, or before its answer does."""
    calls = 0

    def cut(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls == step + 1:
            raise Killed

    async def all_of_it() -> RemoteInvoice:
        return await gateway.issue_invoice(a_collectable(), customer_id=await _customer(gateway))

    setattr(fake.transport, side, cut)
    with pytest.raises(Killed):
        await all_of_it()
    setattr(fake.transport, side, lambda _: None)
    assert (await all_of_it()).total_yen == 1100
    fake.pass_time(timedelta(days=3))  # Stripe has forgotten all keys
    fake.world.answers.clear()
    assert (await all_of_it()).status == "open"
    assert [len(fake.of(kind)) for kind in ("customer", "invoice", "payment_intent")] == [1, 1, 1]
    assert len(fake.of("invoice")[0]["lines"]["data"]) == 2


async def test_a_draft_that_is_a_yen_off_is_deleted_and_an_open_one_voided(
    fake: FakeStripe, gateway: StripeGateway
) -> None:
    customer, of = await _customer(gateway), a_collectable()

    def add_a_yen(path: str) -> None:
        if path == "/v1/invoices":  # somebody is quicker, in the dashboard
            invoices.add_lines(fake.world, fake.of("invoice")[-1]["id"], {"lines": [{"amount": 1}]})

    fake.transport.after = add_a_yen
    with pytest.raises(GatewayRefused, match="1101"):
        await gateway.issue_invoice(of, customer_id=customer)
    assert fake.of("invoice") == []

    def take_a_yen(path: str) -> None:
        if path.endswith("finalize"):
            fake.of("invoice")[-1].update(total=1099)

    fake.transport.after, fake.transport.before = (lambda _: None), take_a_yen
    with pytest.raises(GatewayRefused, match="1099"):
        await gateway.issue_invoice(of, customer_id=customer, revision=1)
    assert [each["status"] for each in fake.of("invoice")] == ["void"]


async def test_down_is_away_and_a_wrong_word_is_refused(fake: FakeStripe, gateway: StripeGateway) -> None:
    fake.transport.is_down = True
    with pytest.raises(GatewayAway):
        await _customer(gateway)
    fake.transport.is_down = False
    with pytest.raises(GatewayRefused, match="jp_cn"):
        await gateway.ensure_customer(replace(WHO, tax_ids=(("jp_cn", "12"),)), known_id=None)
    with pytest.raises(GatewayAway, match="Authentication"):
        await StripeGateway("rk_wrong", http_client=fake.transport).look("in_1")


async def test_paid_elsewhere_closes_it_once_and_tells_no_payment_of_stripes(
    fake: FakeStripe, gateway: StripeGateway
) -> None:
    made = await gateway.issue_invoice(a_collectable(), customer_id=await _customer(gateway))
    for _ in range(2):
        await gateway.close_invoice(made.stripe_id, document_id=a_collectable().document_id, who=WHO)
    seen = await gateway.look(made.stripe_id)
    assert isinstance(seen, RemoteInvoice)
    assert (seen.status, [each.intent_id for each in seen.payments]) == ("paid", [None])


async def test_checkout_refund_and_credit_note_happen_once(fake: FakeStripe, gateway: StripeGateway) -> None:
    customer = await _customer(gateway)
    for _ in range(2):
        fake.world.answers.clear()
        made = await gateway.open_checkout(
            topup_id=an_id("t"), customer_id=customer, amount_yen=5000, words="前払い", return_url="https://x.test/"
        )
    paid = fake.pay_checkout(made.stripe_id)
    seen = await gateway.look(paid["id"])
    assert isinstance(seen, RemoteIntent)
    assert (seen.ref, seen.received_yen, seen.status) == (an_id("t"), 5000, "succeeded")
    invoice = await gateway.issue_invoice(a_collectable(), customer_id=customer)
    for _ in range(2):
        fake.world.answers.clear()
        await gateway.refund(refund_id=an_id("r"), intent_id=paid["id"], amount_yen=2000)
        await gateway.credit_invoice(invoice.stripe_id, note_id=an_id("n"), number="CN-1", amount_yen=100)
    assert [each["amount"] for each in fake.of("refund")] == [2000]
    assert [each["amount"] for each in fake.of("credit_note")] == [100]
    fake.transfer(customer, 1000)
    after = await gateway.look(invoice.stripe_id)
    assert isinstance(after, RemoteInvoice)
    assert (after.status, after.payments[0].amount_yen) == ("paid", 1000)


async def test_what_stays_of_transfers_is_taken_or_given_back_once(fake: FakeStripe, gateway: StripeGateway) -> None:
    customer = await _customer(gateway)
    fake.transfer(customer, 700, sender="カ）ベツ")
    seen = await gateway.look(customer)
    assert isinstance(seen, RemoteCash)
    assert (seen.available_yen, seen.sender, seen.open_yen) == (700, "カ）ベツ", ())
    for _ in range(2):
        fake.world.answers.clear()
        await gateway.refund_balance(case_id=an_id("c"), customer_id=customer, amount_yen=300)
        await gateway.take_balance(case_id=an_id("d"), customer_id=customer, amount_yen=400)
    assert (await gateway.look(customer)).available_yen == 0  # type: ignore[union-attr]


async def test_what_is_not_there_or_does_not_matter_is_nothing(gateway: StripeGateway) -> None:
    assert [await gateway.look(each) for each in ("in_none", "price_1", "")] == [None, None, None]


async def test_events_come_oldest_first_over_pages(fake: FakeStripe, gateway: StripeGateway) -> None:
    customer = await _customer(gateway)
    for _ in range(150):
        fake.transfer(customer, 10)
        fake.pass_time(timedelta(seconds=1))
    found = await gateway.events(since=NOW, until=NOW + timedelta(days=1))
    assert [each.event_id for each in found] == [event["id"] for event in fake.world.events]
    assert {each.object_id for each in found} == {customer}


def _mail(fake: FakeStripe) -> bytes:
    customer: Any = fake.world.add("cus", "customer", balance=0)
    fake.world.tell("customer.updated", customer)
    return fake.mail()[-1]


def test_a_signature_under_either_secret_counts_and_no_other(fake: FakeStripe) -> None:
    body = _mail(fake)
    for signed_with, active in (((OLDER_SECRET,), (SECRET, OLDER_SECRET)), ((SECRET, OLDER_SECRET), (SECRET,))):
        header = fake.signature(body, at=NOW, secrets=signed_with)
        assert verified(body, header, secrets=active, now=NOW).object_id == fake.of("customer")[0]["id"]
    good = fake.signature(body, at=NOW)
    for wrong in (
        "",
        None,
        "t=1",
        "v1=ab",
        "t=x,v1=y",
        good.replace("v1=", "v0="),
        fake.signature(body, at=NOW, secrets=["no"]),
    ):
        with pytest.raises(WebhookRefused) as refused:
            verified(body, wrong, secrets=(SECRET, OLDER_SECRET), now=NOW)
        assert refused.value.facts == {"problem": "signature"}
    with pytest.raises(WebhookRefused):
        verified(body + b" ", good, secrets=(SECRET,), now=NOW)
    with pytest.raises(WebhookRefused):
        verified(body, good, secrets=(), now=NOW)


def test_what_is_old_or_no_event_is_refused_by_our_own_clock(fake: FakeStripe) -> None:
    body = _mail(fake)
    header = fake.signature(body, at=NOW)
    assert verified(body, header, secrets=(SECRET,), now=NOW + TOLERANCE).type == "customer.updated"
    for now in (NOW + TOLERANCE + timedelta(seconds=1), NOW - timedelta(hours=1)):
        with pytest.raises(WebhookRefused) as refused:
            verified(body, header, secrets=(SECRET,), now=now)
        assert refused.value.facts == {"problem": "age"}
    for nonsense in (b"[]", b"{}", b"nothing", b'{"object":"event"}', "\N{SNOWMAN}".encode("utf-16")):
        with pytest.raises(WebhookRefused):
            verified(nonsense, fake.signature(nonsense, at=NOW), secrets=(SECRET,), now=NOW)
