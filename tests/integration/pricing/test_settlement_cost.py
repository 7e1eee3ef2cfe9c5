"""What the settlement of one call of a job costs, however many of them were settled before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from pricing import service
from pricing.model import Ending, JobMoney
from pricing.units import micro
from tests.support.market import NOW, Market, an_id, gpu_usage

pytestmark = pytest.mark.postgres
_OF_ALL = ("billable_usage u JOIN", "rated_line WHERE job_id = $1 ORDER BY")
"""Statements that fetch all that is known of a job."""


async def _settle(market: Market, ordinal: int, *, seconds: int = 36, last: bool = False) -> Sequence[str]:
    """An attempt beside the first one that opens, ends and is accounted for: the statements of its two settlements."""
    async with market.as_tenant() as conn:
        attempt_id = await market.open_attempt(conn, "a", ordinal, now=NOW + timedelta(seconds=ordinal))
    at = NOW + timedelta(hours=1, seconds=ordinal)
    said: list[str] = []
    async with market.as_worker() as conn:
        with conn.query_logger(lambda query: said.append(query.query)):
            await service.close_attempt(
                conn, attempt_id=attempt_id, ending=Ending.SUCCEEDED, ended_at=at, last=last, now=at
            )
            used = gpu_usage(ordinal, seconds)
            assert (await service.record_usage(conn, [used], attempt_id=attempt_id, final=True, now=at)).settled
    return [each for each in said if "pricing." in each]  # the driver asks for types of its own


async def _money(market: Market) -> JobMoney:
    async with market.as_tenant() as conn:
        return (await service.charges_by_job(conn, [an_id("job", "a")]))[an_id("job", "a")]


async def test_a_call_is_settled_without_a_look_at_each_of_the_others(market: Market) -> None:
    await market.pay_in("1000")
    await market.submit("a")  # 330 yen at most
    told = [await _settle(market, ordinal) for ordinal in range(2, 32)]
    assert {tuple(each) for each in told[1:]} == {tuple(told[0])}
    assert not [statement for statement in told[0] for each in _OF_ALL if each in statement]
    assert (await _money(market)).charged_micro_yen == 30 * micro("3.3")


async def test_where_the_ceiling_is_reached_everything_is_looked_at(market: Market) -> None:
    """The attempt that was opened first is charged first, though it ends last: others make room for it."""
    await market.pay_in("1000")
    await market.submit("a")
    for ordinal in range(2, 5):
        await _settle(market, ordinal, seconds=360)
    await market.use("a", gpu_usage("u", 3000))
    await market.close("a")
    money = await _money(market)
    assert (money.charged_micro_yen, money.held_micro_yen, money.settled) == (micro("330"), 0, True)
    async with market.as_worker() as conn:
        rows = await conn.fetch(
            """SELECT sum(charged_micro_yen)::bigint AS charged, sum(price_micro_yen)::bigint AS price
               FROM pricing.rated_line GROUP BY attempt_id ORDER BY 2, 1"""
        )
    assert [(row["charged"], row["price"]) for row in rows] == [
        (0, micro("33")),
        (micro("22"), micro("33")),
        (micro("33"), micro("33")),
        (micro("275"), micro("275")),
    ]
