"""Documents of PUBs on the simulated device: what is sampled and estimated, with which noise, for how much."""

from __future__ import annotations

import base64
import io
import json
import math
import os
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from hpc_adapters.contract import Circuit, Seen
from hpc_adapters.devices import Devices, DeviceState, EstimateSource, OfflineWindow
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.programs import work_of
from hpc_adapters.quantum.aer.adapter import seed_of
from hpc_adapters.quantum.aer.device import DeviceSettings
from infra.clock import utc_now
from portal.bootstrap import build_backends
from portal.settings import Settings
from tests.support.aer_device import Device, Outcome

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

SETTINGS = DeviceSettings(
    name="test-5",
    qubits=5,
    max_shots=20_000,
    base_us=100_000,
    per_kshot_us=10_000,
    slots=2,
    memory_mb=64,
    estimate_s=120,
)
LINE = [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2], [3, 4], [4, 3]]
PROPERTIES = {
    "coupling": LINE,
    "qubits": [{"t1_us": 100.0, "t2_us": 80.0, "readout_error": 0.03, "readout_ns": 1000.0}] * 5,
    "gates": [
        *({"name": name, "qubits": [q], "error": 0.001, "duration_ns": 50.0} for name in ("sx", "x") for q in range(5)),
        *({"name": "rz", "qubits": [q], "error": 0.0, "duration_ns": 0.0} for q in range(5)),
        *({"name": "cx", "qubits": pair, "error": 0.02, "duration_ns": 300.0} for pair in LINE),
    ],
}
BELL2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n'
ANSATZ = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] a;\nqubit[2] q;\nry(a) q[0];\ncx q[0], q[1];\n'
ANGLES = [0.0, math.pi / 3, math.pi / 2, math.pi]


def document(primitive: str, circuits: list[Any], pubs: list[Any], **options: Any) -> bytes:
    told = {"format": "kyoyo.pubs/1", "primitive": primitive, "circuits": circuits, "pubs": pubs, "options": options}
    return json.dumps(told).encode()


def text(program: str) -> dict[str, str]:
    return {"format": f"openqasm{program.split()[1][0]}", "text": program}


def qpy(circuit: Any) -> dict[str, str]:
    from qiskit import qpy as form  # noqa: PLC0415  an optional part

    held = io.BytesIO()
    form.dump(circuit, held)
    return {"format": "qpy", "data": base64.b64encode(held.getvalue()).decode()}


def sampler(shots: int = 1_000) -> bytes:
    from qiskit import QuantumCircuit  # noqa: PLC0415  see above
    from qiskit.circuit import Parameter  # noqa: PLC0415  see above

    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    bound = {"names": ["a"], "shape": [4], "values": [[angle] for angle in ANGLES]}
    pubs = [{"circuit": 0, "shots": shots, "parameters": bound}, {"circuit": 1, "shots": shots}]
    return document("sampler", [qpy(circuit), text(BELL2)], pubs)


def estimator(shots: int = 4_000, **options: Any) -> bytes:
    bound = {"names": ["a"], "shape": [4, 1], "values": [[angle] for angle in ANGLES]}
    terms = {"shape": [2], "values": [{"ZZ": 1.0, "IZ": 0.5, "II": 2.0}, {"XX": 1.0}]}
    return document(
        "estimator",
        [text(ANSATZ)],
        [{"circuit": 0, "shots": shots, "parameters": bound, "observables": terms}],
        **options,
    )


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "aer", SETTINGS)


@pytest.fixture
def calibrated(tmp_path: Path) -> Device:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(PROPERTIES))
    return Device(tmp_path / "aer", replace(SETTINGS, calibration=path))


async def run(device: Device, program: bytes, **more: Any) -> Outcome:
    outcome = await device.outcome(await device.submit(program, shots=work_of(program).executions, **more))
    assert outcome.end.seen is Seen.SUCCEEDED, outcome
    return outcome


async def test_a_sampler_gives_bits_for_each_binding_of_circuits_in_any_form(device: Device) -> None:
    from qiskit.primitives import BitArray  # noqa: PLC0415  see above

    outcome = await run(device, sampler())
    bound, bell = outcome.result["pubs"]
    assert (outcome.result["format"], outcome.result["calibration_id"]) == ("kyoyo.result/1", None)
    bits = as_array(bound["data"]["meas"])
    assert isinstance(bits, BitArray)
    assert bits.shape == (4,)
    for number, angle in enumerate(ANGLES):
        ones = bits[number].get_counts().get("11", 0)
        expected = 1_000 * math.sin(angle / 2) ** 2
        assert abs(ones - expected) <= 5 * math.sqrt(250) * (0 < angle < math.pi)
        assert set(bits[number].get_counts()) <= {"00", "11"}
    assert set(as_array(bell["data"]["c"]).get_counts()) == {"00", "11"}
    assert outcome.row.components == {"qpu_s": Decimal("0.15"), "shot": Decimal(5_000)}


