"""Asking for money and taking it in, against the fake Stripe, as the real database roles."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import asyncpg
import pytest

from infra.db.connection import rehearsal
from pricing import service
from pricing.days import Month
from pricing.errors import (
    MoreThanOpen,
    PaymentCaseResolved,
    PaymentDisputed,
    PaymentOverdue,
    PaymentRefundTooLarge,
    ReceivableNotFound,
    ResolutionUnfit,
    TopUpOutOfRange,
)
from pricing.loops import dun
from pricing.payments import GRACE, CaseKind, Resolution, Stage, Task
from pricing.service import collecting
from pricing.store import collecting as store
from pricing.units import micro
from tests.support.closes import close
from tests.support.collecting import DUE, LATER, House
from tests.support.market import Market, an_id

AFTER_GRACE = LATER + GRACE + timedelta(days=25)


@pytest.fixture
def house(market: Market) -> House:
    return House.of(market)


async def _balance(house: House):
    async with house.market.as_tenant() as conn:
        return await service.balance(conn, house.market.organisation, now=LATER)


async def _resolve(house: House, kind: CaseKind, resolution: Resolution) -> None:
    [case] = [each for each in await house.cases() if each.kind is kind]
    async with house.market.as_operator() as conn:
        await service.resolve_payment_case(
            conn, case.id, resolution, reason="asked the customer", actor=None, now=LATER
        )


async def test_a_closed_months_invoice_is_sent_and_a_transfer_repays_what_is_owed(house: House) -> None:
    await house.market.give_credit("1000")
    await house.owe("a")
    await close(house.market.database, Month.parse("2026-04"))
    number = "INV-2026-000001"
    assert await house.collect() == 1
    [remote] = house.fake.of("invoice")
    assert (remote["number"], remote["total"], remote["status"]) == (number, 363, "open")
    house.fake.transfer(house.customer_of(), 363)
    assert await house.deliver() > 0
    balance = await _balance(house)
    assert (balance.owed_micro_yen, balance.credit_micro_yen, balance.prepaid_micro_yen) == (0, micro("1000"), 0)
    async with house.market.as_tenant() as conn:
        [mine] = await service.receivables(conn, organisation_id=house.market.organisation)
        [paid] = await service.payments(conn, organisation_id=house.market.organisation, limit=9)
    assert (mine.open_yen, mine.url, paid.amount_yen) == (0, remote["hosted_invoice_url"], 363)
    assert await house.cases(only_open=False) == []


async def test_a_transfer_that_is_short_waits_for_the_rest(house: House) -> None:
    await house.invoice(1000)
    await house.collect()
    customer = house.customer_of()
    house.fake.transfer(customer, 1050)
    await house.deliver()
    [short] = await house.cases()
    assert (short.kind, short.amount_yen, short.facts["open_yen"]) == (CaseKind.UNDERPAID, 1050, [1100])
    with pytest.raises(ResolutionUnfit):
        await _resolve(house, CaseKind.UNDERPAID, Resolution.TAKEN)
    house.fake.transfer(customer, 50)
    await house.deliver()
    assert await house.cases() == []
    [settled] = await house.cases(only_open=False)
    assert settled.resolution is Resolution.SETTLED


async def test_what_is_too_much_becomes_prepaid_value_or_goes_back(house: House) -> None:
    await house.invoice(1000)
    await house.collect()
    customer = house.customer_of()
    house.fake.transfer(customer, 1800)
    await house.deliver()
    [case] = await house.cases()
    ends = [Resolution.TAKEN, Resolution.TAKEN, Resolution.REFUNDED]
    for end, refused in zip(ends, [None, None, PaymentCaseResolved], strict=True):
        with pytest.raises(refused) if refused else nullcontext():
            async with house.market.as_operator() as conn:
                await service.resolve_payment_case(conn, case.id, end, reason="asked", actor=None, now=LATER)
    await house.collect()
    await house.deliver()
    balance = await _balance(house)  # what its document asked for is repaid, the rest is prepaid
    assert (balance.credit_micro_yen, balance.prepaid_micro_yen) == (micro("1100"), micro("700"))
    house.fake.transfer(customer, 300)
    await house.deliver()
    await _resolve(house, CaseKind.OVERPAID, Resolution.REFUNDED)
    await house.collect()
    await house.deliver()
    assert [each["amount"] for each in house.fake.of("refund")] == [300]
    assert (await _balance(house)).prepaid_micro_yen == micro("700")
    assert await house.cases() == []


async def test_a_card_pays_in_and_gets_back_what_is_left(house: House) -> None:
    with pytest.raises(TopUpOutOfRange):
        await house.top_up("tiny", 49)
    asked = await house.top_up("a", 5000)
    assert await house.top_up("a", 5000) == asked
    await house.collect()
    async with house.market.as_tenant() as conn:
        assert (await service.top_up(conn, asked)).url == house.fake.of("checkout.session")[0]["url"]
    intent = house.fake.pay_checkout(house.session_of(asked))["id"]
    await house.deliver()
    assert await house.payments() == [("card", intent, 5000)]
    payment_id = await house.market.database.owner.fetchval("SELECT id FROM pricing.payment")
    for amount, expected in ((2000, None), (2000, None), (3001, PaymentRefundTooLarge)):
        async with house.market.as_operator() as conn:
            facts = {"refund_id": an_id("refund", amount), "amount_yen": amount, "reason": "wish", "actor": None}
            if expected is None:
                await collecting.refund_payment(conn, payment_id, **facts, now=LATER)
            else:
                with pytest.raises(expected):
                    await collecting.refund_payment(conn, payment_id, **facts, now=LATER)
    await house.collect()
    await house.deliver()
    assert [each["amount"] for each in house.fake.of("refund")] == [2000]
    assert (await _balance(house)).prepaid_micro_yen == micro("3000")
    assert await house.cases() == []


@pytest.mark.parametrize("won", [True, False])
async def test_a_dispute_holds_what_is_free_refuses_new_work_and_ends_none(house: House, *, won: bool) -> None:
    await house.market.pay_in("100")
    asked = await house.top_up("a", 500)
    await house.collect()
    intent = house.fake.pay_checkout(house.session_of(asked))["id"]
    await house.deliver()
    await house.market.submit("runs")  # 363 of 600 are held
    dispute = house.fake.dispute(intent, 500)["id"]
    for _ in range(2):
        await house.deliver(house.fake.mail())
    balance = await _balance(house)
    assert (balance.prepaid_micro_yen, balance.held_micro_yen) == (0, micro("363"))
    with pytest.raises(PaymentDisputed):
        await house.market.submit("new")
    house.fake.close_dispute(dispute, status="won" if won else "lost")
    await house.deliver()
    await house.market.close("runs")  # it ran to its end all the same
    assert (await _balance(house)).prepaid_micro_yen == (micro("237") if won else 0)
    assert [each.kind for each in await house.cases()] == ([] if won else [CaseKind.DISPUTE])
    if not won:
        await _resolve(house, CaseKind.DISPUTE, Resolution.EXPLAINED)
    async with house.market.as_tenant() as conn:
        assert (await service.collection_standing(conn, house.market.organisation, now=LATER)).stage is Stage.GOOD


async def test_without_stripe_an_operator_marks_what_was_paid(house: House) -> None:
    """Dry run, in part, again, too much, the rest; Stripe's invoice is closed where there is one."""
    number = await house.invoice(1000)
    facts = {"paid_at": LATER, "actor": None, "now": LATER}
    async with house.market.as_operator() as conn, rehearsal(conn):
        assert (await service.mark_paid(conn, number, amount_yen=1100, reference="dry", **facts)).open_yen == 0
    for _ in range(2):
        async with house.market.as_operator() as conn:
            assert (await service.mark_paid(conn, number, amount_yen=600, reference="b1", **facts)).open_yen == 500
    for wrong, named in (("501", MoreThanOpen), ("0", MoreThanOpen), ("-1", MoreThanOpen)):
        with pytest.raises(named):
            async with house.market.as_operator() as conn:
                await service.mark_paid(conn, number, amount_yen=int(wrong), reference="b2", **facts)
    with pytest.raises(ReceivableNotFound):
        async with house.market.as_operator() as conn:
            await service.mark_paid(conn, "INV-2026-000099", amount_yen=1, reference="b", **facts)
    async with house.market.as_operator() as conn:
        assert (await service.mark_paid(conn, number, amount_yen=500, reference="b2", **facts)).open_yen == 0
    assert await house.payments() == [("elsewhere", "", 500), ("elsewhere", "", 600)]
    balance = await _balance(house)
    assert (balance.credit_micro_yen, balance.prepaid_micro_yen) == (micro("1100"), 0)


