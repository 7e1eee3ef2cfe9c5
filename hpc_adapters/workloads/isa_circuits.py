"""Reading checked circuits and translating them to a target. Imports qiskit: only for a confined process."""

from __future__ import annotations

import io
import keyword
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import qiskit
from qiskit import QuantumCircuit, qpy, transpile
from qiskit.circuit import ForLoopOp, IfElseOp, SwitchCaseOp, WhileLoopOp
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties, PassManager, Target
from qiskit.transpiler.passes import UnrollForLoops

from hpc_adapters.pubs import MAX_NAMES, CircuitText, Observables
from hpc_adapters.workloads.circuit_limits import Limits
from hpc_adapters.workloads.circuit_reading import plain, read_circuit
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

_CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
}
_PAIR = 2


def versions() -> Mapping[str, str]:
    return {"qiskit": qiskit.__version__}


def target_of(told: Mapping[str, Any]) -> Target:
    """The device's gates, with the durations and errors that it told."""
    target = Target(num_qubits=told["qubits"], dt=told["dt_s"])
    known = get_standard_gate_name_mapping()
    for name, places in told["gates"].items():
        if name not in known:
            continue
        properties = {
            tuple(qubits): InstructionProperties(duration=duration_s, error=error)
            for qubits, duration_s, error in places
        }
        target.add_instruction(known[name], properties, name=name)
    for name in told["control_flow"]:
        target.add_instruction(_CONTROL_FLOW[name], name=name)
    return target


def read(told: CircuitText, *, target: Target, operations: int, measures: bool) -> QuantumCircuit:
    """A circuit that was checked before anything built it. `measures`: it must, else it must not. CircuitRefused."""
    limits = Limits(
        qubits=target.num_qubits,
        memory_mb=None,
        operations=operations,
        parameters=MAX_NAMES,
        needs_measurement=measures,
    )
    circuit = read_circuit(told, limits).circuit
    if not measures and circuit.num_clbits:
        raise CircuitRefused("unsupported-statement", statement="measurement in an estimator's circuit")
    if measures:
        _check_registers(circuit)
    return circuit


def _check_registers(circuit: QuantumCircuit) -> None:
    """Results are told by register: each needs a name that a field can have."""
    names = [register.name for register in circuit.cregs]
    if not names or any(not name.isidentifier() or keyword.iskeyword(name) for name in names):
        raise CircuitRefused("unsupported-statement", statement="name of a classical register")


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A circuit in the device's gates. `parameters`: those before, `parameters_left`: those it still has."""

    circuit: QuantumCircuit
    logical_qubits: int
    parameters: frozenset[str]
    duration_s: float | None

    @property
    def parameters_left(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.circuit.parameters)

    def told(self) -> dict[str, Any]:
        """Itself as base64 QPY, and the registers that its results will have, as [name, size]."""
        written = io.BytesIO()
        self.circuit.metadata = {}
        qpy.dump(self.circuit, written)
        return {
            "qpy": b64encode(written.getvalue()).decode(),
            "qubits": self.logical_qubits,
            "registers": [[register.name, register.size] for register in self.circuit.cregs],
        }

    def metadata(self) -> dict[str, Any]:
        """Counts of operations, as the device will see them."""
        pairs = sum(len(each.qubits) == _PAIR for each in self.circuit.data if each.operation.name != "barrier")
        operations = {str(name): int(number) for name, number in self.circuit.count_ops().items()}
        return {"depth": self.circuit.depth(), "operations": operations, "two_qubit_gates": pairs}

    def moved(self, observables: Observables) -> dict[str, Any]:
        """Each observable on the qubits that the layout chose. CircuitRefused: its length is not the circuit's."""
        return {
            "shape": list(observables.shape),
            "values": [self._moved(terms) for terms in observables.values],
        }

    def _moved(self, terms: Mapping[str, float]) -> dict[str, float]:
        for term in terms:
            if len(term) != self.logical_qubits:
                raise CircuitRefused("observable-too-wide", letters=len(term), qubits=self.logical_qubits)
        operator = SparsePauliOp.from_list(list(terms.items()))
        laid = operator.apply_layout(self.circuit.layout, num_qubits=self.circuit.num_qubits)
        return {str(word): float(factor.real) for word, factor in laid.to_list()}


def translate(circuit: QuantumCircuit, target: Target, *, level: int, seed: int) -> Translated:
    """CircuitRefused('cannot-translate')."""
    parameters = frozenset(parameter.name for parameter in circuit.parameters)
    try:
        flat = PassManager([UnrollForLoops()]).run(circuit)
        made = transpile(flat, target=target, optimization_level=level, seed_transpiler=seed)
    except QiskitError as error:
        raise CircuitRefused("cannot-translate", message=plain(error)) from error
    return Translated(
        circuit=made,
        logical_qubits=circuit.num_qubits,
        parameters=parameters,
        duration_s=_duration_s(made, target),
    )


def _duration_s(circuit: QuantumCircuit, target: Target) -> float | None:
    """None: the target lacks durations, or the circuit decides while it runs."""
    try:
        return float(circuit.estimate_duration(target, unit="s"))
    except (QiskitError, TypeError, ValueError):
        return None
