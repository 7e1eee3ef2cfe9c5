from __future__ import annotations

from decimal import Decimal

import pytest

from pricing import service
from pricing.figures import Books
from tests.support.database import Database
from tests.support.market import Market, gpu_usage, open_market


@pytest.fixture
async def market(database: Database) -> Market:
    return await open_market(database)


async def test_the_books_are_whole_and_a_job_tells_what_it_used(market: Market) -> None:
    await market.pay_in("1000")
    quote = await market.submit("a")
    async with market.as_operator() as conn:
        assert await service.books(conn) == Books(imbalance_micro_yen=0, open_holds=1)
    await market.close("a")
    await market.use("a", gpu_usage("u", 1800))
    async with market.as_operator() as conn:
        assert await service.books(conn) == Books(imbalance_micro_yen=0, open_holds=0)
        assert await service.usage_by_job(conn, [quote.job_id]) == {quote.job_id: {"gpu_s": Decimal(1800)}}


async def test_a_jobs_money_is_told_by_its_id(market: Market) -> None:
    await market.pay_in("1000")
    quote = await market.submit("a")
    async with market.as_tenant() as conn:
        money = await service.charges_by_job(conn, [quote.job_id])
    assert money[quote.job_id].ceiling_micro_yen == quote.ceiling_micro_yen
    assert money[quote.job_id].held_micro_yen > 0
    assert not money[quote.job_id].settled
