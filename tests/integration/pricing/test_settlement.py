from __future__ import annotations

import pytest

from pricing import service
from tests.support.database import Database
from tests.support.market import NOW, Market, gpu_usage, open_market


@pytest.fixture
async def market(database: Database) -> Market:
    return await open_market(database)


async def test_smoke(market: Market) -> None:
    await market.grant("100")
    await market.pay_in("1000")
    quote = await market.submit("a")
    assert quote.ceiling_micro_yen == 330_000_000
    await market.close("a")
    assert (await market.use("a", gpu_usage("u", 1800))).settled
    async with market.as_tenant() as conn:
        balance = await service.balance(conn, market.organisation, now=NOW)
    assert (balance.grants_micro_yen, balance.prepaid_micro_yen, balance.held_micro_yen) == (
        0,
        1000_000000 - 71_500000,
        0,
    )
