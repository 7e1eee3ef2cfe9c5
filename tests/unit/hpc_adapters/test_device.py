"""The service-time model and what a job uses of a device."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Circuit, Seen
from hpc_adapters.errors import Rejected
from hpc_adapters.quantum.aer.device import DeviceSettings, ServiceTime, simulated, used
from hpc_adapters.quantum.aer.requests import check_circuit

HELMI = ServiceTime(base_us=2_670_000, per_kshot_us=431_600, shots=4_000)
services = st.builds(
    ServiceTime,
    base_us=st.integers(0, 10**8),
    per_kshot_us=st.integers(0, 10**8),
    shots=st.integers(1, 10**6),
)
STOPPED = (Seen.CANCELLED, Seen.TIMED_OUT, Seen.RUNNING)


def test_a_finished_job_uses_the_whole_model_exactly() -> None:
    assert used(HELMI, Seen.SUCCEEDED, timedelta(milliseconds=3)) == {
        "qpu_s": Decimal("4.3964"),
        "shot": Decimal(4_000),
    }


def test_a_fraction_of_a_microsecond_is_never_charged() -> None:
    assert ServiceTime(base_us=0, per_kshot_us=431_600, shots=1).full_us == 431


def test_a_job_that_never_reached_the_device_uses_nothing() -> None:
    for ending in (*STOPPED, Seen.FAILED, Seen.OUT_OF_MEMORY, Seen.NODE_FAILED):
        assert used(HELMI, ending, None) == {"qpu_s": 0, "shot": 0}


def test_a_failure_of_the_device_costs_nothing() -> None:
    for ending in (Seen.FAILED, Seen.OUT_OF_MEMORY, Seen.NODE_FAILED, Seen.UNKNOWN):
        assert used(HELMI, ending, timedelta(seconds=3)) == {"qpu_s": 0, "shot": 0}


def test_a_cancelled_job_uses_the_time_it_held_the_device_and_the_shots_of_that_time() -> None:
    assert used(HELMI, Seen.CANCELLED, timedelta(seconds=1)) == {"qpu_s": Decimal(1), "shot": Decimal(0)}
    assert used(HELMI, Seen.CANCELLED, timedelta(microseconds=2_670_000 + 863_200)) == {
        "qpu_s": Decimal("3.5332"),
        "shot": Decimal(2_000),
    }
    assert used(HELMI, Seen.CANCELLED, timedelta(hours=1)) == used(HELMI, Seen.SUCCEEDED, None)


@given(services, st.sampled_from(STOPPED), st.timedeltas(timedelta(seconds=-1), timedelta(hours=1)))
def test_a_stopped_job_never_uses_more_than_a_finished_one(service: ServiceTime, end: Seen, ran: timedelta) -> None:
    stopped, finished = used(service, end, ran), used(service, Seen.SUCCEEDED, None)
    assert 0 <= stopped["qpu_s"] <= finished["qpu_s"]
    assert 0 <= stopped["shot"] <= finished["shot"]
    assert stopped["qpu_s"] == stopped["qpu_s"].quantize(Decimal("0.000001"))


@given(services, st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_time_never_means_fewer_shots(service: ServiceTime, a: int, b: int) -> None:
    assert service.shots_within(min(a, b)) <= service.shots_within(max(a, b))


def test_a_device_whose_state_vector_does_not_fit_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        DeviceSettings(name="d", qubits=40, max_shots=1, base_us=0, per_kshot_us=0)


def test_a_simulator_refuses_options_against_errors_by_name() -> None:
    device = DeviceSettings(name="d", qubits=2, max_shots=9, base_us=0, per_kshot_us=0)
    body = b'{"format": "kyoyo.pubs/1", "primitive": "sampler", "circuits": [{"format": "openqasm3", "text": '
    body += b'"OPENQASM 3;"}], "pubs": [{"circuit": 0, "shots": 5}], "options": {"dynamical_decoupling": "XX"}}'
    with pytest.raises(Rejected) as refused:
        check_circuit(Circuit(program=body, shots=5), device)
    assert (refused.value.code, refused.value.facts) == ("unsupported-option", {"option": "dynamical_decoupling"})


# -- a device that is sold as a simulator ---------------------------------------------------------------------------


def test_a_simulator_is_charged_for_what_it_holds_while_it_computes() -> None:
    held = simulated(Seen.SUCCEEDED, timedelta(microseconds=1_500_001), units=4, shots=900, taken=700)
    assert held == {"sim_s": Decimal("6.000004"), "shot": 700}
    assert simulated(Seen.CANCELLED, timedelta(seconds=2), units=4, shots=900) == {"sim_s": 8, "shot": 0}


@pytest.mark.parametrize("ending", [Seen.FAILED, Seen.OUT_OF_MEMORY, Seen.NODE_FAILED, Seen.UNKNOWN])
def test_a_failed_simulation_costs_nothing(ending: Seen) -> None:
    assert simulated(ending, timedelta(seconds=3), units=1, shots=1) == {"sim_s": 0, "shot": 0}
    assert simulated(Seen.CANCELLED, None, units=1, shots=1) == {"sim_s": 0, "shot": 0}


def test_a_simulator_has_no_service_time_and_holds_one_gpu_or_its_cpus() -> None:
    sold = DeviceSettings(name="d", qubits=2, max_shots=1, base_us=9, per_kshot_us=9, cpus=3, sold_as="simulator")
    assert (sold.service_time(500).full_us, sold.sim_units) == (0, 3)
    assert replace(sold, gpu=True).sim_units == 1
    with pytest.raises(ValueError, match="sold as"):
        replace(sold, sold_as="laptop")  # type: ignore[arg-type]
