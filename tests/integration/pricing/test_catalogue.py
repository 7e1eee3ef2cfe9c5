"""Offerings and prices, as the operator and as the tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.model import CustomerClass
from pricing import service
from pricing.days import Month
from pricing.errors import (
    AmountNotPositive,
    MarketReferenceExists,
    NoPrice,
    OfferingExists,
    PriceBackdated,
    PriceNotBelowMarket,
    PriceVersionExists,
    ProposalExists,
    UnknownOffering,
)
from pricing.model import Component, ForeignPrice, JobSize, NewPrice, ServiceClass
from pricing.units import micro
from tests.support.market import (
    GPU,
    GPU_OFFERING,
    MARKET,
    NOW,
    QPU,
    QPU_OFFERING,
    QPU_PRICES,
    Market,
    an_id,
    gpu_price,
    gpu_usage,
    publish,
    publish_first,
)

TOMORROW = NOW + timedelta(days=1)


async def _quote(market: Market, *, customer_class=CustomerClass.STARTUP, service_class=ServiceClass.STANDARD, now=NOW):
    async with market.as_tenant() as conn:
        sold = await service.priced(conn, GPU, customer_class=customer_class, service_class=service_class, now=now)
    return service.quote(
        sold,
        quote_id=an_id("quote"),
        job_id=an_id("job"),
        organisation_id=market.organisation,
        customer_class=customer_class,
        service_class=service_class,
        size=JobSize(gpus=1, walltime_s=3600),
        now=now,
    )


async def test_a_tenant_sees_what_is_sold_with_the_prices_of_its_class(market: Market) -> None:
    async with market.as_tenant() as conn:
        gpu, qpu = await service.offerings(conn, customer_class=CustomerClass.STARTUP, now=NOW)
        (large, _) = await service.offerings(conn, customer_class=CustomerClass.LARGE, now=NOW)
    assert gpu.offering == GPU_OFFERING
    (version,) = gpu.prices
    (component,) = version.components
    assert (component.price_micro_yen, component.list_micro_yen, component.market_micro_yen) == (
        micro("330"),
        micro("400"),
        micro("500"),
    )
    assert version.market_sources == {component.market_reference_id: MARKET[0].source}
    assert [len(price.components) for price in qpu.prices] == [2]
    assert large.prices == ()


async def test_the_latest_version_that_has_come_into_force_counts(market: Market) -> None:
    async with market.as_operator() as conn:
        await publish(conn, GPU, [gpu_price("200")], key="tomorrow", valid_from=TOMORROW)
    assert (await _quote(market, now=TOMORROW - timedelta(microseconds=1))).ceiling_micro_yen == micro("330")
    assert (await _quote(market, now=TOMORROW)).ceiling_micro_yen == micro("200")


async def test_without_a_price_for_the_customer_there_is_no_quote(market: Market) -> None:
    with pytest.raises(NoPrice) as refused:
        await _quote(market, customer_class=CustomerClass.LARGE)
    assert refused.value.facts == {"offering": GPU, "customer_class": "large", "service_class": "standard"}
    with pytest.raises(NoPrice):
        await _quote(market, service_class=ServiceClass.SPOT)
    with pytest.raises(NoPrice):
        await _quote(market, now=NOW - timedelta(seconds=1))


async def test_a_price_never_changes_in_place(market: Market) -> None:
    async with market.as_operator() as conn:
        await publish_first(conn)  # the very same again
    with pytest.raises(ProposalExists):
        async with market.as_operator() as conn:
            await publish(conn, GPU, [gpu_price("320")])
    with pytest.raises(PriceVersionExists):
        async with market.as_operator() as conn:
            await publish(conn, GPU, [gpu_price("320")], key="second")
    assert (await _quote(market)).ceiling_micro_yen == micro("330")


async def test_a_price_does_not_come_into_force_in_the_past(market: Market) -> None:
    with pytest.raises(PriceBackdated):
        async with market.as_operator() as conn:
            await publish(conn, GPU, [gpu_price("1")], key="late", valid_from=NOW - timedelta(seconds=1))


async def test_a_price_at_the_markets_is_not_published(market: Market) -> None:
    with pytest.raises(PriceNotBelowMarket):
        async with market.as_operator() as conn:
            await publish(conn, GPU, [gpu_price("500", list_yen="500")], key="high", valid_from=TOMORROW)
    async with market.as_tenant() as conn:
        assert len(await service.price_history(conn, GPU)) == 1


async def test_the_history_of_prices_is_public(market: Market) -> None:
    async with market.as_operator() as conn:
        await publish(conn, GPU, [gpu_price("200")], key="tomorrow", valid_from=TOMORROW)
    async with market.as_tenant() as conn:
        history = await service.price_history(conn, GPU)
        with pytest.raises(UnknownOffering):
            await service.price_history(conn, "nothing")
    assert [version.components[0].price_micro_yen for version in history] == [micro("330"), micro("200")]


async def test_the_same_offering_again_is_nothing_and_another_under_its_name_is_refused(market: Market) -> None:
    async with market.as_operator() as conn:
        await service.create_offering(conn, GPU_OFFERING, now=TOMORROW)
    with pytest.raises(OfferingExists):
        async with market.as_operator() as conn:
            await service.create_offering(conn, replace(GPU_OFFERING, max_gpus=1), now=NOW)
    async with market.as_tenant() as conn:
        assert await service.offering(conn, GPU) == GPU_OFFERING
        assert (await service.offering(conn, QPU)).qpu_base_us == 2_000_000


async def test_a_market_reference_never_changes(market: Market) -> None:
    async with market.as_operator() as conn:
        await service.record_market_reference(conn, MARKET[0], now=TOMORROW)
    with pytest.raises(MarketReferenceExists):
        async with market.as_operator() as conn:
            await service.record_market_reference(conn, replace(MARKET[0], amount_micro_yen=1), now=NOW)
    with pytest.raises(AmountNotPositive):
        async with market.as_operator() as conn:
            await service.record_market_reference(conn, replace(MARKET[0], id=an_id(0), amount_micro_yen=0), now=NOW)


DOLLARS = ForeignPrice(
    currency="USD", amount=Decimal("1.6"), exchange_rate=Decimal("149.12345678"), source="a bank", on=date(2026, 3, 31)
)


async def test_a_price_in_another_currency_is_kept_with_its_rate_and_told_of_what_ran(market: Market) -> None:
    price = NewPrice.converted(
        DOLLARS,
        component=Component.QPU_S,
        per=Decimal(1),
        list_micro_yen=micro("239"),
        market_reference_id=an_id("market", Component.QPU_S),
    )
    async with market.as_operator() as conn:
        version = await publish(conn, QPU, [price, QPU_PRICES[1]], key="dollars", valid_from=TOMORROW)
        kept = await service.price_version(conn, version)
    found = kept.component(Component.QPU_S)
    assert found is not None
    assert (found.foreign, found.price_micro_yen) == (DOLLARS, micro("238.59753"))
    await market.grant("10000")
    await market.submit("a", offering_id=QPU, size=JobSize(walltime_s=60, shots=1000), now=TOMORROW)
    used = gpu_usage("u", "2.25", component="qpu_s", started_at=TOMORROW, ended_at=TOMORROW)
    await market.use("a", used, now=TOMORROW + timedelta(hours=2))
    await market.close("a", at=TOMORROW + timedelta(hours=1))
    async with market.as_tenant() as conn:
        (told,) = await service.converted_prices(conn, market.organisation, month=Month.of(TOMORROW.date()))
    assert (told.offering_id, told.component, told.foreign) == (QPU, Component.QPU_S, DOLLARS)


async def test_what_an_offering_sells_beside_circuits_is_kept(market: Market) -> None:
    sold = replace(QPU_OFFERING, id="qpu-more", max_session_s=600, max_session_idle_s=60, sim_units=4)
    async with market.as_operator() as conn:
        await service.create_offering(conn, sold, now=NOW)
        assert await service.offering(conn, sold.id) == sold
