"""Value in and out, as the operator; lapse, as the worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.service import verify_audit_chain
from pricing import service
from pricing.errors import (
    AlreadyBooked,
    AmountNotPositive,
    GrantExpired,
    InsufficientFunds,
    MoreThanOwed,
    NoWallet,
)
from pricing.loops import expire
from pricing.units import micro
from tests.support.market import NEXT_YEAR, NOW, Market, an_id, gpu_usage

SOON = NOW + timedelta(days=1)


async def _balance(market: Market, now=NOW):
    async with market.as_tenant() as conn:
        return await service.balance(conn, market.organisation, now=now)


async def _decide(market: Market, what, yen: str, **named) -> None:
    async with market.as_operator() as conn:
        await what(
            conn,
            organisation_id=named.pop("organisation_id", market.organisation),
            amount_micro_yen=micro(yen),
            reason="test",
            actor=market.person,
            now=named.pop("now", NOW),
            **named,
        )


async def test_a_wallet_holds_what_was_given_paid_and_lent(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("20", key=1)
    await market.pay_in("3", key=2)
    await market.give_credit("1000", key=1)
    await market.give_credit("500", key=2)
    balance = await _balance(market)
    assert (balance.grants_micro_yen, balance.prepaid_micro_yen, balance.credit_micro_yen) == (
        micro("100"),
        micro("23"),
        micro("1500"),
    )
    assert (balance.held_micro_yen, balance.owed_micro_yen) == (0, 0)


async def test_a_decision_that_comes_again_is_booked_once(market: Market) -> None:
    for _ in range(3):
        await market.grant("100")
        await market.pay_in("20")
        await market.give_credit("1000")
    assert (await _balance(market)).available_micro_yen == micro("1120")


async def test_the_id_of_a_decision_with_another_content_is_refused_by_name(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("20")
    with pytest.raises(AlreadyBooked):
        await market.grant("101")
    with pytest.raises(AlreadyBooked):
        await market.grant("100", expires_at=SOON)
    with pytest.raises(AlreadyBooked):
        await market.pay_in("21")
    assert (await _balance(market)).available_micro_yen == micro("120")


@pytest.mark.parametrize("yen", ["0", "-5"])
async def test_nothing_or_less_is_refused(market: Market, yen: str) -> None:
    for give in (market.grant, market.pay_in, market.give_credit):
        with pytest.raises(AmountNotPositive):
            await give(yen)


async def test_a_grant_expires_after_it_is_given(market: Market) -> None:
    with pytest.raises(GrantExpired):
        await market.grant("1", expires_at=NOW)


async def test_there_is_no_value_without_a_wallet(market: Market) -> None:
    with pytest.raises(NoWallet):
        await _decide(market, service.receive_payment, "5", payment_id=an_id(1), organisation_id=an_id("nobody"))


async def test_a_debt_is_repaid_and_the_credit_line_is_free_again(market: Market) -> None:
    await market.give_credit("1000")
    await market.submit("a")
    await market.close("a")
    await market.use("a", gpu_usage("u", 3600))
    assert (await _balance(market)).owed_micro_yen == micro("363")
    with pytest.raises(MoreThanOwed) as refused:
        await _decide(market, service.repay_credit, "363.5", payment_id=an_id(1))
    assert refused.value.facts == {"amount_yen": "363.5", "owed_yen": "363"}
    for _ in range(2):
        await _decide(market, service.repay_credit, "363", payment_id=an_id(2))
    balance = await _balance(market)
    assert (balance.owed_micro_yen, balance.credit_micro_yen) == (0, micro("1000"))


async def test_prepaid_value_is_paid_back_as_far_as_it_is_free(market: Market) -> None:
    await market.pay_in("500")
    await market.submit("a")  # 363 held
    with pytest.raises(InsufficientFunds) as refused:
        await _decide(market, service.pay_back, "138", payment_id=an_id("back"))
    assert refused.value.facts == {"needed_yen": "138", "available_yen": "137"}
    for _ in range(2):
        await _decide(market, service.pay_back, "137", payment_id=an_id("back"))
    assert (await _balance(market)).prepaid_micro_yen == 0


async def test_a_tenant_cannot_give_itself_anything(market: Market) -> None:
    with pytest.raises(Exception, match=r"permission denied|row-level security"):
        async with market.as_tenant() as conn:
            await service.issue_grant(
                conn,
                grant_id=an_id("self"),
                organisation_id=market.organisation,
                amount_micro_yen=1,
                expires_at=NEXT_YEAR,
                reason="please",
                actor=None,
                now=NOW,
            )


async def test_every_decision_is_in_the_audit_trail_once(market: Market) -> None:
    await market.grant("100")
    await market.grant("100")
    async with market.as_operator() as conn:
        entries = await conn.fetch("SELECT action, facts FROM accounts.audit_entry WHERE action LIKE 'wallet.%'")
        actions = await conn.fetch("SELECT DISTINCT action FROM accounts.audit_entry")
    assert [(row["action"], row["facts"]["amount_yen"]) for row in entries] == [("wallet.issue_grant", "100")]
    assert {"offering.create", "market_reference.record", "price.publish"} <= {row["action"] for row in actions}
    async with market.as_worker() as conn:
        assert await verify_audit_chain(conn) == []


async def test_the_tick_books_what_lapsed_once(market: Market) -> None:
    await market.grant("100", expires_at=SOON)
    await market.grant("50", key="later")
    worker = market.database.worker
    assert await expire.tick(worker, None, SOON - timedelta(microseconds=1)) == 0
    assert await expire.tick(worker, None, SOON) == 1
    assert await expire.tick(worker, None, SOON) == 0
    assert (await _balance(market, SOON)).available_micro_yen == micro("50")


async def test_an_organisation_without_a_wallet_has_an_empty_balance(market: Market) -> None:
    async with market.as_operator() as conn:
        balance = await service.balance(conn, an_id("nobody"), now=NOW)
    assert (balance.available_micro_yen, balance.lots) == (0, ())
