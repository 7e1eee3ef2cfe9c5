"""GPU use from Prometheus: the question names the job and its time, the answer is read with care."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.workloads import dcgm
from hpc_adapters.workloads.gpu_sampler import facts


def answer(*rows: tuple[str, str]) -> dict[str, object]:
    result = [{"metric": {"UUID": uuid, "gpu": "0"}, "value": [1_795_000_000.1, value]} for uuid, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_a_question_is_bound_to_the_job_and_its_time() -> None:
    asked = dcgm.questions(4711, duration_s=600)
    assert asked == {
        "utilisation_pct": 'avg_over_time(DCGM_FI_DEV_GPU_UTIL{hpc_job="4711"}[600s])',
        "memory_peak_mb": 'max_over_time(DCGM_FI_DEV_FB_USED{hpc_job="4711"}[600s])',
        "energy_j": 'increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{hpc_job="4711"}[600s]) / 1000',
    }


def test_the_answers_become_the_facts_that_the_sampler_would_have_told() -> None:
    told = dcgm.summary(
        {
            "utilisation_pct": answer(("GPU-a", "90"), ("GPU-b", "70")),
            "memory_peak_mb": answer(("GPU-a", "1000"), ("GPU-b", "2000.5")),
            "energy_j": answer(("GPU-a", "5e3"), ("GPU-b", "4000")),
        }
    )
    assert facts([told]) == {"gpu_utilisation_pct": 80.0, "gpu_memory_peak_mb": 2000.5, "gpu_energy_j": 9000.0}


def test_what_prometheus_does_not_know_is_not_measured() -> None:
    for nothing in ({}, {"utilisation_pct": answer()}, {"energy_j": answer(("GPU-a", "NaN"))}, {"energy_j": None}):
        told = dcgm.summary(nothing)
        assert told == {"measured": False, "reason": "no-series"}
        assert facts([told]) == {"gpu_measured": "no"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "data", "result", "resultType", "metric", "value", "UUID"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(told=st.dictionaries(st.sampled_from(["utilisation_pct", "memory_peak_mb", "energy_j"]), JSON))
def test_no_answer_however_strange_breaks_the_reader(told: dict[str, object]) -> None:
    assert facts([dcgm.summary(told)])
