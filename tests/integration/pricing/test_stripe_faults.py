"""Stripe at its worst: events doubled and shuffled, cut-off calls, a day of silence, strangers, amounts a yen off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pricing.loops import reconcile
from pricing.loops.replay import replay
from pricing.payments import CaseKind, Stage
from pricing.service import arrivals, collection_standing, last_reconciliation, receivables, receive_payment
from pricing.units import micro
from tests.support.collecting import LATER, House
from tests.support.database import fresh_database
from tests.support.fake_stripe import Killed
from tests.support.fake_stripe.house import disturbed
from tests.support.market import Market, an_id, open_market


@pytest.fixture
def house(market: Market) -> House:
    return House.of(market)


async def _month(house: House, deliver: Callable[[], object]) -> None:
    """Invoices paid exactly, in two parts, too much; top-ups, one disputed and won, one lost: all told by mail."""
    other = await house.market.add_organisation("beta")
    await house.market.give_credit("1000")
    await house.owe("a")
    for net, of in ((330, None), (1000, other), (2000, other)):
        await house.invoice(net, of)
    wishes = [await house.top_up(key, 5000 + 1000 * key, other) for key in range(3)]
    while await house.collect():
        pass
    await deliver()
    for of, amount in ((None, 363), (other, 1000), (other, 100), (other, 2300)):
        house.fake.transfer(house.customer_of(of), amount)
        await deliver()
    intents = [house.fake.pay_checkout(house.session_of(wish))["id"] for wish in wishes]
    await deliver()
    disputes = [house.fake.dispute(each, 5000)["id"] for each in intents[:2]]
    await deliver()
    for dispute, won in zip(disputes, (True, False), strict=True):
        house.fake.close_dispute(dispute, status="won" if won else "lost")
        await deliver()


async def test_a_month_of_events_doubled_and_shuffled_makes_the_same_books(house: House) -> None:
    await _month(house, house.deliver)
    books, paid = await house.books(), await house.payments()
    assert sum(amount for _, _, amount in paid) == 363 + 1100 + 2200 + 5000 + 6000 + 7000
    open_cases = sorted((each.kind, each.amount_yen) for each in await house.cases())
    assert open_cases == [(CaseKind.DISPUTE, 5000), (CaseKind.OVERPAID, 100)]
    assert await house.deliver(house.fake.mail()) == 0  # all of it once more is nothing
    assert await house.books() == books
    for seed in range(2):
        async with fresh_database() as database:
            again = House.of(await open_market(database))

            async def nothing_comes() -> None:
                """Until the end of the month."""

            await _month(again, nothing_comes)
            mail = disturbed(again.fake.mail(), seed)
            half = len(mail) // 2
            assert await again.deliver(mail[:half]) + await again.deliver(mail[half:]) == len(again.fake.mail())
            assert (await again.books(), await again.payments()) == (books, paid)
            assert sorted((each.kind, each.amount_yen) for each in await again.cases()) == open_cases


async def test_killed_on_either_side_of_any_call_it_is_done_once(house: House) -> None:
    for round_, (side, step) in enumerate((side, step) for side in ("before", "after") for step in range(5)):
        of = await house.market.add_organisation(f"org-{round_}")
        await house.invoice(1000, of)
        calls = 0

        def cut(_: str, at: int = step) -> None:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                raise Killed

        setattr(house.fake.transport, side, cut)
        with pytest.raises(Killed):
            await house.collect()
        setattr(house.fake.transport, side, lambda _: None)
        assert await house.collect() == 1
        assert await house.collect() == 0
    assert len(house.fake.of("invoice")) == len(house.fake.of("customer")) == 10
    assert {each["status"] for each in house.fake.of("invoice")} == {"open"}
    async with house.market.as_operator() as conn:
        assert {each.stripe_id for each in await receivables(conn)} == {each["id"] for each in house.fake.of("invoice")}


async def test_after_a_day_of_silence_all_is_done_and_heard(house: House) -> None:
    await house.invoice(1000)
    await house.collect()
    house.fake.transfer(house.customer_of(), 1100)  # its events are never delivered
    house.fake.transport.is_down = True
    await house.invoice(2000)
    now = LATER
    for hour in range(24):
        now = LATER + timedelta(hours=hour)
        assert await house.collect(now) == 0
        assert await reconcile.tick(house.gateway, house.market.database.worker, None, now) == 0
    attempts = await house.market.database.owner.fetchval("SELECT count(*) FROM pricing.outbox_attempt")
    assert 20 < attempts <= 1 + 24
    house.fake.transport.is_down, house.fake.world.now_s = False, int(now.timestamp())
    now += timedelta(hours=1)
    assert await house.collect(now) == 1
    since = LATER - timedelta(days=1)
    worker = house.market.database.worker
    heard = {"since": since, "until": now, "now": now}
    count, new = await replay(house.gateway, worker, **heard, dry_run=True)
    assert (count, new) == (len(house.fake.world.events),) * 2
    for expected in (count, 0):
        assert (await replay(house.gateway, worker, **heard))[1] == expected
        await house.deliver([], now)
    assert [amount for _, _, amount in await house.payments()] == [1100]


async def test_every_night_stripe_is_compared_with_the_books(house: House) -> None:
    """What no event told is followed up and listed; the next night nothing differs."""
    worker = house.market.database.worker
    night = datetime(2026, 5, 12, 18, 30, tzinfo=UTC)  # 3:30 in Tokyo
    await house.invoice(1000)
    await house.invoice(3000)
    while await house.collect():
        pass
    asked = await house.top_up("a", 5000)
    await house.collect()
    house.fake.pay_checkout(house.session_of(asked))
    house.fake.transfer(house.customer_of(), 1100)
    assert await reconcile.tick(house.gateway, worker, None, night - timedelta(hours=1)) == 0  # not yet
    assert await reconcile.tick(house.gateway, worker, None, night) == 3
    async with house.market.as_operator() as conn:
        found = await last_reconciliation(conn)
    assert found is not None
    assert sorted((each["kind"], each["ours_yen"], each["theirs_yen"]) for each in found["differences"]) == [
        ("asked", 1100, None),
        ("received", None, 1100),
        ("received", None, 5000),
    ]
    assert await reconcile.tick(house.gateway, worker, None, night + timedelta(hours=1)) == 0  # once a night
    assert await reconcile.run(house.gateway, worker, None, night + timedelta(days=1)) == 0
    assert sum(amount for _, _, amount in await house.payments()) == 6100
    [other] = [each for each in house.fake.of("invoice") if each["status"] == "open"]
    other["total"] = 3301
    assert await reconcile.run(house.gateway, worker, None, night + timedelta(days=2)) == 1


async def test_strangers_other_money_and_a_yen_more_or_less_are_never_booked(house: House) -> None:
    number = await house.invoice(1000)
    asked = [await house.top_up(key, 5000) for key in range(3)]
    while await house.collect():
        pass
    before = await house.books()
    sessions = [house.session_of(each) for each in asked]
    house.fake.pay_checkout(sessions[0], currency="usd")
    house.fake.pay_checkout(sessions[1], amount_yen=4999)
    house.fake.pay_checkout(sessions[2], amount_yen=5001)
    stranger = house.fake.world.add("cus", "customer", metadata={}, balance=0)["id"]
    session = house.fake.world.add("cs", "checkout.session", customer=stranger, amount_total=700, intent_metadata={})
    house.fake.pay_checkout(session["id"])
    [invoice] = house.fake.of("invoice")
    house.fake.tamper("invoice", invoice["id"], total=1099, amount_remaining=1099)
    house.fake.transfer(house.customer_of(), 1099)
    await house.deliver()
    assert await house.books() == before
    assert await house.payments() == []
    found = [(each.kind, each.amount_yen, each.facts.get("number")) for each in await house.cases()]
    assert sorted(found, key=str) == [
        (CaseKind.DIFFERS, 1099, number),
        (CaseKind.DIFFERS, 4999, None),
        (CaseKind.DIFFERS, 5000, None),
        (CaseKind.DIFFERS, 5001, None),
        (CaseKind.UNMATCHED, 700, None),
    ]


async def test_what_stripe_refuses_for_good_is_for_a_person_and_holds_nothing_up(house: House) -> None:
    other = await house.market.add_organisation("beta")
    number = await house.invoice(1000)
    house.fake.world.add("in", "invoice", number=number, customer="cus_other", status="open", metadata={})
    await house.invoice(2000, other)
    assert await house.collect() == 2
    assert [each["total"] for each in house.fake.of("invoice") if each["customer"] != "cus_other"] == [2200]
    [case] = await house.cases()
    assert (case.kind, case.facts["subject"]) == (CaseKind.DIFFERS, str(an_id("document", number)))
    assert "already in use" in case.facts["why"]
    assert await house.collect(LATER + timedelta(days=9)) == 0


async def test_what_our_books_refuse_holds_nothing_else_up_and_a_question_of_a_bank_takes_nothing(house: House) -> None:
    asked = [await house.top_up(key, 5000) for key in range(2)]
    while await house.collect():
        pass
    first, second = (house.fake.pay_checkout(house.session_of(each))["id"] for each in asked)
    async with house.market.as_operator() as conn:  # the same id, and another amount: that should never be
        payment_id = arrivals._id("payment", first)
        told = {"organisation_id": house.market.organisation, "reason": "wrong", "actor": None, "now": LATER}
        await receive_payment(conn, payment_id=payment_id, amount_micro_yen=micro("1"), **told)
    question = house.fake.dispute(second, 5000, status="warning_needs_response")["id"]
    await house.deliver()
    assert await house.payments() == [("card", second, 5000)]
    found = sorted((each.kind, each.stripe_id) for each in await house.cases())
    assert found == [(CaseKind.FAILED, first), (CaseKind.UNMATCHED, question)]
    async with house.market.as_tenant() as conn:
        assert (await collection_standing(conn, house.market.organisation, now=LATER)).stage is Stage.GOOD
    house.fake.close_dispute(question, status="warning_closed")
    await house.deliver()
    assert [each.kind for each in await house.cases()] == [CaseKind.FAILED]
