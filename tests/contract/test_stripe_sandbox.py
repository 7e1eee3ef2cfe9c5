"""The gateway against Stripe's own sandbox: only when a key is given.

    STRIPE_TEST_KEY=rk_test_… pytest tests/contract/test_stripe_sandbox.py

The key: restricted, of a sandbox of an account in Japan with bank transfers, with the rights that pricing/PAYMENTS.md
names. What is made there stays there, under references of its own.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4  # noqa: TID251  a sandbox remembers: each run is another customer's

import pytest
import stripe

from pricing.remote import Customer, RemoteInvoice
from pricing.stripe_gateway import API_VERSION, StripeGateway
from tests.support.collecting import a_collectable

KEY = os.environ.get("STRIPE_TEST_KEY", "")
pytestmark = [
    pytest.mark.skipif(not KEY, reason="needs STRIPE_TEST_KEY=rk_test_… of a Japanese sandbox (pricing/PAYMENTS.md)"),
    pytest.mark.enable_socket,
]


async def test_an_invoice_is_paid_by_a_transfer_and_nothing_is_made_twice() -> None:
    assert KEY.startswith(("rk_test_", "sk_test_")), "a key of a sandbox, never a live one"
    gateway, organisation = StripeGateway(KEY), uuid4()
    of = replace(
        a_collectable(net_yen=315, tax_yen=31),
        document_id=uuid4(),
        organisation_id=organisation,
        number=f"TEST-{organisation.hex[:12]}",
        due_date=date.today() + timedelta(days=30),  # noqa: DTZ011  the sandbox has a clock of its own
    )
    who = Customer(organisation_id=organisation, name="株式会社ひかり", email="keiri@example.com")
    customer = await gateway.ensure_customer(who, known_id=None)
    assert await gateway.ensure_customer(who, known_id=None) == customer
    first = await gateway.issue_invoice(of, customer_id=customer.stripe_id)
    again = await gateway.issue_invoice(of, customer_id=customer.stripe_id)
    assert (first.stripe_id, first.total_yen, first.status) == (again.stripe_id, 346, "open")
    client = stripe.StripeClient(KEY, stripe_version=API_VERSION)
    client.v1.test_helpers.customers.fund_cash_balance(customer.stripe_id, {"amount": 346, "currency": "jpy"})
    for _ in range(30):
        seen = await gateway.look(first.stripe_id)
        assert isinstance(seen, RemoteInvoice)
        if seen.status == "paid":
            break
        await asyncio.sleep(1)
    assert [each.amount_yen for each in seen.payments] == [346]
    now = datetime.now(UTC)  # noqa: TID251  the sandbox's
    told = await gateway.events(since=now - timedelta(hours=1), until=now + timedelta(minutes=1))
    assert first.stripe_id in {each.object_id for each in told}
