from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray, StatevectorEstimator, StatevectorSampler
from qiskit.providers import JobStatus
from qiskit.quantum_info import SparsePauliOp

from hpc_adapters import programs
from kyoyo import Refused, Unavailable, UsageError
from kyoyo.qiskit import (
    BadPrecision,
    BadShots,
    DocumentTooLarge,
    EstimatorV2,
    JobFailed,
    KyoyoBackend,
    KyoyoService,
    NoBackend,
    NotSupported,
    SamplerV2,
    TooManyQubits,
)
from kyoyo.transport import new_key
from tests.support.fake_portal import a_job, an_estimate
from tests.support.quantum_portal import QuantumPortal, a_device

pytestmark = pytest.mark.quantum


@pytest.fixture
def portal() -> QuantumPortal:
    return QuantumPortal()


@pytest.fixture
def service(portal: QuantumPortal) -> KyoyoService:
    return KyoyoService(client=portal.client(make_key=new_key))


@pytest.fixture
def backend(service: KyoyoService) -> KyoyoBackend:
    return service.backend("aer-demo")


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, metadata={"owner": object()})
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def rotated() -> QuantumCircuit:
    """Two named registers of unlike width, and two parameters whose order is not that of their use."""
    qubits, low, high = QuantumRegister(3, "q"), ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(qubits, low, high)
    circuit.ry(Parameter("z"), 0)
    circuit.rx(Parameter("a"), 1)
    circuit.cx(1, 2)
    circuit.measure([0], low)
    circuit.measure([1, 2], high)
    return circuit


def document(portal: QuantumPortal, job: str = "q-1") -> Any:
    return json.loads(portal.jobs[job]["body"]["program"])


