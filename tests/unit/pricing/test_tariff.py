"""The premium of a slice and the minimum time: the same in the quote and in the charge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import catalog, quoting, tariff
from pricing.errors import PriceNotBelowMarket
from pricing.model import Component, JobSize, PriceVersion, UsageToRate
from pricing.rating import rate
from pricing.units import micro
from tests.support.market import GPU_OFFERING, MARKET, NOW, QPU_OFFERING, QPU_PRICES, an_id, gpu_price, gpu_usage
from tests.support.prices import a_version

VERSIONS = st.builds(
    lambda below, premium, least: replace(
        a_version(), slice_below_gpus=below, slice_premium_bp=premium, minimum_s=least
    ),
    st.integers(0, 9),
    st.integers(0, 5_000),
    st.integers(0, 600),
)


def used(gpus: int, elapsed_us: int) -> UsageToRate:
    return gpu_usage(
        "u",
        str(Decimal(gpus * elapsed_us).scaleb(-6)),
        started_at=NOW,
        ended_at=NOW + timedelta(microseconds=elapsed_us),
    )


def ceiling(version: PriceVersion, gpus: int, walltime_s: int) -> int:
    quote = quoting.price_job(
        offering=GPU_OFFERING,
        version=version,
        size=JobSize(gpus=gpus, walltime_s=walltime_s),
        quote_id=an_id("quote"),
        job_id=an_id("job"),
        organisation_id=an_id("organisation"),
        now=NOW,
    )
    return quote.ceiling_micro_yen


@given(VERSIONS, st.integers(1, 8), st.integers(1, 200_000), st.data())
def test_what_ran_within_its_limit_never_costs_more_than_was_promised(
    version: PriceVersion, gpus: int, walltime_s: int, data: st.DataObject
) -> None:
    elapsed_us = data.draw(st.integers(1, walltime_s * 10**6))
    pieces = rate(used(gpus, elapsed_us), version)
    price = sum(each.price_micro_yen for each in pieces)
    assert price <= ceiling(version, gpus, walltime_s)
    market = sum(each.market_micro_yen for each in pieces)
    assert sum(each.list_micro_yen for each in pieces) >= price
    if version.slice_premium_bp < 2_000:  # 330 with 20 % more is still below 500
        assert price <= market


@given(VERSIONS, st.integers(1, 8), st.integers(0, 10**12))
def test_less_than_the_minimum_counts_as_that_and_more_as_it_is(
    version: PriceVersion, gpus: int, elapsed_us: int
) -> None:
    counted = tariff.counted_micro(version, used(gpus, elapsed_us))
    least = gpus * version.minimum_s * 10**6
    assert counted == (max(gpus * elapsed_us, least) if elapsed_us else 0)


@pytest.mark.parametrize(("gpus", "yen"), [(1, "412.499983"), (3, "412.499983"), (4, "329.999987"), (8, "329.999987")])
def test_who_takes_fewer_gpus_than_a_node_pays_the_premium(gpus: int, yen: str) -> None:
    version = replace(a_version(), slice_below_gpus=4, slice_premium_bp=2_500)
    assert ceiling(version, gpus, 3600) == gpus * micro(yen)
    (piece,) = rate(used(gpus, 3600 * 10**6), version)
    assert piece.price_micro_yen == gpus * micro(yen)
    assert piece.market_micro_yen == gpus * micro("500")


def test_a_slices_price_too_lies_below_the_markets() -> None:
    references = {each.id: each for each in MARKET}
    catalog.priced_components(GPU_OFFERING, [gpu_price("400")], references, slice_premium_bp=2_499)
    with pytest.raises(PriceNotBelowMarket):
        catalog.priced_components(GPU_OFFERING, [gpu_price("400")], references, slice_premium_bp=2_500)


def test_counts_have_neither() -> None:
    version = replace(a_version(QPU_OFFERING, QPU_PRICES), slice_below_gpus=9, slice_premium_bp=5_000, minimum_s=60)
    usage = gpu_usage("q", "2", component=Component.QPU_S, ended_at=NOW + timedelta(seconds=1))
    assert tariff.counted_micro(version, usage) == 2 * 10**6
    assert tariff.price_of_use(version, usage) == version.component(Component.QPU_S)
