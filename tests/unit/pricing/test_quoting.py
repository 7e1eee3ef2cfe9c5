from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import catalog, quoting
from pricing.errors import (
    CostCapTooSmall,
    NoPrice,
    SessionIdleTooLong,
    SessionsNotOffered,
    SessionTooLong,
    TooManyGpus,
)
from pricing.model import Component, JobSize, NewPrice, Offering, Quote, QuoteLine, ServiceTime
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


# -- circuits: a range, and a cap -------------------------------------------------------------------------------------


def a_circuit(*, offering: Offering = QPU_OFFERING, prices: Sequence[NewPrice] = QPU_PRICES, **size: object) -> Quote:
    """4,000 shots within 10 minutes; state what differs."""
    asked = JobSize(**{"walltime_s": 600, "shots": 4000, **size})  # type: ignore[arg-type]  any subset of the fields
    return quoting.price_job(
        offering=offering,
        version=a_version(offering, prices),
        size=asked,
        quote_id=an_id("quote"),
        job_id=an_id("job"),
        organisation_id=ORGANISATION,
        now=NOW,
    )


def test_without_a_word_of_the_device_the_offerings_model_is_the_whole_range() -> None:
    quote = a_circuit()
    assert quote.basis == {
        "source": "offering",
        "low_us": 3_000_000,
        "expected_us": 3_000_000,
        "high_us": 3_000_000,
        "cap_us": 3_000_000,
    }
    assert quote.low_micro_yen == quote.ceiling_micro_yen
    assert quoting.cap_of(quote) == 3_000_000


def test_a_range_by_the_devices_durations_is_quoted_as_one_and_held_at_its_cap() -> None:
    quote = a_circuit(service=ServiceTime(1_000_000, 5_000_000, "durations", "cal-1"))
    assert (quote.low_micro_yen, quote.expected_micro_yen) == (micro("200"), micro("500"))
    assert quote.ceiling_micro_yen == micro("800")
    assert (quote.basis["source"], quote.basis["calibration_id"]) == ("durations", "cal-1")
    assert quoting.cap_of(quote) == 5_000_000


def test_an_estimate_below_the_model_does_not_stop_a_job_at_its_own_guess() -> None:
    assert quoting.cap_of(a_circuit(service=ServiceTime(1_000, 2_000, "durations"))) == 3_000_000


def test_the_owners_cap_is_turned_into_time_where_it_is_below_the_quote() -> None:
    quote = a_circuit(service=ServiceTime(1_000_000, 5_000_000, "durations"), max_cost_micro_yen=micro("385"))
    assert quoting.cap_of(quote) == 2_000_000  # 50 for the shots leave 300 for 2 s
    assert (quote.ceiling_micro_yen, quote.ceiling_with_tax_micro_yen) == (micro("350"), micro("385"))
    assert quote.expected_micro_yen == quote.ceiling_micro_yen
    assert quote.basis["high_us"] == quote.basis["expected_us"] == 2_000_000


@pytest.mark.parametrize("service", [None, ServiceTime(1_000_000, 5_000_000, "durations")])
def test_a_generous_cap_changes_nothing(service: ServiceTime | None) -> None:
    assert a_circuit(service=service, max_cost_micro_yen=micro("1000000")) == a_circuit(service=service)


@pytest.mark.parametrize("yen", ["219.999999", "0", "49"])
def test_a_cap_that_does_not_cover_the_least_is_refused_with_both_amounts(yen: str) -> None:
    with pytest.raises(CostCapTooSmall) as refused:
        a_circuit(service=ServiceTime(1_000_000, 5_000_000, "durations"), max_cost_micro_yen=micro(yen))
    assert refused.value.facts == {"max_cost_yen": yen, "needed_yen": "220"}


@given(st.integers(1, 10**12), st.integers(0, 10**7), st.integers(0, 10**7))
def test_no_cap_is_ever_exceeded_and_the_range_is_in_order(cap: int, low_us: int, more_us: int) -> None:
    try:
        quote = a_circuit(service=ServiceTime(low_us, low_us + more_us, "model"), max_cost_micro_yen=cap)
    except CostCapTooSmall:
        return
    assert quote.low_micro_yen is not None
    assert quote.low_micro_yen <= quote.expected_micro_yen <= quote.ceiling_micro_yen
    assert quote.ceiling_with_tax_micro_yen <= cap
    uncapped = a_circuit(service=ServiceTime(low_us, low_us + more_us, "model"))
    assert quote.ceiling_micro_yen <= uncapped.ceiling_micro_yen


def test_gpu_jobs_are_refused_where_their_ceiling_is_above_the_owners_cap() -> None:
    size = JobSize(gpus=1, walltime_s=3600, max_cost_micro_yen=micro("362.999999"))
    with pytest.raises(CostCapTooSmall):
        a_quote("a", size=size, version=a_version(prices=[gpu_price("330")]))
    exact = replace(size, max_cost_micro_yen=micro("363"))
    assert a_quote("a", size=exact, version=a_version(prices=[gpu_price("330")])).ceiling_micro_yen == micro("330")


def test_the_tasks_of_an_array_share_their_owners_cap() -> None:
    size = JobSize(gpus=1, walltime_s=3600, max_cost_micro_yen=micro("1089"), jobs=3)
    assert a_quote("a", size=size, version=a_version(prices=[gpu_price("330")])).ceiling_micro_yen == micro("330")
    with pytest.raises(CostCapTooSmall) as refused:
        a_quote("a", size=replace(size, jobs=4), version=a_version(prices=[gpu_price("330")]))
    assert refused.value.facts == {"max_cost_yen": "1089", "needed_yen": "1452"}


# -- sessions and simulators ------------------------------------------------------------------------------------------

WITH_SESSIONS = replace(QPU_OFFERING, max_session_s=1800, max_session_idle_s=300, sim_units=2)
ALL_PRICES = [
    *QPU_PRICES,
    replace(QPU_PRICES[0], component=Component.SESSION_S, market_reference_id=an_id("market", Component.SESSION_S)),
    replace(
        QPU_PRICES[0],
        component=Component.SIM_S,
        per=Decimal(3600),
        market_reference_id=an_id("market", Component.SIM_S),
    ),
]


def test_a_session_is_quoted_for_as_long_as_it_may_be_open() -> None:
    quote = a_circuit(offering=WITH_SESSIONS, prices=ALL_PRICES, shots=0, walltime_s=1800, session_idle_s=60)
    assert quote.lines == (
        QuoteLine(component=Component.SESSION_S, quantity=Decimal(1800), amount_micro_yen=micro("270000")),
    )
    assert quoting.cap_of(quote) is None


@pytest.mark.parametrize(
    ("offering", "size", "refusal"),
    [
        (QPU_OFFERING, {"session_idle_s": 60}, SessionsNotOffered),
        (WITH_SESSIONS, {"session_idle_s": 60, "walltime_s": 1801}, SessionTooLong),
        (WITH_SESSIONS, {"session_idle_s": 301}, SessionIdleTooLong),
        (WITH_SESSIONS, {"session_idle_s": 0}, SessionIdleTooLong),
    ],
)
def test_sessions_have_limits(offering: Offering, size: dict[str, int], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        catalog.require_size(offering, JobSize(**{"walltime_s": 600, **size}))


def test_a_simulators_units_are_held_for_the_whole_time_limit() -> None:
    quote = a_circuit(offering=WITH_SESSIONS, prices=ALL_PRICES)
    assert {line.component: line.quantity for line in quote.lines}[Component.SIM_S] == Decimal(1200)
    assert quote.low_micro_yen == micro("500")
    assert quote.ceiling_micro_yen == micro("550")