async def test_what_was_paid_elsewhere_is_closed_at_stripe(house: House) -> None:
    facts = {"paid_at": LATER, "actor": None, "now": LATER}
    first = await house.invoice(1000)
    async with house.market.as_operator() as conn:
        await service.mark_paid(conn, first, amount_yen=1100, reference="b1", **facts)
    second = await house.invoice(2000)
    while await house.collect():  # Stripe is there now: the paid one is moot
        pass
    async with house.market.as_operator() as conn:
        await service.mark_paid(conn, second, amount_yen=2200, reference="b3", **facts)
    await house.collect()
    await house.deliver()
    assert [(each["number"], each["status"]) for each in house.fake.of("invoice")] == [(second, "paid")]
    assert len(await house.payments()) == 2
    assert await house.cases(only_open=False) == []


async def test_what_is_not_paid_is_reminded_and_then_refuses_new_work(house: House) -> None:
    await house.market.grant("100000")
    number = await house.invoice(1000)
    await house.collect()
    await house.market.submit("before", now=LATER)
    due = LATER.replace(month=5, day=31)
    for days, count in ((0, 0), (1, 1), (1, 0), (8, 1), (300, 1), (301, 0)):
        assert await dun.tick(house.market.database.worker, None, due + timedelta(days=days)) == count
    while await house.collect():
        pass
    assert [event["type"] for event in house.fake.world.events].count("invoice.sent") == 1 + 3
    with pytest.raises(PaymentOverdue) as refused:
        await house.market.submit("late", now=AFTER_GRACE)
    assert refused.value.facts == {"number": number, "due_date": DUE.isoformat(), "overdue_yen": "1100"}
    await house.market.close("before", at=AFTER_GRACE)
    house.fake.transfer(house.customer_of(), 1100)
    await house.deliver()
    await house.market.submit("late", now=AFTER_GRACE)


