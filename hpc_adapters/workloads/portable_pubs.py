"""A document of PUBs as programs without parameters. The only importer of qiskit on the way of `portable_circuits`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, qasm3

from hpc_adapters.programs import Primitive
from hpc_adapters.pubs import CircuitFormat, CircuitText, Document, Pub
from hpc_adapters.workloads.circuit_limits import Limits
from hpc_adapters.workloads.circuit_reading import read_circuit
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

Json = dict[str, Any]


def plain(text: str, *, shots: int, limits: Limits) -> Json:
    """The plan of one circuit in OpenQASM 2. CircuitRefused."""
    circuit = read(CircuitText(CircuitFormat.OPENQASM2, text), limits, measures=True)
    run = {"pub": 0, "shots": shots} | _run(0, circuit, "sampling", [], 0.0)
    return {"runs": [run], "pubs": [], "plain": True} | _size([circuit])


def planned(document: Document, *, limits: Limits, max_runs: int) -> Json:
    """The plan of a document. CircuitRefused."""
    measures = document.primitive is Primitive.SAMPLER
    circuits = [read(circuit, limits, measures=measures) for circuit in document.circuits]
    runs: list[Json] = []
    pubs: list[Json] = []
    for number, pub in enumerate(document.pubs):
        circuit = circuits[pub.circuit]
        constants: list[tuple[int, float]] = []
        for run in _elements(circuit, pub):
            if run["kind"] == "constant":
                constants.append((run["element"], run["constant"]))
                continue
            if len(runs) == max_runs:
                raise CircuitRefused("too-many-circuits", limit=max_runs)
            runs.append({"pub": number, "shots": pub.shots, **run})
        told = {"shape": list(pub.shape), "shots": pub.shots, "executions": pub.executions}
        pubs.append(told | {"registers": _registers(circuit), "constants": constants})
    options = {"optimization_level": document.options.optimization_level, "seed": document.options.seed}
    plan = {"runs": runs, "pubs": pubs, "plain": False, "primitive": document.primitive.value, "options": options}
    return plan | _size(circuits)


def read(told: CircuitText, limits: Limits, *, measures: bool) -> QuantumCircuit:
    """A circuit within the limits. `measures`: it must, or else it must not. CircuitRefused."""
    circuit = read_circuit(told, replace(limits, needs_measurement=measures)).circuit
    if not measures and circuit.num_clbits:
        raise CircuitRefused("unsupported-statement", statement="measurement in an estimator's circuit")
    return circuit


def _elements(circuit: QuantumCircuit, pub: Pub) -> Iterator[Json]:
    """In C order over the PUB's shape. An operator that is a number alone has kind 'constant' and needs no device."""
    known = {parameter.name: parameter for parameter in circuit.parameters}
    names = () if pub.parameters is None else pub.parameters.names
    if set(names) != set(known):
        raise CircuitRefused("parameters-differ", given=len(names), wanted=len(known))
    for element, index in enumerate(np.ndindex(*pub.shape)):
        bound = circuit
        if pub.parameters is not None:
            row = pub.parameters.values[_place(index, pub.parameters.shape)]
            bound = circuit.assign_parameters({known[n]: v for n, v in zip(names, row, strict=True)})
        if pub.observables is None:
            yield _run(element, bound, "sampling", [], 0.0)
            continue
        terms, constant = _terms(pub.observables.values[_place(index, pub.observables.shape)], circuit.num_qubits)
        if terms:
            yield _run(element, bound, "estimation", terms, constant)
        else:
            yield {"element": element, "kind": "constant", "constant": constant}


def _place(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Where an element of the broadcast shape is in a flat array of this one."""
    tail = index[len(index) - len(shape) :]
    at = tuple(0 if size == 1 else here for here, size in zip(tail, shape, strict=True))
    return int(np.ravel_multi_index(at, shape)) if shape else 0


def _terms(told: Any, qubits: int) -> tuple[list[tuple[str, float]], float]:
    """Terms as 'X 0 Z 1', qubit 0 being the last letter of the word; and the identity's factor by itself."""
    terms: list[tuple[str, float]] = []
    constant = 0.0
    for word, factor in told.items():
        if len(word) != qubits:
            raise CircuitRefused("observable-too-wide", letters=len(word), qubits=qubits)
        letters = [f"{letter} {qubit}" for qubit, letter in enumerate(reversed(word)) if letter != "I"]
        if letters:
            terms.append((" ".join(letters), factor))
        else:
            constant += factor
    return terms, constant


def _run(element: int, circuit: QuantumCircuit, kind: str, operators: list[tuple[str, float]], constant: float) -> Json:
    try:
        program = qasm3.dumps(circuit)
    except Exception as error:
        raise CircuitRefused("cannot-translate", message=type(error).__name__) from error
    told = {"element": element, "kind": kind, "program": program, "registers": _registers(circuit)}
    return told | {"operators": operators, "constant": constant}


def _registers(circuit: QuantumCircuit) -> list[tuple[str, int]]:
    if sum(register.size for register in circuit.cregs) != circuit.num_clbits:
        raise CircuitRefused("unsupported-statement", statement="classical bits outside of one register")
    return [(register.name, register.size) for register in circuit.cregs]


def _size(circuits: list[QuantumCircuit]) -> Json:
    largest = max(circuits, key=lambda circuit: circuit.size())
    return {
        "qubits": max(circuit.num_qubits for circuit in circuits),
        "operations": largest.size(),
        "depth": max(circuit.depth() for circuit in circuits),
    }