def as_array(told: dict[str, Any]) -> Any:
    import numpy as np  # noqa: PLC0415  see above
    from qiskit.primitives import BitArray  # noqa: PLC0415  see above

    held = np.frombuffer(base64.b64decode(told["bytes"]), dtype=np.uint8)
    wide = (told["num_bits"] + 7) // 8
    return BitArray(held.reshape((*told["shape"], told["shots"], wide)), told["num_bits"])


async def test_an_estimator_broadcasts_and_is_right_within_its_own_errors(device: Device) -> None:
    program = estimator()
    outcome = await run(device, program)
    [pub] = outcome.result["pubs"]
    values, errors = pub["data"]["evs"], pub["data"]["stds"]
    assert values["shape"] == errors["shape"] == [4, 2]
    for number, angle in enumerate(ANGLES):
        exact = [1.0 + 0.5 * math.cos(angle) + 2.0, math.sin(angle)]
        for which, right in enumerate(exact):
            place = 2 * number + which
            assert abs(values["values"][place] - right) <= 5 * errors["values"][place] + 1e-9
    # ZZ and IZ are measured together: two settings for each angle instead of three, and only those are charged.
    assert pub["executions"] == 4 * 2 * 4_000 < work_of(program).executions
    assert outcome.row.components == {"qpu_s": Decimal("0.42"), "shot": Decimal(32_000)}


async def test_an_estimator_of_numbers_alone_says_them_as_aer_does_and_executes_nothing(device: Device) -> None:
    from qiskit import QuantumCircuit  # noqa: PLC0415  see above
    from qiskit.quantum_info import SparsePauliOp  # noqa: PLC0415  see above
    from qiskit_aer.primitives import EstimatorV2  # noqa: PLC0415  see above

    pub = {"circuit": 0, "shots": 4_000, "observables": {"shape": [2], "values": [{"II": 2.5}, {"II": -1.0}]}}
    bell = QuantumCircuit(2)
    bell.h(0)
    outcome = await run(device, document("estimator", [qpy(bell)], [pub]))
    [told] = outcome.result["pubs"]
    numbers = [SparsePauliOp("II", coeffs=[real]) for real in (2.5, -1.0)]
    right = EstimatorV2().run([(bell, numbers)]).result()[0].data.evs
    assert told["data"]["evs"]["values"] == list(right)
    assert (told["data"]["stds"]["values"], told["executions"]) == ([0.0, 0.0], 0)
    assert outcome.row.components == {"qpu_s": Decimal("0.1"), "shot": 0}  # the base, which every job has


async def test_noise_is_that_of_the_calibration_which_the_result_and_the_usage_name(calibrated: Device) -> None:
    now = await calibrated.backend.device()
    assert now.calibration is not None
    noisy = await run(calibrated, estimator(shots=16_000))
    clean = await run(calibrated, estimator(shots=16_000, noise=False))
    for outcome in (noisy, clean):
        assert outcome.result["calibration_id"] == outcome.row.facts["calibration_id"] == now.calibration.id
    at_zero = [outcome.result["pubs"][0]["data"]["evs"]["values"][0] for outcome in (noisy, clean)]
    # Reading flips 3 % of each bit: <ZZ> of |00> falls to 0.94², <IZ> to 0.94, and gates take a little more.
    assert at_zero[1] == pytest.approx(3.5, abs=1e-9)
    assert 2.0 + 0.94**2 + 0.5 * 0.94 - 0.08 < at_zero[0] < 2.0 + 0.94**2 + 0.5 * 0.94 + 0.03


async def test_the_seed_is_the_attempts_or_the_programs(device: Device) -> None:
    ref = await device.submit(estimator(100), shots=work_of(estimator(100)).executions)
    assert (await device.outcome(ref)).result["seed"] == seed_of(ref.attempt_id)
    one, two = [await run(device, estimator(100, seed=11)) for _ in range(2)]
    assert one.result["seed"] == 11
    assert one.result["pubs"] == two.result["pubs"]


@pytest.mark.parametrize("method", ["matrix_product_state", "stabilizer", "statevector"])
async def test_methods_of_simulation_agree(device: Device, method: str) -> None:
    program = document("sampler", [text(BELL2)], [{"circuit": 0, "shots": 500}], method=method)
    outcome = await run(device, program)
    counts = as_array(outcome.result["pubs"][0]["data"]["c"]).get_counts()
    assert set(counts) == {"00", "11"}
    assert abs(counts["00"] - 250) < 5 * 12


