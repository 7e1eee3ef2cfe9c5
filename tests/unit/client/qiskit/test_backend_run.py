"""`backend.run`, and the unmodified primitives of qiskit_ibm_runtime over it."""

from __future__ import annotations

import importlib
import json
import warnings
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendSamplerV2
from qiskit.providers import JobStatus
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from kyoyo.qiskit import KyoyoBackend, KyoyoService, KyoyoWarning, NotSupported, backend
from kyoyo.transport import new_key
from tests.support.quantum_portal import QuantumPortal

pytestmark = pytest.mark.quantum


@pytest.fixture(autouse=True)
def _forget_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_warned", set())


@pytest.fixture
def portal() -> QuantumPortal:
    return QuantumPortal()


@pytest.fixture
def device(portal: QuantumPortal) -> KyoyoBackend:
    return KyoyoService(client=portal.client(make_key=new_key)).backend("aer-demo")


def scattered() -> QuantumCircuit:
    """Loose bits and a register of 9: |1> on qubits 0 and 10."""
    circuit = QuantumCircuit(11, 2)
    nine = ClassicalRegister(9, "nine")
    circuit.add_register(nine)
    circuit.x([0, 10])
    circuit.measure(range(11), range(11))
    return circuit


def test_memory_and_counts_are_laid_out_as_aer_does(device: KyoyoBackend) -> None:
    circuits = [scattered(), transpile(scattered(), device)]
    ours = device.run(circuits, shots=20, memory=True).result()
    aers = AerSimulator().run(circuits, shots=20, memory=True).result()
    for index in range(2):
        assert ours.data(index) == aers.data(index)
        assert ours.get_counts(index) == aers.get_counts(index)


def test_many_circuits_are_one_job(portal: QuantumPortal, device: KyoyoBackend) -> None:
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    job = device.run([circuit, circuit, scattered()], shots=10, seed_simulator=np.int64(3))
    told = json.loads(portal.jobs["q-1"]["body"]["program"])
    assert (len(told["circuits"]), [pub["circuit"] for pub in told["pubs"]]) == (2, [0, 0, 1])
    assert told["options"] == {"optimization_level": 0, "seed": 3}
    assert (job.status(), portal.jobs["q-1"]["body"]["shots"]) == (JobStatus.DONE, 30)
    assert len(job.result().results) == 3


def test_what_has_no_effect_is_said_once(device: KyoyoBackend) -> None:
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    with pytest.warns(KyoyoWarning, match="ignores noise_model"):
        device.run(circuit, noise_model=object())
    device.run(circuit, noise_model=object(), meas_level=2)
    bound = QuantumCircuit(1)
    bound.rx(Parameter("a"), 0)
    with pytest.raises(NotSupported):
        device.run(bound)


def test_qiskits_sampler_for_backends_runs_over_it(device: KyoyoBackend) -> None:
    told = BackendSamplerV2(backend=device).run([(scattered(),)], shots=30).result()[0]
    assert told.data.nine.get_counts() == {"100000000": 30}


def runtime() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("qiskit_ibm_runtime")


@pytest.mark.ibm
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_unmodified_sampler_of_the_runtime_library_works_and_is_told_of(
    portal: QuantumPortal, device: KyoyoBackend
) -> None:
    library = runtime()
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    sampler = library.SamplerV2(mode=device, options={"simulator": {"seed_simulator": 5}})
    with pytest.warns(KyoyoWarning, match="local mode"):
        told = sampler.run([(transpile(circuit, device), [0.0]), (transpile(circuit, device), [[np.pi], [np.pi]])])
    pubs = told.result()
    assert pubs[0].data.meas.get_counts() == {"00": 1024}
    assert pubs[1].data.meas.shape == (2,)
    assert pubs[1].data.meas.get_counts() == {"11": 2048}
    assert {json.loads(job["body"]["program"])["options"]["seed"] for job in portal.jobs.values()} == {5}
    sampler.run([transpile(circuit, device).assign_parameters([0.0])]).result()  # and not again


@pytest.mark.ibm
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::kyoyo.qiskit.KyoyoWarning")
def test_the_unmodified_estimator_of_the_runtime_library_works(device: KyoyoBackend) -> None:
    library = runtime()
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    observable = SparsePauliOp.from_list([("ZZ", 1.0), ("IZ", 0.5)])
    angles = [[0.0], [np.pi / 2], [np.pi]]
    pub = (transpile(circuit, device), observable, angles)
    told = library.EstimatorV2(mode=device).run([pub], precision=0.02).result()[0]
    assert np.abs(told.data.evs - [1.5, 1.0, 0.5]).max() < 5 * 0.02 * 1.5
