"""What a test says to the fake: the world outside (banks, cardholders, the dashboard), and the delivery of events."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random  # noqa: TID251  a seed is given
from typing import Any

from tests.support.fake_stripe import cash, invoices
from tests.support.fake_stripe.transport import FakeTransport
from tests.support.fake_stripe.world import JPY, Thing, World

API_VERSION = "2026-10-28.endive"
KEY = "rk_test_of_the_fake"
SECRET, OLDER_SECRET = "whsec_new_of_the_fake", "whsec_old_of_the_fake"


class FakeStripe:
    """transport: what the library's client is given. world: what there is, to look at."""

    def __init__(self, now: datetime) -> None:
        self.world = World(now_s=int(now.timestamp()), api_version=API_VERSION)
        self.transport = FakeTransport(self.world, key=KEY)
        self.key = KEY

    def pass_time(self, by: timedelta) -> None:
        self.world.now_s += int(by.total_seconds())

    def of(self, kind: str) -> list[Thing]:
        """All objects of a kind, oldest first."""
        return list(reversed(self.world.all(kind)))

    def customer_of(self, ref: str) -> Thing:
        """The one whose metadata say so."""
        [found] = self.world.all("customer", where=lambda each: each["metadata"].get("ref") == ref)
        return found

    # What others do

    def transfer(self, customer_id: str, amount_yen: int, *, sender: str = "カ）ヒカリ") -> Thing:
        """A bank transfer arrives at the customer's virtual account: exact, short, too much, late or of nobody."""
        customer = self.world.get("customer", customer_id)
        jp = {"sender_name": sender, "sender_bank": "みずほ銀行", "sender_branch": "丸の内"}
        funded = {"bank_transfer": {"type": "jp_bank_transfer", "reference": None, "jp_bank_transfer": jp}}
        moved = cash.move_cash(self.world, customer, amount_yen, "funded", funded=funded)
        invoices.reconcile(self.world, customer)
        balance = self.world.get("cash_balance", f"cash_{customer_id}")
        if balance["available"]:
            self.world.tell("cash_balance.funds_available", balance)
        return moved

    def pay_checkout(self, session_id: str, *, amount_yen: int | None = None, currency: str = JPY) -> Thing:
        """The cardholder pays. amount_yen, currency: other than asked for, which the real one would not do."""
        session = self.world.get("checkout.session", session_id)
        amount = session["amount_total"] if amount_yen is None else amount_yen
        intent = self.world.add(
            "pi",
            "payment_intent",
            amount=amount,
            amount_received=0,
            currency=currency,
            customer=session["customer"],
            status="processing",
            metadata=session["intent_metadata"],
        )
        cash.settle_intent(self.world, intent, amount)
        session.update(status="complete", payment_status="paid", payment_intent=intent["id"])
        self.world.tell("checkout.session.completed", session)
        return intent

    def expire_checkout(self, session_id: str) -> None:
        session = self.world.get("checkout.session", session_id)
        session["status"] = "expired"
        self.world.tell("checkout.session.expired", session)

    def dispute(self, intent_id: str, amount_yen: int, *, status: str = "needs_response") -> Thing:
        """The cardholder's bank takes the money back for the time being ('warning_…': it only asks)."""
        intent = self.world.get("payment_intent", intent_id)
        made = self.world.add(
            "dp",
            "dispute",
            amount=amount_yen,
            currency=JPY,
            charge=intent["latest_charge"],
            payment_intent=intent_id,
            reason="product_not_received",
            status=status,
        )
        self.world.tell("charge.dispute.created", made)
        return made

    def close_dispute(self, dispute_id: str, *, status: str) -> None:
        """'won', 'lost', or 'warning_closed'."""
        dispute = self.world.get("dispute", dispute_id)
        dispute["status"] = status
        self.world.tell("charge.dispute.closed", dispute)

    def tamper(self, kind: str, identity: str, **facts: Any) -> None:
        """Somebody changes an object in the dashboard."""
        self.world.get(kind, identity).update(facts)
        self.world.tell(f"{kind}.updated", self.world.get(kind, identity))

    # Delivery of events

    def mail(self, *, since: int = 0) -> list[bytes]:
        """The bodies of all events from the since-th on, in their order."""
        return [json.dumps(event, default=float).encode() for event in self.world.events[since:]]

    @staticmethod
    def signature(body: bytes, *, at: datetime, secrets: Iterable[str] = (SECRET,)) -> str:
        """The header Stripe-Signature; with two secrets while one is being replaced."""
        stamp = int(at.timestamp())
        signed = [hmac.new(each.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() for each in secrets]
        return ",".join([f"t={stamp}", *(f"v1={each}" for each in signed)])


def disturbed(mail: list[bytes], seed: int) -> list[bytes]:
    """The same mail, each piece once to three times, in an order of its own."""
    chance = Random(seed)
    copies = [piece for piece in copy.copy(mail) for _ in range(chance.randint(1, 3))]
    chance.shuffle(copies)
    return copies
