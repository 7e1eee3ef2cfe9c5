from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import quoting
from pricing.errors import NoPrice, TooManyGpus
from pricing.model import Component, JobSize, QuoteLine
from pricing.units import micro
from tests.support.market import GPU_OFFERING, NOW, QPU_OFFERING, QPU_PRICES, an_id, gpu_price
from tests.support.prices import ORGANISATION, a_quote, a_version


def test_the_ceiling_of_a_gpu_job_is_its_whole_walltime_on_all_its_gpus() -> None:
    quote = a_quote("a", size=JobSize(gpus=2, walltime_s=5400), version=a_version(prices=[gpu_price("330")]))
    assert quote.lines == (
        QuoteLine(component=Component.GPU_S, quantity=Decimal(10_800), amount_micro_yen=micro("990")),
    )
    assert quote.ceiling_micro_yen == micro("990")
    assert quote.ceiling_with_tax_micro_yen == micro("1089")


def test_what_is_expected_of_a_gpu_job_is_its_ceiling_for_nothing_is_known_before_it_ran() -> None:
    quote = a_quote("a", size=JobSize(gpus=1, walltime_s=60))
    assert quote.expected_micro_yen == quote.ceiling_micro_yen


def test_a_quantum_job_is_quoted_exactly_by_its_service_time() -> None:
    quote = quoting.price_job(
        offering=QPU_OFFERING,
        version=a_version(QPU_OFFERING, QPU_PRICES),
        size=JobSize(walltime_s=600, shots=4000),
        quote_id=an_id("quote"),
        job_id=an_id("job"),
        organisation_id=ORGANISATION,
        now=NOW,
    )
    # 2 s + 4 × 0.25 s at 150 yen a second; 4,000 shots at 12.5 yen a thousand
    assert {line.component: line.amount_micro_yen for line in quote.lines} == {
        Component.QPU_S: micro("450"),
        Component.SHOT: micro("50"),
    }
    assert quote.expected_micro_yen == quote.ceiling_micro_yen == micro("500")


def test_service_time_is_rounded_up_to_a_microsecond() -> None:
    assert quoting.qpu_time_us(QPU_OFFERING, JobSize(walltime_s=1, shots=1)) == 2_000_250
    size = JobSize(walltime_s=1, shots=3, circuits=2)
    assert quoting.qpu_time_us(QPU_OFFERING, size) == 2_001_500


@given(st.integers(1, 8), st.integers(1, 604_800))
def test_a_ceiling_rounds_up(gpus: int, walltime_s: int) -> None:
    quote = a_quote("a", size=JobSize(gpus=gpus, walltime_s=walltime_s))
    exact = Decimal(gpus * walltime_s) * Decimal("329.999987") / 3600 * 1_000_000
    assert 0 <= quote.ceiling_micro_yen - exact < 1


def test_a_job_that_does_not_fit_has_no_price() -> None:
    with pytest.raises(TooManyGpus):
        a_quote("a", size=JobSize(gpus=9, walltime_s=1))


def test_a_version_without_the_components_price_quotes_nothing() -> None:
    with pytest.raises(NoPrice):
        quoting.price_job(
            offering=GPU_OFFERING,
            version=a_version(QPU_OFFERING, QPU_PRICES),
            size=JobSize(gpus=1, walltime_s=1),
            quote_id=an_id("quote"),
            job_id=an_id("job"),
            organisation_id=ORGANISATION,
            now=NOW,
        )
