from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from infra.refusal import Refusal
from pricing import catalog
from pricing.errors import (
    ExchangeRateWrong,
    GpusRequired,
    MarketReferenceUnknown,
    PriceAboveList,
    PriceComponentsWrong,
    PriceNotBelowMarket,
    ShotsRequired,
    TooManyGpus,
    TooManyShots,
    WalltimeRequired,
    WalltimeTooLong,
)
from pricing.model import Component, ForeignPrice, JobSize, NewPrice, Offering
from pricing.units import micro
from tests.support.market import GPU_OFFERING, MARKET, QPU_OFFERING, QPU_PRICES, an_id, gpu_price

REFERENCES = {each.id: each for each in MARKET}


@pytest.mark.parametrize(
    ("offering", "size", "refusal", "facts"),
    [
        (GPU_OFFERING, JobSize(gpus=1, walltime_s=0), WalltimeRequired, {"requested_s": 0}),
        (GPU_OFFERING, JobSize(gpus=1, walltime_s=-5), WalltimeRequired, {"requested_s": -5}),
        (
            GPU_OFFERING,
            JobSize(gpus=1, walltime_s=604_801),
            WalltimeTooLong,
            {"requested_s": 604_801, "limit_s": 604_800},
        ),
        (GPU_OFFERING, JobSize(gpus=0, walltime_s=1), GpusRequired, {"offering": "gpu-demo"}),
        (GPU_OFFERING, JobSize(gpus=9, walltime_s=1), TooManyGpus, {"requested": 9, "limit": 8}),
        (GPU_OFFERING, JobSize(gpus=1, walltime_s=1, shots=1), TooManyShots, {"requested": 1, "limit": 0}),
        (QPU_OFFERING, JobSize(walltime_s=1), ShotsRequired, {"offering": "qpu-demo"}),
        (QPU_OFFERING, JobSize(walltime_s=1, shots=100_001), TooManyShots, {"requested": 100_001, "limit": 100_000}),
        (QPU_OFFERING, JobSize(walltime_s=1, shots=1, gpus=1), TooManyGpus, {"requested": 1, "limit": 0}),
    ],
)
def test_a_job_that_does_not_fit_is_refused_with_the_limit(
    offering: Offering, size: JobSize, refusal: type[Refusal], facts: dict[str, object]
) -> None:
    with pytest.raises(refusal) as refused:
        catalog.require_size(offering, size)
    assert refused.value.facts == facts


def test_a_job_at_the_limits_fits() -> None:
    catalog.require_size(GPU_OFFERING, JobSize(gpus=8, walltime_s=604_800))
    catalog.require_size(QPU_OFFERING, JobSize(walltime_s=3600, shots=100_000))


def test_a_published_price_carries_the_markets_price_for_as_many_units() -> None:
    per_second = replace(gpu_price("0.09", list_yen="0.12"), per=Decimal(1))
    (priced,) = catalog.priced_components(GPU_OFFERING, [per_second], REFERENCES)
    assert priced.market_micro_yen == micro("500") // 3600


@pytest.mark.parametrize("yen", ["500", "500.000001", "600"])
def test_a_price_at_or_above_the_markets_is_refused(yen: str) -> None:
    with pytest.raises(PriceNotBelowMarket) as refused:
        catalog.priced_components(GPU_OFFERING, [gpu_price(yen, list_yen="700")], REFERENCES)
    assert refused.value.facts == {"component": "gpu_s", "price_yen": yen, "market_yen": "500"}


def test_a_price_just_below_the_markets_is_accepted() -> None:
    (priced,) = catalog.priced_components(GPU_OFFERING, [gpu_price("499.999999", list_yen="600")], REFERENCES)
    assert priced.price_micro_yen == priced.market_micro_yen - 1


@pytest.mark.parametrize(("yen", "list_yen"), [("401", "400"), ("-1", "400")])
def test_a_price_lies_between_nothing_and_the_list_price(yen: str, list_yen: str) -> None:
    with pytest.raises(PriceAboveList):
        catalog.priced_components(GPU_OFFERING, [gpu_price(yen, list_yen)], REFERENCES)


def test_a_version_prices_every_component_of_its_kind_once_and_no_other() -> None:
    for prices in ([], QPU_PRICES[:1], [*QPU_PRICES, QPU_PRICES[0]], [*QPU_PRICES, gpu_price("330")]):
        with pytest.raises(PriceComponentsWrong):
            catalog.priced_components(QPU_OFFERING, prices, REFERENCES)
    assert len(catalog.priced_components(QPU_OFFERING, QPU_PRICES, REFERENCES)) == 2


@pytest.mark.parametrize("reference", [an_id("nothing"), an_id("market", Component.SHOT)])
def test_a_reference_is_of_the_same_resource_and_component(reference: object) -> None:
    stray = replace(gpu_price("330"), market_reference_id=reference)
    with pytest.raises(MarketReferenceUnknown):
        catalog.priced_components(GPU_OFFERING, [stray], REFERENCES)


DOLLARS = ForeignPrice(
    currency="USD", amount=Decimal("1.60"), exchange_rate=Decimal("149.123456"), source="a bank", on=date(2026, 3, 31)
)


def converted(foreign: ForeignPrice = DOLLARS) -> NewPrice:
    return NewPrice.converted(
        foreign,
        component=Component.GPU_S,
        per=Decimal(3600),
        list_micro_yen=micro("400"),
        market_reference_id=an_id("market", Component.GPU_S),
    )


def test_a_price_in_dollars_is_published_with_its_yen_and_the_rate_that_made_them() -> None:
    (priced,) = catalog.priced_components(GPU_OFFERING, [converted()], REFERENCES)
    assert priced.price_micro_yen == micro("238.597529")  # 238.5975296, never rounded up
    assert priced.foreign == DOLLARS


@pytest.mark.parametrize(
    "wrong",
    [
        replace(converted(), price_micro_yen=micro("238.6")),
        converted(replace(DOLLARS, currency="usd")),
        converted(replace(DOLLARS, exchange_rate=Decimal(0))),
        converted(replace(DOLLARS, source="")),
    ],
    ids=["other yen", "no currency", "no rate", "no source"],
)
def test_a_conversion_that_is_none_is_refused(wrong: NewPrice) -> None:
    with pytest.raises(ExchangeRateWrong):
        catalog.priced_components(GPU_OFFERING, [wrong], REFERENCES)


def test_no_number_becomes_no_price() -> None:
    with pytest.raises(ValueError, match="no price"):
        converted(replace(DOLLARS, amount=Decimal("NaN")))


def test_what_an_offering_sells_beyond_circuits_must_be_priced() -> None:
    sold = replace(QPU_OFFERING, max_session_s=60, sim_units=1)
    assert catalog.priced(sold) == catalog.priced(QPU_OFFERING) | {Component.SESSION_S, Component.SIM_S}
    with pytest.raises(PriceComponentsWrong):
        catalog.priced_components(sold, QPU_PRICES, REFERENCES)
