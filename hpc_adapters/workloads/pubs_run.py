"""A document's PUBs on a machine: samples and expectation values, in the form in which results are kept."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit_aer import AerError

from hpc_adapters.pubs import MAX_NAMES, Document, Primitive, Pub
from hpc_adapters.workloads.circuit_limits import Limits, Size
from hpc_adapters.workloads.circuit_reading import plain, read_circuit
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.circuit_run import Machine, busy_qubits, figures

_SEED_STEP = 7_919  # between the seeds of two PUBs, so that equal ones are not sampled alike
_MAX_SEED = 2**31
_PUB_BYTES = 2_000  # of a result beside its numbers
_NUMBER_BYTES = 25
_BASE64 = 4 / 3


@dataclass(frozen=True, slots=True)
class Ready:
    """A PUB with its circuit in the device's gates. `size`: of the circuit as it was written."""

    pub: Pub
    circuit: QuantumCircuit
    size: Size


def read_pubs(document: Document, machine: Machine) -> list[Ready]:
    """All circuits read, measured and translated; each once. CircuitRefused."""
    job = machine.job
    limits = Limits(
        qubits=job.qubits,
        memory_mb=job.memory_mb if machine.holds_state else None,
        operations=job.max_operations,
        parameters=MAX_NAMES,
        needs_measurement=document.primitive is Primitive.SAMPLER,
    )
    used = sorted({pub.circuit for pub in document.pubs})
    read = {number: read_circuit(document.circuits[number], limits) for number in used}
    for pub in document.pubs:
        _check_fit(pub, read[pub.circuit].circuit)
    translated = {number: machine.translate(each.circuit) for number, each in read.items()}
    return [Ready(pub, translated[pub.circuit], read[pub.circuit].size) for pub in document.pubs]


def _check_fit(pub: Pub, circuit: QuantumCircuit) -> None:
    names = set() if pub.parameters is None else set(pub.parameters.names)
    own = {parameter.name for parameter in circuit.parameters}
    if names != own:
        raise CircuitRefused("parameters-differ", circuit=len(own), values=len(names))
    for element in () if pub.observables is None else pub.observables.values:
        for term in element:
            if len(term) != circuit.num_qubits:
                raise CircuitRefused("observable-too-wide", asked=len(term), limit=circuit.num_qubits)


def check_result(ready: Sequence[Ready], limit_bytes: int) -> None:
    """CircuitRefused('result-too-large'), known before anything is executed."""
    expected = 0.0
    for each in ready:
        shots = each.pub.shots if each.pub.observables is None else 0
        bits = sum((register.size + 7) // 8 for register in each.circuit.cregs)
        expected += _PUB_BYTES + each.pub.bindings * (shots * bits * _BASE64 + 2 * _NUMBER_BYTES * (shots == 0))
    if expected > limit_bytes:
        raise CircuitRefused("result-too-large", bytes=int(expected), max_bytes=limit_bytes)


def run_pubs(ready: Sequence[Ready], machine: Machine, tell: Callable[..., None]) -> list[dict[str, Any]]:
    """One entry of the result for each PUB, in order. CircuitRefused('device-failed' | 'unsuitable-method')."""
    done = []
    for number, each in enumerate(ready):
        try:
            done.append(_run(each, machine, (machine.seed + _SEED_STEP * number) % _MAX_SEED))
        except (AerError, QiskitError) as error:
            code = "device-failed" if machine.method == machine.job.methods[0] else "unsuitable-method"
            raise CircuitRefused(code, message=plain(error)) from error
        tell("pub", number=number, executions=done[-1]["executions"])
    return done


def _run(each: Ready, machine: Machine, seed: int) -> dict[str, Any]:
    if each.pub.executions == 0:
        numbers = _numbers(each.pub)
        return {"shots": each.pub.shots, "executions": 0, "data": numbers, "metadata": figures(each.circuit)}
    simulator = machine.simulator(busy_qubits(each.circuit))
    data = _sampled(each, simulator, seed) if each.pub.observables is None else _estimated(each, simulator, seed)
    return {
        "shots": each.pub.shots,
        "executions": simulator.executions,
        "data": data,
        "metadata": figures(each.circuit),
    }


def _bindings(pub: Pub) -> BindingsArray | None:
    if pub.parameters is None or not pub.parameters.names:
        return None if pub.parameters is None else BindingsArray(shape=pub.parameters.shape)
    values = np.array(pub.parameters.values, dtype=float)
    names = tuple(pub.parameters.names)
    return BindingsArray({names: values.reshape((*pub.parameters.shape, len(names)))})


def _sampled(each: Ready, simulator: Any, seed: int) -> dict[str, Any]:
    sampler = BackendSamplerV2(backend=simulator, options={"seed_simulator": seed})
    [result] = sampler.run([(each.circuit, _bindings(each.pub), each.pub.shots)]).result()
    return {
        name: {
            "kind": "bits",
            "num_bits": bits.num_bits,
            "shape": list(bits.shape),
            "shots": bits.num_shots,
            "bytes": base64.b64encode(np.ascontiguousarray(bits.array).tobytes()).decode(),
        }
        for name, bits in result.data.items()
    }


def _estimated(each: Ready, simulator: Any, seed: int) -> dict[str, Any]:
    assert each.pub.observables is not None
    held = np.empty(len(each.pub.observables.values), dtype=object)
    held[:] = [dict(element) for element in each.pub.observables.values]
    observables = ObservablesArray(held.reshape(each.pub.observables.shape))
    if each.circuit.layout is not None:
        observables = observables.apply_layout(each.circuit.layout)
    estimator = BackendEstimatorV2(backend=simulator, options={"seed_simulator": seed})
    pub = (each.circuit, observables, _bindings(each.pub), precision_of(each.pub.shots))
    [result] = estimator.run([pub]).result()
    return {name: _floats(getattr(result.data, name)) for name in ("evs", "stds")}


def _numbers(pub: Pub) -> dict[str, Any]:
    """Of observables that are identities alone: their coefficients, exactly, whatever the circuit does."""
    assert pub.observables is not None
    sums = np.array([math.fsum(element.values()) for element in pub.observables.values])
    evs = np.broadcast_to(sums.reshape(pub.observables.shape), pub.shape)
    return {"evs": _floats(evs), "stds": _floats(np.zeros(pub.shape))}


def precision_of(shots: int) -> float:
    """The precision from which the estimator takes exactly so many shots: it rounds 1 / precision² up."""
    precision = 1 / math.sqrt(shots)
    while math.ceil(1 / precision**2) > shots:
        precision = math.nextafter(precision, 1)
    return precision


def _floats(values: Any) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    return {"kind": "float", "shape": list(array.shape), "values": [float(value) for value in array.ravel()]}
