"""IBM Quantum as it is: results, device, sessions, usage. Through the real library, against the stub."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hpc_adapters.conformance.harness import Act
from hpc_adapters.conformance.suite import final_row
from hpc_adapters.contract import Circuit, Observation, Ref, Seen, Stream
from hpc_adapters.devices import Devices, DeviceState, EstimateSource
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.programs import work_of
from infra.clock import new_id
from tests.support.ibm_house import BELL, IbmHarness, circuit, hold, result_of
from tests.support.ibm_stub import ibm_stub

pytestmark = [
    pytest.mark.xdist_group("ibm-runtime-vendor"),
    pytest.mark.ibm,
    pytest.mark.quantum,
    pytest.mark.sandbox,
    pytest.mark.takes(2),
]


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with ibm_stub() as url:
        yield url


@pytest.fixture
async def ibm(stub: str, tmp_path: Path) -> AsyncIterator[IbmHarness]:
    made = IbmHarness(stub, tmp_path)
    yield made
    await made.close()


def estimator_document(shots: int) -> bytes:
    """The energy of a two-qubit state at three angles, as QPY with a parameter."""
    from qiskit import QuantumCircuit, qpy  # noqa: PLC0415
    from qiskit.circuit import Parameter  # noqa: PLC0415

    made = QuantumCircuit(2)
    made.ry(Parameter("theta"), 0)
    made.cx(0, 1)
    written = io.BytesIO()
    qpy.dump(made, written)
    parameters = {"names": ["theta"], "shape": [3], "values": [[0.0], [math.pi / 3], [math.pi]]}
    pub = {
        "circuit": 0,
        "shots": shots,
        "parameters": parameters,
        "observables": {"shape": [], "values": [{"ZI": 1.0, "II": 0.5}]},
    }
    document = {
        "format": "kyoyo.pubs/1",
        "primitive": "estimator",
        "circuits": [{"format": "qpy", "data": base64.b64encode(written.getvalue()).decode()}],
        "pubs": [pub],
    }
    return json.dumps(document).encode()


SAMPLER = {
    "format": "kyoyo.pubs/1",
    "primitive": "sampler",
    "circuits": [
        {
            "format": "openqasm3",
            "text": 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float theta;\nqubit[2] q;\nbit[2] first;\n'
            "bit[1] second;\nry(theta) q[0];\ncx q[0], q[1];\nfirst = measure q;\nsecond[0] = measure q[0];\n",
        }
    ],
    "pubs": [
        {"circuit": 0, "shots": 40, "parameters": {"names": ["theta"], "shape": [2], "values": [[0.0], [math.pi]]}}
    ],
}


# -- results -----------------------------------------------------------------------------------------------------------


async def test_a_text_has_counts_and_names_its_calibration(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(circuit(ibm, shots=400))
    end = await ibm.until_ended(ref)
    assert end.seen is Seen.SUCCEEDED
    told = await result_of(ibm, ref)
    assert set(told["counts"]) == {"00", "11"}
    assert sum(told["counts"].values()) == told["shots"] == 400
    assert abs(told["counts"]["00"] - 200) < 80
    device = await ibm.backend.device()
    assert device.calibration is not None
    assert told["calibration_id"] == device.calibration.id
    assert (told["qubits"], told["device"]) == (2, "ibm")
    row = await final_row(ibm, ref.attempt_id)
    [job] = ibm.world.jobs()
    assert row.components == {"qpu_s": Decimal(str(job["usage"]["qpu_charge_time_seconds"])), "shot": Decimal(400)}
    assert (row.facts["vendor_job"], row.facts["calibration_id"]) == (job["id"], device.calibration.id)


async def test_a_document_of_a_sampler_keeps_registers_shapes_and_bits(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(circuit(ibm, json.dumps(SAMPLER).encode(), shots=80))
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    [pub] = (await result_of(ibm, ref))["pubs"]
    first, second = pub["data"]["first"], pub["data"]["second"]
    assert (first["shape"], first["num_bits"], first["shots"]) == ([2], 2, 40)
    assert (second["shape"], second["num_bits"]) == ([2], 1)
    assert base64.b64decode(first["bytes"]) == b"\0" * 40 + b"\3" * 40
    assert base64.b64decode(second["bytes"]) == b"\0" * 40 + b"\1" * 40
    assert pub["metadata"]["two_qubit_gates"] >= 1
    assert (await final_row(ibm, ref.attempt_id)).components["shot"] == 80


def identities(*more: dict[str, object]) -> bytes:
    document = json.loads(estimator_document(200))
    document["pubs"][0]["observables"] = {"shape": [2, 1], "values": [{"II": 0.5}, {"II": -2.0}]}
    document["pubs"] += more
    return json.dumps(document).encode()


async def test_identities_alone_are_their_coefficients_and_never_reach_ibm(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(circuit(ibm, identities(), shots=1))
    end = await ibm.until_ended(ref)
    assert (end.seen, end.exit_code) == (Seen.SUCCEEDED, 0)
    [told] = (await result_of(ibm, ref))["pubs"]
    assert told["data"]["evs"] == {"kind": "float", "shape": [2, 3], "values": [0.5, 0.5, 0.5, -2.0, -2.0, -2.0]}
    assert told["data"]["stds"]["values"] == [0.0] * 6
    assert ibm.world.jobs() == []
    row = await final_row(ibm, ref.attempt_id)
    assert set(row.components.values()) == {Decimal(0)}
    await ibm.restart()
    assert await ibm.backend.find(ref.attempt_id) == ref
    assert (await ibm.backend.capacity()).free.qpus == 2


async def test_only_what_has_to_be_measured_reaches_ibm(ibm: IbmHarness) -> None:
    measured = json.loads(estimator_document(200))["pubs"][0]
    program = identities(measured)
    ref = await ibm.backend.submit(circuit(ibm, program, shots=work_of(program).executions))
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    first, second = (await result_of(ibm, ref))["pubs"]
    assert first["data"]["evs"]["values"] == [0.5, 0.5, 0.5, -2.0, -2.0, -2.0]
    assert second["data"]["evs"]["values"] == pytest.approx([1.5, 1.0, -0.5], abs=0.4)
    assert len(ibm.world.jobs()) == 1


async def test_options_against_errors_reach_ibm_bounded_and_are_charged_as_quoted(ibm: IbmHarness) -> None:
    document = json.loads(estimator_document(100))
    document["options"] = {"resilience_level": 2, "dynamical_decoupling": "XY4", "twirl_measure": True}
    program = json.dumps(document).encode()
    estimate = await ibm.backend.estimate(Circuit(program=program, shots=1200))
    plain = await ibm.backend.estimate(Circuit(program=estimator_document(100), shots=300))
    assert estimate.low_us == pytest.approx(4 * plain.low_us, abs=4)
    ref = await ibm.backend.submit(circuit(ibm, program, shots=1200))
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    [job] = ibm.world.jobs()
    told = job["asked"]["options"]
    assert job["asked"]["resilience_level"] == 2
    assert told["dynamical_decoupling"] == {"enable": True, "sequence_type": "XY4"}
    assert told["twirling"] == {"enable_gates": True, "enable_measure": True}
    assert told["resilience"]["zne"]["noise_factors"] == [1, 3, 5]
    assert told["resilience"]["pec_mitigation"] is False
    assert (await final_row(ibm, ref.attempt_id)).components["shot"] == 1200


async def test_an_estimators_values_are_those_of_theory_within_their_errors(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(circuit(ibm, estimator_document(1600), shots=4800))
    assert (await ibm.until_ended(ref)).seen is Seen.SUCCEEDED
    [pub] = (await result_of(ibm, ref))["pubs"]
    found = pub["data"]["evs"]["values"]
    for value, theta in zip(found, (0.0, math.pi / 3, math.pi), strict=True):
        assert abs(value - (math.cos(theta) + 0.5)) < 5 / math.sqrt(1600)
    assert pub["data"]["evs"]["shape"] == [3]


async def test_a_result_stays_when_the_vendor_deletes_the_job(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    end = await ibm.until_ended(ref)
    row = await final_row(ibm, ref.attempt_id)
    ibm.forget(ref.attempt_id)
    await ibm.restart()
    assert await ibm.backend.find(ref.attempt_id) == ref
    [again] = await ibm.backend.observe([ref])
    assert isinstance(again, Observation)
    assert (again.seen, again.ended_at) == (end.seen, end.ended_at)
    assert (await result_of(ibm, ref))["shots"] == 50
    assert await final_row(ibm, ref.attempt_id) == row


# -- device and estimate -----------------------------------------------------------------------------------------------


async def test_the_device_is_told_with_its_calibration_and_state(ibm: IbmHarness) -> None:
    assert isinstance(ibm.backend, Devices)
    device = await ibm.backend.device()
    assert (device.vendor, device.qubits, device.clops, device.quantum_volume) == ("ibm", 5, 2819, 32)
    assert (device.state, device.queue) == (DeviceState.ONLINE, 3)
    assert device.calibration is not None
    assert device.calibration.two_qubit_error is not None
    assert 0.001 < device.calibration.two_qubit_error < 0.1
    assert len(device.calibration.qubits) == 5
    ibm.world.tell("settings", operational=False)
    assert not (await ibm.backend.capacity()).online
    with pytest.raises(Unavailable) as offline:
        await ibm.backend.submit(ibm.request(Act.SUCCEED))
    assert (offline.value.detail, offline.value.maybe_done) == ("device-offline", False)


async def test_an_estimate_comes_from_durations_and_caps_are_kept(ibm: IbmHarness) -> None:
    estimate = await ibm.backend.estimate(Circuit(program=BELL, shots=100_000))
    assert estimate.source is EstimateSource.DURATIONS
    assert 25_000_000 <= estimate.low_us <= 27_000_000  # 100,000 × (250 µs and some gates)
    assert (estimate.qubits, estimate.two_qubit_gates) == (2, 1)
    with pytest.raises(Rejected) as refused:
        await ibm.backend.submit(circuit(ibm, shots=100_000, max_qpu_us=20_000_000))
    assert refused.value.code == "qpu-cap-too-small"
    ref = await ibm.backend.submit(circuit(ibm, shots=4_500, max_qpu_us=2_000_000))  # the stub takes 4.5 s
    end = await ibm.until_ended(ref)
    assert (end.seen, end.detail) == (Seen.FAILED, "qpu-cap-reached")
    assert (await final_row(ibm, ref.attempt_id)).components["qpu_s"] <= 2


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dedicated", [True, False])
async def test_circuits_run_in_a_session_and_end_with_it(ibm: IbmHarness, dedicated: bool) -> None:  # noqa: FBT001
    held = hold(dedicated=dedicated)
    session = await ibm.backend.submit(held)
    assert await ibm.backend.submit(held) == session
    assert await ibm.backend.find(held.attempt_id) == session
    [seen] = await ibm.backend.observe([session])
    assert isinstance(seen, Observation)
    assert seen.seen is Seen.RUNNING
    inside = [replace(ibm.request(act), session=held.attempt_id) for act in (Act.SUCCEED, Act.RUN_LONG)]
    first, second = [await ibm.backend.submit(request) for request in inside]
    assert {job["session_id"] for job in ibm.world.jobs()} == {session.native_id}
    assert (await ibm.until_ended(first)).seen is Seen.SUCCEEDED
    await ibm.until(second, lambda observation: observation.seen is Seen.RUNNING)
    assert (await ibm.backend.capacity()).free.qpus == 1  # the session is one, what is in it is its own
    await ibm.backend.cancel(session)
    closed = await ibm.until_ended(session)
    assert (closed.seen, closed.detail) == (Seen.SUCCEEDED, "closed")
    assert (await ibm.until_ended(second)).seen is Seen.CANCELLED
    row = await final_row(ibm, held.attempt_id)
    assert row.natural_key == f"{held.attempt_id}:session"
    assert closed.started_at is not None
    assert closed.ended_at is not None
    assert row.components == {
        "session_s": Decimal((closed.ended_at - closed.started_at) // timedelta(microseconds=1)) / 10**6
    }
    with pytest.raises(Rejected) as over:
        await ibm.backend.submit(replace(ibm.request(Act.SUCCEED), session=held.attempt_id))
    assert over.value.code == "session-over"


async def test_a_session_ends_when_it_is_idle_or_its_time_is_up_and_is_nobody_elses(ibm: IbmHarness) -> None:
    idle, short = await ibm.backend.submit(hold(idle_s=1)), await ibm.backend.submit(hold(walltime_s=2))
    theirs = replace(ibm.request(Act.SUCCEED, tenant="tenant-b"), session=idle.attempt_id)
    for wrong in (theirs, replace(theirs, session=new_id())):
        with pytest.raises(Rejected) as refused:
            await ibm.backend.submit(wrong)
        assert refused.value.code == "session-over"
    assert (await ibm.until_ended(idle)).detail == "idle"
    assert (await ibm.until_ended(short)).detail == "expired"


async def test_a_session_that_the_vendor_closed_is_over(ibm: IbmHarness) -> None:
    held = hold()
    session = await ibm.backend.submit(held)
    ibm.world.tell("close-session", session=session.native_id)
    with pytest.raises(Rejected) as over:
        await ibm.backend.submit(replace(ibm.request(Act.SUCCEED), session=held.attempt_id))
    assert over.value.code == "session-over"
    assert (await ibm.until_ended(session)).seen is Seen.SUCCEEDED


# -- programs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "shots", "code"),
    [
        (BELL.replace(b"qubit[2]", b"qubit[6]"), 10, "too-many-qubits"),
        (BELL.replace(b"h q[0];", b"frobnicate q[0];"), 10, "unknown-gate"),
        (BELL.replace(b"c = measure q;", b""), 10, "no-measurement"),
        (b"hello", 10, "unknown-format"),
        (BELL, 0, "invalid-shots"),
        (BELL, 10**9, "invalid-shots"),
        (json.dumps(SAMPLER).encode(), 81, "executions-differ"),
        (BELL.replace(b"bit[2] c", b"bit[2] lambda").replace(b"c = ", b"lambda = "), 10, "unsupported-statement"),
    ],
)
async def test_a_program_that_cannot_run_is_rejected_before_the_vendor_hears_of_it(
    ibm: IbmHarness, program: bytes, shots: int, code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        await ibm.backend.submit(circuit(ibm, program, shots=shots))
    assert refused.value.code == code
    assert "POST /jobs" not in ibm.world.requests()


async def test_a_circuit_of_another_tenant_is_not_read_by_its_vendor_id(ibm: IbmHarness) -> None:
    ref = await ibm.backend.submit(ibm.request(Act.SUCCEED))
    await ibm.until_ended(ref)
    with pytest.raises(Forgotten):
        await ibm.backend.logs(Ref(ref.backend, new_id(), ref.native_id), Stream.RESULT)
