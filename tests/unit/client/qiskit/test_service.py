from __future__ import annotations

import pytest
from qiskit import QuantumCircuit, transpile

from kyoyo.qiskit import KyoyoService, NoBackend, Session, UnknownBackend
from tests.support.fake_portal import FakePortal
from tests.support.quantum_portal import QuantumPortal, a_device, a_machine

pytestmark = pytest.mark.quantum


@pytest.fixture
def portal() -> QuantumPortal:
    return QuantumPortal()


@pytest.fixture
def service(portal: QuantumPortal) -> KyoyoService:
    return KyoyoService(client=portal.client())


def names(service: KyoyoService, **fitting: object) -> list[str]:
    return [backend.name for backend in service.backends(**fitting)]  # type: ignore[arg-type]


def test_devices_are_found_by_what_they_are(service: KyoyoService) -> None:
    assert names(service) == ["aer-demo", "torino"]
    assert names(service, simulator=False) == ["torino"]
    assert names(service, min_num_qubits=5) == ["aer-demo"]
    assert names(service, domestic=False) == ["torino"]
    assert names(service, filters=lambda backend: backend.num_qubits == 3) == ["torino"]


def test_a_backend_is_called_by_its_device_or_its_offering(service: KyoyoService) -> None:
    assert service.backend("torino").name == "torino"
    assert service.backend("qpu-torino").name == "torino"


@pytest.mark.parametrize(
    ("language", "said"), [("en", "there is no quantum device tokyo"), ("ja", "tokyo はありません")]
)
def test_an_unknown_backend_is_named_with_those_that_are(portal: QuantumPortal, language: str, said: str) -> None:
    client = portal.client()
    client.language = language
    with pytest.raises(UnknownBackend, match=said) as unknown:
        KyoyoService(client=client).backend("tokyo")
    assert unknown.value.code == "unknown-backend"
    assert unknown.value.facts["known"] == "aer-demo (qpu-demo), torino (qpu-torino)"


def test_the_least_busy_takes_work_and_is_wide_enough(portal: QuantumPortal, service: KyoyoService) -> None:
    assert service.least_busy().name == "aer-demo"
    assert service.least_busy(simulator=False).name == "torino"
    portal.devices = [a_device(state="maintenance"), a_machine(queue=9), a_machine("untold", queue=None)]
    assert service.least_busy().name == "torino"
    with pytest.raises(NoBackend):
        service.least_busy(min_num_qubits=4)


def test_a_device_is_bought_by_the_offering_that_was_named(portal: QuantumPortal, service: KyoyoService) -> None:
    sale = {"max_session_s": 300, "max_session_idle_s": 20, "prices": []}
    portal.devices = [
        a_machine(vendor_name="ibm_torino", offerings=[{**sale, "id": "first"}, {**sale, "id": "second"}])
    ]
    portal.devices[0]["offering"] = "first"
    assert [service.backend(name).device.offering for name in ("torino", "ibm_torino", "second")] == [
        "first",
        "first",
        "second",
    ]
    Session(service.backend("second")).open()
    body = portal.jobs["q-1"]["body"]
    assert (body["offering"], body["walltime_s"], body["session"]["idle_s"]) == ("second", 300, 20)


def test_the_target_is_the_devices(service: KyoyoService) -> None:
    backend = service.backend("torino")
    target = backend.target
    assert (backend.num_qubits, backend.device.calibration and backend.device.calibration.id) == (3, "cal-7")
    assert set(target.operation_names) == {"cz", "id", "rz", "sx", "x", "if_else", "measure"}
    assert target["cz"][(1, 2)].error == pytest.approx(0.005)
    assert target["cz"][(1, 2)].duration == pytest.approx(84e-9)
    assert target["measure"][(0,)].duration == pytest.approx(1.56e-6)
    assert backend.qubit_properties(0).t1 == pytest.approx(170e-6)
    assert {tuple(pair) for pair in backend.coupling_map} == {(0, 1), (1, 0), (1, 2), (2, 1)}


@pytest.mark.parametrize("name", ["aer-demo", "torino"])
def test_what_is_transpiled_for_it_fits_it(service: KyoyoService, name: str) -> None:
    backend = service.backend(name)
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    circuit.measure_all()
    for level in range(4):
        fitted = transpile(circuit, backend=backend, optimization_level=level, seed_transpiler=7)
        for step in fitted.data:
            places = tuple(fitted.find_bit(bit).index for bit in step.qubits)
            known = backend.target.instruction_supported(step.operation.name, places)
            assert known or step.operation.name == "barrier"


def test_a_portal_without_a_register_tells_its_offerings() -> None:
    price = {"service_class": "standard", "component": "qpu_s", "per": "1", "price_yen": "160"}
    offering = {"id": "qpu-demo", "kind": "quantum", "hardware": {"qubits": 5, "simulated": True}, "prices": [price]}
    older = FakePortal().on("GET /offerings", {"items": [{**offering, "limits": {"max_shots": 100}}]})
    backend = KyoyoService(client=older.client()).backend("qpu-demo")
    device, circuit = backend.device, QuantumCircuit(3)
    circuit.ccx(0, 1, 2)
    assert transpile(circuit, backend, optimization_level=0).count_ops() == {"ccx": 1}
    assert (device.offering, device.qubits, device.simulator, device.max_shots) == ("qpu-demo", 5, True, 100)


def test_jobs_are_told_newest_first(portal: QuantumPortal, service: KyoyoService) -> None:
    backend = service.backend("aer-demo")
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    sent = [backend.run(circuit, shots=10).job_id() for _ in range(3)]
    del portal.keys["key-1"]
    assert len(set(sent)) == 1  # one key is one job, whoever repeats it
    backend.run(circuit, shots=10)
    assert [job.job_id() for job in service.jobs()] == ["q-2", "q-1"]
    assert [job.job_id() for job in service.jobs(limit=1)] == ["q-2"]
    assert service.jobs(backend_name="torino") == []
