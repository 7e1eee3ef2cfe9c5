"""The quote of a job with phases, and what its attempts are charged at two offerings' prices."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from pricing.errors import MixedTaxRates
from pricing.model import Component, JobSize
from pricing.phases import joined
from tests.support.books import QPU_VERSION, VERSION
from tests.support.market import GPU, QPU
from tests.support.prices import a_hybrid_quote, a_quote

SIZES = ((VERSION, JobSize(gpus=2, walltime_s=600)), (QPU_VERSION, JobSize(shots=1_000, walltime_s=60)))


def test_the_whole_is_the_sum_of_its_phases() -> None:
    quote = a_hybrid_quote("a", [*SIZES, SIZES[0]])
    assert [(each.phase, each.offering_id) for each in quote.phases] == [("0", GPU), ("1", QPU), ("2", GPU)]
    assert quote.ceiling_micro_yen == sum(each.ceiling_micro_yen for each in quote.phases)
    assert quote.expected_micro_yen == sum(each.expected_micro_yen for each in quote.phases)
    assert sum(line.amount_micro_yen for line in quote.lines) == quote.ceiling_micro_yen
    assert {line.component: line.quantity for line in quote.lines}[Component.GPU_S] == Decimal(2 * 2 * 600)
    assert quote.price_versions == {GPU: VERSION.id, QPU: QPU_VERSION.id}


def test_a_job_of_one_phase_costs_what_it_would_cost_alone() -> None:
    alone = a_quote("a", size=SIZES[0][1], version=VERSION)
    assert a_hybrid_quote("a", [SIZES[0]]).ceiling_micro_yen == alone.ceiling_micro_yen


def test_phases_that_would_be_taxed_differently_are_refused() -> None:
    quote = a_quote("a", size=SIZES[0][1], version=VERSION)
    with pytest.raises(MixedTaxRates) as refused:
        joined([("a", quote), ("b", replace(quote, tax_rate_bp=800))])
    assert refused.value.facts == {"rates_bp": [800, 1000]}
