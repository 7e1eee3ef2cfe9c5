"""The dominant share: what a job that takes several resources counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core.units import Rates, dominant_nu, gpu_rates

H200 = gpu_rates(1.0, cpus_per_gpu=24, memory_mb_per_gpu=240_000)
HOUR_S = 3600

amounts = st.builds(
    Resources,
    gpus=st.integers(0, 64),
    cpus=st.integers(0, 4_096),
    memory_mb=st.integers(0, 10**7),
    qpus=st.integers(0, 4),
)
rates = st.builds(
    Rates,
    gpu=st.fractions(0, 10),
    cpu=st.fractions(0, 1),
    memory_mb=st.fractions(0, 1),
    qpu=st.fractions(0, 100),
)


@pytest.mark.parametrize(
    ("held", "nu"),
    [
        (Resources(gpus=1, cpus=24, memory_mb=240_000), 1.0),
        (Resources(gpus=8, cpus=8, memory_mb=1), 8.0),
        (Resources(cpus=12), 0.5),
        (Resources(cpus=1, memory_mb=120_000), 0.5),
        (Resources(gpus=1, cpus=48), 2.0),
        (Resources(), 0.0),
    ],
)
def test_what_counts_is_the_resource_of_which_it_takes_most(held: Resources, nu: float) -> None:
    assert dominant_nu(held, H200, seconds=HOUR_S) == nu


def test_a_machine_without_a_bundle_counts_its_gpus_alone() -> None:
    bare = gpu_rates(2.5, cpus_per_gpu=0, memory_mb_per_gpu=0)
    assert dominant_nu(Resources(gpus=2, cpus=99), bare, seconds=HOUR_S) == 5.0


@given(amounts, rates, st.integers(0, 10**6))
def test_it_is_at_least_and_at_most_what_one_resource_alone_would_count(held: Resources, each: Rates, s: int) -> None:
    alone = [
        dominant_nu(one, each, seconds=s)
        for one in (
            Resources(gpus=held.gpus),
            Resources(cpus=held.cpus),
            Resources(memory_mb=held.memory_mb),
            Resources(qpus=held.qpus),
        )
    ]
    assert dominant_nu(held, each, seconds=s) == max(alone)


@given(amounts, amounts, rates)
def test_more_never_counts_less_and_together_never_more_than_apart(a: Resources, b: Resources, each: Rates) -> None:
    both = Resources(
        gpus=a.gpus + b.gpus, cpus=a.cpus + b.cpus, memory_mb=a.memory_mb + b.memory_mb, qpus=a.qpus + b.qpus
    )
    together, apart = (dominant_nu(both, each, seconds=HOUR_S), [dominant_nu(x, each, seconds=HOUR_S) for x in (a, b)])
    assert max(apart) <= together <= sum(apart) * (1 + 1e-12)


@given(amounts, rates, st.integers(1, 10**5), st.integers(2, 100))
def test_it_grows_with_time_as_time_does(held: Resources, each: Rates, s: int, times: int) -> None:
    assert dominant_nu(held, each, seconds=s * times) == pytest.approx(times * dominant_nu(held, each, seconds=s))