def test_a_run_is_one_job_with_a_document_of_its_pubs(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    circuit = bell()
    SamplerV2(backend, options={"seed": 7, "optimization_level": 2}).run([circuit, (circuit, None, 50)], shots=100)
    body, told = portal.jobs["q-1"]["body"], document(portal)
    assert (body["kind"], body["offering"], body["shots"], body["name"]) == ("quantum", "qpu-demo", 150, "sampler")
    assert told["pubs"] == [{"circuit": 0, "shots": 100}, {"circuit": 0, "shots": 50}]
    assert told["options"] == {"optimization_level": 2, "seed": 7}
    [one] = told["circuits"]
    [read] = qpy.load(io.BytesIO(base64.b64decode(one["data"])))
    assert (one["format"], read) == ("qpy", circuit)
    assert read.metadata == {}  # its owner's, and of no use there


def test_the_portals_own_reading_counts_as_the_client_does(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    values = np.linspace(0, 1, 12).reshape(3, 2, 2)
    SamplerV2(backend).run([(rotated(), values, 10), bell()])
    circuit = rotated().remove_final_measurements(inplace=False)
    observables = [[SparsePauliOp.from_list([("ZZI", 1), ("III", 2)])], [{"0+I": 1.0}], ["XIZ"]]
    EstimatorV2(backend).run([(circuit, observables, values[0], 0.1), (bell(), "ZZ")])
    for job in portal.jobs.values():
        work = programs.work_of(job["body"]["program"].encode())
        assert work.executions == job["body"]["shots"]


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
def test_samples_come_back_as_qiskits_own(backend: KyoyoBackend, shape: tuple[int, ...]) -> None:
    values = np.linspace(0.3, 2.5, 2 * math.prod(shape)).reshape(*shape, 2)
    ours = SamplerV2(backend).run([(rotated(), values)], shots=2000).result()[0]
    qiskits = StatevectorSampler(seed=3).run([(rotated(), values)], shots=2000).result()[0]
    assert type(ours) is type(qiskits)
    assert list(ours.data) == list(qiskits.data) == ["low", "high"]
    assert ours.data.shape == qiskits.data.shape == shape
    for name in ("low", "high"):
        mine, theirs = ours.data[name], qiskits.data[name]
        assert (mine.shape, mine.num_shots, mine.num_bits) == (theirs.shape, theirs.num_shots, theirs.num_bits)
        for place in np.ndindex(shape):
            assert_alike(mine[place], theirs[place])
    assert_alike(ours.join_data(), qiskits.join_data())


def assert_alike(mine: BitArray, theirs: BitArray) -> None:
    """Within five standard errors, outcome for outcome."""
    one, other = mine.get_counts(), theirs.get_counts()
    for outcome in one.keys() | other.keys():
        seen = one.get(outcome, 0), other.get(outcome, 0)
        assert abs(seen[0] - seen[1]) <= 5 * math.sqrt(sum(seen) + 1)


def test_expectation_values_come_back_as_qiskits_own(backend: KyoyoBackend) -> None:
    circuit = rotated().remove_final_measurements(inplace=False)
    plain = [SparsePauliOp.from_list([("ZZI", 1), ("XIX", 0.5)])]
    values = np.linspace(0, 2, 10).reshape(5, 2)
    ours = (
        EstimatorV2(backend, options={"seed": 5})
        .run([(circuit, [plain, [{"0+I": 1.0}], ["IIZ"]], values)], precision=0.02)
        .result()[0]
    )
    projector = [{"III": 0.25, "ZII": 0.25, "IXI": 0.25, "ZXI": 0.25}]  # which Qiskit's own cannot take as "0+I"
    exact = StatevectorEstimator().run([(circuit, [plain, projector, ["IIZ"]], values)], precision=0.0).result()[0]
    assert (ours.data.evs.shape, ours.data.shape, ours.data.stds.shape) == ((3, 5), (3, 5), (3, 5))
    assert np.abs(ours.data.evs - exact.data.evs).max() < 5 * 0.02
    assert ours.metadata["shots"] == 2500
    scalar = EstimatorV2(backend).run([(circuit, "IIZ", [0.1, 0.2])]).result()[0]
    assert scalar.data.evs.shape == ()


@pytest.mark.parametrize(("precision", "shots"), [(1 / 64, 4096), (0.1, 100), (0.03, 1112), (1, 1), (100**-0.5, 100)])
def test_a_precision_is_so_many_shots(
    portal: QuantumPortal, backend: KyoyoBackend, precision: float, shots: int
) -> None:
    EstimatorV2(backend).run([(bell().remove_final_measurements(inplace=False), "ZZ")], precision=precision)
    assert document(portal)["pubs"][0]["shots"] == shots == portal.jobs["q-1"]["body"]["shots"]


def test_numbers_alone_are_quoted_one_execution(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    result = EstimatorV2(backend).run([(bell().remove_final_measurements(inplace=False), "II")]).result()[0]
    assert result.data.evs == pytest.approx(1.0, abs=0.05)
    assert portal.jobs["q-1"]["body"]["shots"] == 1


def test_options_against_errors_travel_and_are_counted(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    told = {"resilience_level": 2, "dynamical_decoupling": "XY4", "twirl_gates": True}
    portal.factor = 4
    EstimatorV2(backend, options=told).run([(bell().remove_final_measurements(inplace=False), "ZZ")], precision=0.1)
    assert document(portal)["options"] == {"optimization_level": 1, **told}
    assert portal.jobs["q-1"]["body"]["shots"] == 400


def test_a_result_is_there_in_a_later_process(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    job_id = SamplerV2(backend).run([bell()]).job_id()
    later = KyoyoService(client=portal.client()).job(job_id)
    assert (later.status(), later.done(), later.in_final_state()) == (JobStatus.DONE, True, True)
    assert set(later.result()[0].data.meas.get_counts()) == {"00", "11"}
    assert dict(later.usage()) == {"qpu_s": portal_number("0.75"), "shot": portal_number("1024")}
    assert later.cost().charge_yen == portal_number("120.5")


def portal_number(text: str) -> Any:
    from decimal import Decimal  # noqa: PLC0415

    return Decimal(text)


def test_plain_openqasms_counts_are_a_result_too(portal: QuantumPortal, service: KyoyoService) -> None:
    portal.jobs["q-9"] = a_job("q-9", "SUCCEEDED", kind="quantum")
    portal.results["q-9"] = {"counts": {"0 01": 3, "1 10": 5}, "shots": 8}
    assert service.job("q-9").result()[0].data.meas.get_counts() == {"001": 3, "110": 5}


def test_a_lost_answer_submits_once(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    portal.lose_answers = 3
    job = SamplerV2(backend).run([bell()])
    keys = {asked.headers["Idempotency-Key"] for asked in portal.asked}
    assert (len(portal.asked), len(keys), list(portal.jobs)) == (4, 1, [job.job_id()])


def test_a_job_that_failed_says_why(portal: QuantumPortal, service: KyoyoService) -> None:
    story = [{"sentence": "The program was refused."}]
    portal.jobs["q-9"] = a_job("q-9", "FAILED", kind="quantum", reason="refused", story=story)
    portal.results["q-9"] = {"error": {"code": "unknown-statement", "facts": {"line": 3}}}
    with pytest.raises(JobFailed, match=r"The program was refused\. \(unknown-statement\)") as failed:
        service.job("q-9").result()
    assert (failed.value.code, failed.value.facts, failed.value.job) == ("unknown-statement", {"line": 3}, "q-9")
    assert service.job("q-9").status() is JobStatus.ERROR


def test_a_result_that_is_missing_or_broken_is_no_result(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    job = SamplerV2(backend).run([bell()])
    whole: Any = portal.results[job.job_id()]
    bits = whole["pubs"][0]["data"]["meas"]
    for broken in ({**bits, "shots": 7}, {**bits, "bytes": "%"}, {**bits, "shape": [-1]}, {**bits, "num_bits": 9}):
        portal.results["q-1"] = {**whole, "pubs": [{**whole["pubs"][0], "data": {"meas": broken}}]}
        with pytest.raises(Unavailable):
            job.result()
    del portal.results["q-1"]
    with pytest.raises(Unavailable, match="is not there") as missing:
        job.result()
    assert missing.value.code == "result-missing"


@pytest.mark.parametrize("shots", [0, -1, 100_001, 10**9, 1.5, True, "100"])
def test_bad_shots_are_refused_before_they_are_sent(portal: QuantumPortal, backend: KyoyoBackend, shots: Any) -> None:
    for run in (
        lambda: SamplerV2(backend).run([bell()], shots=shots),
        lambda: SamplerV2(backend).run([(bell(), None, shots)]),
        lambda: backend.run(bell(), shots=shots),
    ):
        with pytest.raises(BadShots, match=r"from 1 to 100,000 on aer-demo"):
            run()
    assert not portal.jobs


@pytest.mark.parametrize("precision", [0.0, 1e-9, 0.001, math.inf])
def test_a_precision_that_nothing_can_give_is_refused(backend: KyoyoBackend, precision: float) -> None:
    with pytest.raises(BadPrecision):
        EstimatorV2(backend).run([(bell(), "ZZ")], precision=precision)


Run = Callable[[KyoyoBackend, QuantumCircuit], object]
RUNS: Mapping[str, Run] = {
    "sampler": lambda backend, circuit: SamplerV2(backend).run([circuit]),
    "estimator": lambda backend, circuit: EstimatorV2(backend).run([(circuit, "Z" * circuit.num_qubits)]),
    "run": lambda backend, circuit: backend.run(circuit),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_too_many_qubits_are_refused_before_they_are_sent(backend: KyoyoBackend, run: Run) -> None:
    with pytest.raises(TooManyQubits, match="needs 13 qubits, and aer-demo has 12") as wide:
        run(backend, QuantumCircuit(13, 1))
    assert wide.value.facts["needed"] == 13


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_document_too_large_is_refused_before_it_is_sent(backend: KyoyoBackend, run: Run) -> None:
    circuit = QuantumCircuit(2, 2)
    for step in range(20_000):
        circuit.rx(step / 7, 0)
    with pytest.raises(DocumentTooLarge, match=r"at most 262,144"):
        run(backend, circuit)


def test_a_japanese_reader_is_told_in_japanese(portal: QuantumPortal) -> None:
    client = portal.client()
    client.language = "ja"
    with pytest.raises(TooManyQubits, match="13 量子ビットが必要"):
        SamplerV2(KyoyoService(client=client).backend("aer-demo")).run([QuantumCircuit(13, 1)])


def test_nothing_to_run_and_endless_numbers_are_refused(backend: KyoyoBackend) -> None:
    with pytest.raises(UsageError, match="nothing to run"):
        SamplerV2(backend).run([])
    with pytest.raises(UsageError, match="not a finite number"):
        SamplerV2(backend).run([(rotated(), [math.nan, 1.0])])


def test_an_option_that_nobody_honours_is_refused(backend: KyoyoBackend) -> None:
    with pytest.raises(NotSupported, match=r"options\.pec_mitigation"):
        EstimatorV2(backend, options={"pec_mitigation": True})
    with pytest.raises(NotSupported, match=r"options\.resilience_level"):
        SamplerV2(backend, options={"resilience_level": 1})
    with pytest.raises(NotSupported):
        SamplerV2(backend).options.update(twirling=True)


def test_without_a_mode_there_must_be_a_session() -> None:
    with pytest.raises(NoBackend):
        SamplerV2()


def test_a_refusal_of_the_portal_comes_through(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    portal.devices = [a_device()]
    client = backend.client
    portal.least_yen = 110
    assert SamplerV2(backend, options={"max_cost_yen": 110}).run([bell()]).done()
    with pytest.raises(Refused) as dear:
        SamplerV2(backend, options={"max_cost_yen": 109}).run([bell()])
    assert dear.value.code == "cost-cap-too-small"
    assert client.jobs().items[0].shots == 1024


def test_an_estimator_says_before_what_its_usual_precision_costs(portal: QuantumPortal, backend: KyoyoBackend) -> None:
    portal.on("POST /estimates", an_estimate())
    state = QuantumCircuit(2)
    state.h(0)
    pubs = [(state, SparsePauliOp.from_list([("ZZ", 1.0), ("XI", 0.5)]))]
    options = {"max_cost_yen": 500}
    assert EstimatorV2(backend, options=options).estimate(pubs).ceiling_with_tax_yen == 110
    EstimatorV2(backend).estimate(pubs, precision=0.1)
    SamplerV2(backend).estimate([bell()])
    asked = portal.bodies("POST /estimates")
    assert [body["shots"] for body in asked] == [2 * 4096, 2 * 100, 1024]
    assert [body.get("max_cost_yen") for body in asked] == ["500", None, None]
    assert not portal.jobs
