"""What is asked for, and a house that asks through a fake Stripe: for tests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from infra.db.connection import Conn, transaction
from pricing.collectable import Collectable, CollectLine, TaxedLines
from pricing.loops import collect, events
from pricing.payments import PaymentCase
from pricing.service import collecting, inbox, payment_cases
from pricing.stripe_gateway import StripeGateway, verified
from tests.support.fake_stripe import FakeStripe
from tests.support.fake_stripe.house import SECRET
from tests.support.market import NOW, Market, an_id, gpu_usage

DUE = date(2026, 5, 31)
LATER = NOW + timedelta(days=40)  # the month is over, and its documents are out


def a_collectable(
    *,
    number: str = "INV-2026-000001",
    net_yen: int = 1000,
    tax_yen: int = 100,
    organisation: UUID | None = None,
    **other: Any,
) -> Collectable:
    """Of two lines, with tax once on their sum."""
    half = net_yen // 2
    lines = (
        CollectLine(description="GPU 2026-04", amount_yen=net_yen - half),
        CollectLine(description="QPU 2026-04", amount_yen=half),
    )
    facts: dict[str, Any] = {
        "document_id": an_id("document", number),
        "organisation_id": organisation or an_id("organisation", "alpha"),
        "number": number,
        "due_date": DUE,
        "amount_yen": net_yen + tax_yen,
        "groups": (TaxedLines(rate_bp=1000, tax_yen=tax_yen, lines=lines),),
    }
    return Collectable(**{**facts, **other})


async def issue(conn: Conn, ordinal: int, organisation: UUID, *, net_yen: int, due: date = DUE) -> str:
    """A document of one rate under the next number, as the month's close issues it; its number."""
    number, tax = f"INV-2026-{ordinal:06}", net_yen // 10
    content = {"month": "2026-04", "groups": [{"tax_rate_bp": 1000, "taxable_yen": net_yen, "tax_yen": tax}]}
    content |= {"prepaid_applied_yen": 0, "carried_in_yen": 0, "carried_out_yen": 0}
    await conn.execute(
        """INSERT INTO pricing.document (id, organisation_id, kind, fiscal_year, ordinal, number, month, issued_at,
               issue_date, due_date, counterparty, subtotal_yen, tax_yen, total_yen, prepaid_applied_yen,
               carried_in_yen, carried_out_yen, amount_due_yen, content, content_sha256)
           VALUES ($1, $2, 'invoice', 2026, $3, $4, '2026-04-01', $5, '2026-05-01', $6, 'alpha', $7, $8, $9, 0, 0, 0,
               $9, $10, $11)""",
        an_id("document", number),
        organisation,
        ordinal,
        number,
        LATER,
        due,
        net_yen,
        tax,
        net_yen + tax,
        content,
        hashlib.sha256(number.encode()).digest(),
    )
    return number


@dataclass(slots=True)
class House:
    """A market whose documents are asked for through Stripe. delivered: how much of its mail has come."""

    market: Market
    fake: FakeStripe
    gateway: StripeGateway
    delivered: int = 0
    issued: int = 0
    seen: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, market: Market, now: datetime = LATER) -> House:
        fake = FakeStripe(now)
        return cls(market, fake, StripeGateway(fake.key, http_client=fake.transport))

    async def owe(self, key: object, organisation: UUID | None = None) -> None:
        """A job of 330 yen (363 with tax) on credit."""
        of = organisation or self.market.organisation
        await self.market.submit(key, organisation=of)
        await self.market.close(key)
        await self.market.use(key, gpu_usage(("u", key), 3600))

    async def invoice(self, net_yen: int, organisation: UUID | None = None, *, due: date = DUE) -> str:
        """Issued and asked for, in one transaction; its number."""
        self.issued += 1
        of = organisation or self.market.organisation
        async with self.market.as_worker() as conn:
            number = await issue(conn, self.issued, of, net_yen=net_yen, due=due)
            await collecting.request(conn, an_id("document", number), now=LATER)
        return number

    async def top_up(self, key: object, amount_yen: int, organisation: UUID | None = None) -> UUID:
        """Somebody asks for a page on which to pay."""
        of = organisation or self.market.organisation
        async with self.market.as_tenant(of) as conn:
            asked = await collecting.begin_top_up(
                conn,
                top_up_id=an_id("top-up", key),
                organisation_id=of,
                amount_yen=amount_yen,
                person_id=self.market.person,
                return_url="https://kyoyo.test/",
                now=LATER,
            )
        return asked.id

    def session_of(self, top_up_id: UUID) -> str:
        [session] = [each for each in self.fake.of("checkout.session") if each["metadata"]["ref"] == str(top_up_id)]
        return session["id"]

    def customer_of(self, organisation: UUID | None = None) -> str:
        return self.fake.customer_of(str(organisation or self.market.organisation))["id"]

    async def collect(self, now: datetime = LATER) -> int:
        return await collect.tick(self.gateway, self.market.database.worker, None, now)

    async def deliver(self, mail: list[bytes] | None = None, now: datetime = LATER) -> int:
        """Mail comes to the webhook (None: what has not come yet) and is followed up; how many events were new."""
        fresh = self.fake.mail(since=self.delivered) if mail is None else mail
        self.delivered = len(self.fake.world.events) if mail is None else self.delivered
        new = 0
        for body in fresh:
            hint = verified(body, self.fake.signature(body, at=now), secrets=(SECRET,), now=now)
            async with transaction(self.market.database.portal) as conn:  # without any role
                new += await inbox.receive_event(conn, hint, now=now)
        while await events.tick(self.gateway, self.market.database.worker, None, now):
            pass
        return new

    async def cases(self, *, only_open: bool = True) -> list[PaymentCase]:
        async with self.market.as_operator() as conn:
            return await payment_cases(conn, only_open=only_open)

    async def books(self) -> dict[tuple[str, str], int]:
        """Sums by organisation and bucket, without what is 0."""
        rows = await self.market.database.owner.fetch(
            """SELECT coalesce(organisation_id::text, 'house') AS whose, bucket::text AS bucket,
                      sum(amount_micro_yen)::bigint AS sum
                 FROM pricing.ledger_entry GROUP BY 1, 2 HAVING sum(amount_micro_yen) <> 0"""
        )
        return {(row["whose"], row["bucket"]): row["sum"] for row in rows}

    async def payments(self) -> list[tuple[str, str, int]]:
        """What came: method, Stripe's id, yen."""
        rows = await self.market.database.owner.fetch(
            "SELECT method::text, coalesce(stripe_id, ''), amount_yen FROM pricing.payment ORDER BY 2, 3"
        )
        return [tuple(row) for row in rows]