async def test_a_device_too_large_for_a_state_vector_runs_product_states(tmp_path: Path) -> None:
    wide = replace(SETTINGS, qubits=60, memory_mb=64, methods=("automatic", "matrix_product_state"))
    chain = "".join(f"cx q[{n}],q[{n + 1}];\n" for n in range(49))
    program = BELL2.replace("[2]", "[50]").replace("cx q[0],q[1];\n", chain)
    outcome = await run(
        Device(tmp_path / "aer", wide), document("sampler", [text(program)], [{"circuit": 0, "shots": 50}])
    )
    assert set(as_array(outcome.result["pubs"][0]["data"]["c"]).get_counts()) <= {"0" * 50, "1" * 50}


def sampled(circuit: dict[str, str], shots: int = 5, times: int = 1) -> bytes:
    return document("sampler", [circuit], [{"circuit": 0, "shots": shots}] * times)


ONE_TERM = {"shape": [], "values": [{"ZZ": 1}]}
PICKLE = {"format": "qpy", "data": base64.b64encode(b"\x80\x04\x95evil").decode()}
REFUSED = {
    "no measurement": (sampled(text(ANSATZ)), "no-measurement"),
    "no values": (
        document("estimator", [text(ANSATZ)], [{"circuit": 0, "shots": 5, "observables": ONE_TERM}]),
        "parameters-differ",
    ),
    "a wide observable": (estimator(5).replace(b'"XX"', b'"XXX"'), "observable-too-wide"),
    "what only a state vector holds": (estimator(5, method="stabilizer"), "unsuitable-method"),
    "QPY that holds a pickle": (sampled(PICKLE), "malformed-qpy"),
    "a file of the system": (sampled(text(BELL2.replace("qelib1.inc", "/etc/passwd"))), "include-not-allowed"),
    "10^9 qubits": (sampled(text(BELL2.replace("[2]", "[1000000000]"))), "too-many-qubits"),
    "too many bits for a result": (sampled(text(BELL2), 20_000, 40), "result-too-large"),
}