async def test_a_credit_note_lowers_what_is_open_here_and_there(house: House) -> None:
    number = await house.invoice(1000)
    await house.collect()
    of = an_id("document", number)
    for note, amount in (("n", 330), ("n", 330)):
        async with house.market.as_worker() as conn:
            await conn.execute(
                """INSERT INTO pricing.document
                   SELECT $1, organisation_id, 'credit_note', 2026, 1, 'CN-2026-000001', month, id, issued_at,
                       issue_date, NULL, counterparty, -300, -30, -330, 0, 0, -330, 0, content,
                       content_sha256 FROM pricing.document WHERE id = $2 ON CONFLICT DO NOTHING""",
                an_id(note),
                of,
            )
            await collecting.credit(
                conn, of, note_id=an_id(note), number="CN-2026-000001", amount_yen=amount, now=LATER
            )
    await house.collect()
    house.fake.transfer(house.customer_of(), 770)
    await house.deliver()
    async with house.market.as_tenant() as conn:
        [mine] = await service.receivables(conn)
    assert (mine.amount_yen, mine.open_yen) == (1100, 0)
    assert [each["status"] for each in house.fake.of("invoice")] == ["paid"]
    assert await house.cases() == []


async def test_each_role_does_what_is_its_own(house: House) -> None:
    other = await house.market.add_organisation("beta")
    await house.invoice(1000)
    await house.invoice(2000, other)
    async with house.market.as_tenant(other) as conn:
        assert [each.amount_yen for each in await service.receivables(conn)] == [2200]
        assert await conn.fetchval("SELECT count(*) FROM pricing.payment_case") == 0
    for task, revision in ((Task.REFUND, 0), (Task.CHECKOUT, 1)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with house.market.as_tenant(other) as conn:
                await store.put_out(
                    conn, task, organisation_id=other, subject_id=an_id("x"), revision=revision, now=LATER
                )
    for secret in ("inbox", "reconciliation", "outbox_attempt"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with house.market.as_tenant(other) as conn:
                await conn.fetch(f"SELECT FROM pricing.{secret}")
