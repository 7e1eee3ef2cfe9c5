"""Decisions that two persons make at the same moment: the second sees what the first did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from infra.db.connection import Conn
from infra.refusal import Refusal
from pricing import service
from pricing.errors import MoreThanDeliverable, MoreThanOpen, PaymentRefundTooLarge
from pricing.model import GrantPurpose
from pricing.payments import Method
from pricing.service.receiving import receive
from tests.support.collecting import LATER, House
from tests.support.market import NEXT_YEAR, Market, an_id
from tests.support.staff import FIRST, SECOND

_WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


async def _second_of_two(market: Market, decide: Callable[[Conn, int], Awaitable[Any]]) -> type[Refusal] | None:
    """Two decide; the second begins before the first is kept. With what the second is refused."""

    async def second() -> None:
        async with market.as_operator() as conn:
            await decide(conn, 2)

    async with market.as_operator() as conn:
        await decide(conn, 1)
        later = asyncio.create_task(second())
        while not later.done() and not await market.database.owner.fetchval(_WAITS):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    [came_of_it] = await asyncio.gather(later, return_exceptions=True)
    if came_of_it is None or isinstance(came_of_it, Refusal):
        return type(came_of_it) if came_of_it else None
    raise came_of_it


async def test_two_persons_do_not_give_out_the_same_yen_at_once(market: Market) -> None:
    number = await House.of(market).invoice(1000)
    left = await _a_cap(market)
    await _pay_in(market, "a", 5000)
    await _pay_in(market, "b", 5000)
    others = [market.organisation, await market.add_organisation("beta")]
    async with market.as_operator() as conn:
        for each, organisation in enumerate(others, start=1):
            await _propose_grant(conn, organisation, an_id("grant", each), left * 6 // 10)
            await service.propose_payment_refund(
                conn,
                an_id("paid", "a"),
                refund_id=an_id("back", each),
                amount_yen=5000,
                reason="x",
                actor=FIRST,
                now=LATER,
            )

    def approve(kind: str) -> Callable[[Conn, int], Awaitable[Any]]:
        return lambda conn, each: service.approve(conn, an_id(kind, each), actor=SECOND, now=LATER)

    def mark(conn: Conn, each: int) -> Awaitable[Any]:
        told = {"amount_yen": 1100, "reference": f"transfer {each}", "paid_at": LATER, "actor": FIRST, "now": LATER}
        return service.mark_paid(conn, number, **told)

    assert await _second_of_two(market, approve("grant")) is MoreThanDeliverable
    assert await _second_of_two(market, approve("back")) is PaymentRefundTooLarge
    assert await _second_of_two(market, mark) is MoreThanOpen


async def _a_cap(market: Market) -> int:
    """Somebody says what the machines can give; what may be given out then."""
    async with market.as_operator() as conn:
        said = await service.set_deliverable(
            conn,
            deliverable_id=an_id("deliverable"),
            resource_type="gpu:demo",
            component="gpu_s",
            per_hour="3600",
            reason="x",
            actor=FIRST,
            now=LATER,
        )
    assert said.left_micro_yen is not None
    return said.left_micro_yen


async def _pay_in(market: Market, key: str, amount_yen: int) -> None:
    async with market.as_operator() as conn:
        await receive(
            conn,
            payment_id=an_id("paid", key),
            organisation_id=market.organisation,
            document_id=None,
            method=Method.ELSEWHERE,
            amount_yen=amount_yen,
            reference=key,
            paid_at=LATER,
            actor=FIRST,
            now=LATER,
        )


async def _propose_grant(conn: Conn, organisation: UUID, grant_id: UUID, amount_micro_yen: int) -> None:
    await service.propose_grant(
        conn,
        grant_id=grant_id,
        organisation_id=organisation,
        amount_micro_yen=amount_micro_yen,
        expires_at=NEXT_YEAR,
        purpose=GrantPurpose.SUBSIDY,
        reason="x",
        actor=FIRST,
        now=LATER,
    )