@pytest.mark.parametrize(("program", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_inside_by_name_and_for_nothing(device: Device, program: bytes, code: str) -> None:
    outcome = await device.outcome(await device.submit(program, shots=work_of(program).executions))
    assert (outcome.end.seen, outcome.end.exit_code, outcome.end.detail) == (Seen.FAILED, 65, code)
    assert outcome.row.components == {"qpu_s": 0, "shot": 0}
    assert b"Traceback" not in outcome.streams


async def test_a_declaration_of_other_executions_is_rejected_at_the_door(device: Device) -> None:
    with pytest.raises(Rejected) as refused:
        await device.submit(sampler(10), shots=10)
    assert (refused.value.code, refused.value.facts) == ("executions-differ", {"asked": 50, "declared": 10})


async def test_a_cap_of_qpu_time_is_refused_kept_or_reached(tmp_path: Path) -> None:
    tight = Device(tmp_path / "aer", replace(SETTINGS, cap_slack_s=0.0))
    with pytest.raises(Rejected) as refused:
        await tight.submit(BELL2, shots=10_000, max_qpu_us=199_999)
    assert refused.value.code == "qpu-cap-too-small"
    assert refused.value.facts["needed_us"] == 200_000
    slow = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\nbit[3] c;\nc = measure q;\nif (c[0]) { x q[0]; }\n'
    slow += "for int i in [1:3000] { rx(0.1) q; cx q[0], q[1]; }\nc = measure q;\n"
    outcome = await tight.outcome(await tight.submit(slow, shots=10_000, max_qpu_us=200_000))
    assert (outcome.end.seen, outcome.end.detail) == (Seen.FAILED, "qpu-cap-reached")
    assert outcome.row.components["qpu_s"] == Decimal("0.2")
    roomy = await tight.outcome(await tight.submit(BELL2, shots=10, max_qpu_us=60_000_000))
    assert roomy.end.seen is Seen.SUCCEEDED


async def test_no_gpu_is_told_by_name_and_costs_nothing(tmp_path: Path) -> None:
    from qiskit_aer import AerSimulator  # noqa: PLC0415  see above

    if "GPU" in AerSimulator().available_devices():
        pytest.skip("this simulator has a GPU")
    gpu = Device(tmp_path / "aer", replace(SETTINGS, gpu=True))
    outcome = await gpu.outcome(await gpu.submit(BELL2, shots=10))
    assert (outcome.end.seen, outcome.end.exit_code, outcome.end.detail) == (Seen.FAILED, 70, "no-gpu")
    assert outcome.row.components == {"qpu_s": 0, "shot": 0}


# -- the device and estimates -----------------------------------------------------------------------------------------


async def test_a_device_tells_its_gates_its_calibration_and_the_history_of_it(
    calibrated: Device, tmp_path: Path
) -> None:
    backend = calibrated.backend
    assert isinstance(backend, Devices)
    first = await backend.device()
    assert first.calibration is not None
    assert (first.state, first.qubits, first.coupling) == (DeviceState.ONLINE, 5, tuple((a, b) for a, b in LINE))
    assert (first.calibration.two_qubit_error, first.calibration.readout_error) == (0.02, 0.03)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(PROPERTIES | {"gates": PROPERTIES["gates"][:-1]}))
    os.utime(path, ns=(10**18, 10**18))
    second = await backend.device()
    assert second.calibration is not None
    assert second.calibration.id != first.calibration.id
    assert [each.id for each in await backend.calibrations()] == [first.calibration.id, second.calibration.id]


async def test_an_estimate_adds_up_durations_and_is_answered_once(calibrated: Device) -> None:
    program = sampler(1_000)
    circuit = Circuit(program=program, shots=work_of(program).executions)
    estimate = await calibrated.backend.estimate(circuit)
    now = await calibrated.backend.device()
    assert now.calibration is not None
    assert estimate.source is EstimateSource.DURATIONS
    assert (estimate.calibration_id, estimate.qubits) == (now.calibration.id, 2)
    # The model: 0.1 s and 5 × 10 ms. By durations: 5,000 times 250 µs and a circuit of 1 to 3 µs, after the 0.1 s.
    assert estimate.low_us == 150_000
    assert 100_000 + 5_000 * 251 < estimate.high_us < 100_000 + 5_000 * 253
    began = monotonic()
    assert await calibrated.backend.estimate(circuit) == estimate
    assert monotonic() - began < 0.5
    outcome = await run(calibrated, program)
    assert estimate.low_us <= outcome.row.components["qpu_s"] * 1_000_000 <= estimate.high_us


async def test_without_durations_the_model_answers(device: Device) -> None:
    estimate = await device.backend.estimate(Circuit(program=BELL2.encode(), shots=1_000))
    assert (estimate.source, estimate.low_us, estimate.high_us) == (EstimateSource.MODEL, 110_000, 110_000)
    assert (estimate.qubits, estimate.two_qubit_gates) == (2, 1)
    hasty = Device(device.backend._runs.root / "hasty", replace(SETTINGS, estimate_s=0.05))
    for _ in range(2):  # asked again: what was too slow is tried again
        alone = await hasty.backend.estimate(Circuit(program=BELL2.encode(), shots=1_000))
        assert (alone.source, alone.high_us, alone.qubits) == (EstimateSource.MODEL, 110_000, None)
    assert len(await hasty.backend._estimator._runs.all_ids()) == 2


@pytest.mark.parametrize(
    ("program", "code"),
    [(b"gibberish", "unknown-format"), (BELL2.replace("h q[0]", "nogate q[0]").encode(), "malformed-program")],
)
async def test_what_could_not_run_has_no_estimate(device: Device, program: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        await device.backend.estimate(Circuit(program=program, shots=10))
    assert refused.value.code == code


@pytest.mark.parametrize("kind", [DeviceState.CALIBRATING, DeviceState.MAINTENANCE])
async def test_in_its_windows_a_device_takes_nothing_and_says_so(tmp_path: Path, kind: DeviceState) -> None:
    now = utc_now()
    away = OfflineWindow(now - timedelta(minutes=1), now + timedelta(minutes=1), kind)
    later = OfflineWindow(now + timedelta(days=1), now + timedelta(days=2), kind)
    device = Device(tmp_path / "aer", replace(SETTINGS, windows=(away, later)))
    with pytest.raises(Unavailable) as refused:
        await device.submit(BELL2, shots=10)
    assert (refused.value.detail, refused.value.maybe_done) == (kind.value, False)
    assert not (await device.backend.capacity()).online
    told = await device.backend.device()
    assert (told.state, told.windows) == (kind, (away, later))
    over = Device(tmp_path / "other", replace(SETTINGS, windows=(later,)))
    assert (await over.backend.capacity()).online


async def test_settings_make_a_device_like_a_real_one_with_its_windows(tmp_path: Path) -> None:
    pytest.importorskip("qiskit_ibm_runtime")
    (tmp_path / "backends.toml").write_text(
        '[backends.manila]\nkind = "aer"\nlike = "fake_manila"\n'
        "estimate_s = 120\nwindows = [{since = 2026-04-01T00:00:00+09:00, until = 2026-04-01T03:00:00+09:00}]\n"
    )
    settings = Settings(backends_file=tmp_path / "backends.toml", data_dir=tmp_path)
    backend = build_backends(settings)["manila"]
    assert isinstance(backend, Devices)
    told = await backend.device()
    assert told.calibration is not None
    assert (told.qubits, len(told.calibration.qubits), len(told.windows)) == (5, 5, 0)
    assert told.coupling is not None
    assert set(told.basis_gates) == {"cx", "id", "rz", "sx", "x"}
    estimate = await backend.estimate(Circuit(program=BELL2.encode(), shots=1_000))
    assert estimate.source is EstimateSource.DURATIONS
