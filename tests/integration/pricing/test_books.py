from __future__ import annotations

from decimal import Decimal

import pytest

from pricing import service
from pricing.days import Month, day_of
from pricing.figures import Books
from tests.support.database import Database
from tests.support.market import NOW, Market, gpu_usage, open_market


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


async def test_a_statement_gives_the_rest_back_after_the_settlement(market: Market) -> None:
    await market.pay_in("5000")
    for key in "abcdef":
        await market.submit(key)
        await market.close(key)
        await market.use(key, gpu_usage(key, 60))
    async with market.as_tenant() as conn:
        statement = await service.statement(conn, market.organisation, month=Month.of(day_of(NOW)))
    kinds = [each.kind for each in statement.entries if each.kind in {"settle", "release"}]
    assert kinds == ["settle", "release"] * 6
