"""Admission at the service, as the tenant, over real connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from pricing import service
from pricing.errors import HoldClosed, InsufficientFunds, LedgerConflict, NoWallet, OfferingRetired, UnknownOffering
from pricing.model import Ending, JobSize, Quote
from pricing.units import micro
from tests.support.market import GPU, NOW, Market, an_id, gpu_price, gpu_usage, publish
from tests.support.prices import a_quote

HOUR = JobSize(gpus=1, walltime_s=3600)  # 330 yen, 363 with tax


async def _place(market: Market, quote: Quote) -> bool:
    try:
        async with market.as_tenant() as conn:
            await service.place_hold(conn, quote=quote, now=NOW)
    except InsufficientFunds:
        return False
    return True


def _quote(market: Market, job: object) -> Quote:
    return a_quote(job, size=HOUR)


async def _balance(market: Market, now=NOW):
    async with market.as_tenant() as conn:
        return await service.balance(conn, market.organisation, now=now)


@pytest.mark.parametrize("kind", ["grant", "prepaid"])
async def test_of_200_concurrent_holds_on_a_wallet_for_ten_exactly_ten_are_placed(market: Market, kind: str) -> None:
    quotes = [_quote(market, number) for number in range(200)]
    needed = quotes[0].ceiling_micro_yen if kind == "grant" else quotes[0].ceiling_with_tax_micro_yen
    enough_for_ten = str((needed * 11 - 1) / 1_000_000)
    await (market.grant(enough_for_ten) if kind == "grant" else market.pay_in(enough_for_ten))
    placed = await asyncio.gather(*[_place(market, quote) for quote in quotes])
    assert sum(placed) == 10
    balance = await _balance(market)
    assert balance.held_micro_yen == 10 * needed
    assert balance.available_micro_yen == needed - 1
    async with market.as_worker() as conn:
        assert await conn.fetchval("SELECT count(*) FROM pricing.hold") == 10
        assert await conn.fetchval("SELECT count(*) FROM pricing.quote") == 10


async def test_a_refusal_says_what_is_needed_and_what_there_is(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("50.5")
    with pytest.raises(InsufficientFunds) as refused:
        await market.submit("a")
    assert refused.value.facts == {"needed_yen": "353", "available_yen": "150.5"}  # 100 + 230 × 1.1
    assert (await _balance(market)).held_micro_yen == 0


async def test_a_hold_takes_grants_by_expiry_then_prepaid_then_credit(market: Market) -> None:
    await market.give_credit("1000")
    await market.pay_in("110")
    later = await market.grant("50", key="later", expires_at=NOW + timedelta(days=9))
    sooner = await market.grant("80", key="sooner", expires_at=NOW + timedelta(days=3))
    await market.submit("a")
    balance = await _balance(market)
    assert (balance.grants_micro_yen, balance.prepaid_micro_yen) == (0, 0)
    assert balance.credit_micro_yen == micro("1000") - micro("110")  # 330 − 130 granted = 200; 220 with tax
    async with market.as_tenant() as conn:
        held = await conn.fetch(
            "SELECT lot_id, amount_micro_yen FROM pricing.ledger_entry WHERE bucket = 'held' ORDER BY amount_micro_yen"
        )
    assert {row["lot_id"]: row["amount_micro_yen"] for row in held if row["lot_id"] in (sooner, later)} == {
        sooner: micro("80"),
        later: micro("50"),
    }


async def test_an_expired_grant_admits_nothing_before_its_expiry_is_booked(market: Market) -> None:
    await market.grant("1000", expires_at=NOW + timedelta(days=1))
    with pytest.raises(InsufficientFunds) as refused:
        await market.submit("a", now=NOW + timedelta(days=1))
    assert refused.value.facts["available_yen"] == "0"
    await market.submit("b", now=NOW + timedelta(days=1) - timedelta(microseconds=1))


async def test_the_same_hold_again_is_nothing_and_another_quote_for_the_job_a_conflict(market: Market) -> None:
    await market.grant("330")
    quote = await market.submit("a")
    await market.submit("a")
    assert (await _balance(market)).held_micro_yen == micro("330")
    with pytest.raises(LedgerConflict):
        async with market.as_tenant() as conn:
            await service.place_hold(conn, quote=replace(quote, expected_micro_yen=1), now=NOW)


async def test_an_organisation_without_a_wallet_is_refused_by_name(market: Market) -> None:
    quote = _quote(market, "a")
    async with market.as_operator() as conn:
        await conn.execute(
            "INSERT INTO accounts.organisation VALUES ($1, 'no-wallet', 'none', NULL, true, NULL, $2)",
            an_id("nobody"),
            NOW,
        )
    with pytest.raises(NoWallet):
        async with market.as_tenant(an_id("nobody")) as conn:
            await service.place_hold(conn, quote=replace(quote, organisation_id=an_id("nobody")), now=NOW)


async def test_a_quote_writes_nothing_and_tells_whether_it_would_be_admitted(market: Market) -> None:
    await market.grant("330")
    async with market.as_tenant() as conn:
        for seconds, admissible in ((3600, True), (3601, False)):
            quote = a_quote("a", size=JobSize(gpus=1, walltime_s=seconds))
            assert (await service.admission(conn, quote=quote, now=NOW)).admissible == admissible
        assert await conn.fetchval("SELECT count(*) FROM pricing.quote") == 0


async def test_a_job_keeps_the_price_of_its_submission(market: Market) -> None:
    await market.grant("10000")
    before = await market.submit("before")
    async with market.as_operator() as conn:
        await publish(conn, GPU, [gpu_price("100")], key="cheaper", valid_from=NOW + timedelta(minutes=1))
    after = await market.submit("after", now=NOW + timedelta(minutes=1))
    assert (before.ceiling_micro_yen, after.ceiling_micro_yen) == (micro("330"), micro("100"))
    await market.close("before")
    await market.use("before", gpu_usage("u", 3600))
    async with market.as_tenant() as conn:
        money = await service.charges_by_job(conn, [an_id("job", "before"), an_id("job", "after")])
    assert money[an_id("job", "before")].charged_micro_yen == micro("330")


async def test_what_is_not_sold_has_no_quote(market: Market) -> None:
    await market.grant("1000")
    with pytest.raises(UnknownOffering):
        await market.submit("a", offering_id="nothing")
    async with market.as_operator() as conn:
        await conn.execute("UPDATE pricing.offering SET retired_at = $1 WHERE id = $2", NOW, GPU)
    with pytest.raises(OfferingRetired):
        await market.submit("a")


async def test_no_attempt_is_opened_after_the_release(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.close("a", Ending.NEVER_RAN)
    with pytest.raises(HoldClosed):
        async with market.as_worker() as conn:
            await market.open_attempt(conn, "a", 2)


async def test_an_attempt_belongs_to_one_job(market: Market) -> None:
    await market.grant("1000")
    await market.submit("a")
    await market.submit("b")
    with pytest.raises(LedgerConflict):
        async with market.as_worker() as conn:
            await service.open_attempt(
                conn,
                attempt_id=an_id("attempt", "a", 1),
                job_id=an_id("job", "b"),
                organisation_id=market.organisation,
                project_id=market.project,
                person_id=market.person,
                offering_id=GPU,
                now=NOW,
            )
