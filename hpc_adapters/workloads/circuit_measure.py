"""The size of a circuit that Qiskit has read: loops and gate definitions written out, without writing them out.

For OpenQASM 2 and QPY, which were checked as text or bytes before. Fail-closed, as `circuit_limits` is for OpenQASM 3.
"""

from __future__ import annotations

from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import BreakLoopOp, ContinueLoopOp, ForLoopOp, IfElseOp
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping

from hpc_adapters.workloads.circuit_limits import Limits, Size, check_memory
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

_STANDARD = frozenset(gate.base_class for gate in get_standard_gate_name_mapping().values())
_NOT_UNITARY = frozenset({"measure", "reset", "barrier", "delay"})


def measure_circuit(circuit: QuantumCircuit, limits: Limits) -> Size:
    """Its size. CircuitRefused when it exceeds a limit or holds what we do not run."""
    if circuit.num_qubits > limits.qubits:
        raise CircuitRefused("too-many-qubits", qubits=circuit.num_qubits, max_qubits=limits.qubits)
    if circuit.num_clbits > limits.bits:
        raise CircuitRefused("too-many-bits", bits=circuit.num_clbits, max_bits=limits.bits)
    check_memory(circuit.num_qubits, limits)
    if circuit.num_parameters > limits.parameters:
        raise CircuitRefused("too-many-parameters", asked=circuit.num_parameters, limit=limits.parameters)
    surveyor = _Surveyor(limits)
    operations = surveyor.block(circuit, depth=0)
    if limits.needs_measurement and not surveyor.measures:
        raise CircuitRefused("no-measurement")
    return Size(circuit.num_qubits, circuit.num_clbits, operations)


class _Surveyor:
    """Adds up; the cost of a gate of the program's own is known after the first time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.measures = False
        self.costs: dict[str, int] = {}

    def block(self, circuit: QuantumCircuit, *, depth: int) -> int:
        """Operations of this body, written out."""
        if depth > self.limits.block_depth:
            raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=self.limits.block_depth)
        return self._sum(circuit, depth)

    def _sum(self, circuit: QuantumCircuit, depth: int) -> int:
        operations = 0
        for instruction in circuit.data:
            operations += self._operation(instruction.operation, depth)
            if operations > self.limits.operations:
                shown = min(operations, 10**15)
                raise CircuitRefused("too-many-operations", operations=shown, max_operations=self.limits.operations)
        return operations

    def _operation(self, operation: Any, depth: int) -> int:
        match operation:
            case IfElseOp():
                return 1 + sum(self.block(body, depth=depth + 1) for body in operation.blocks)
            case ForLoopOp():
                turns = len(operation.params[0])
                return turns * (1 + self.block(operation.blocks[0], depth=depth + 1))
            case BreakLoopOp() | ContinueLoopOp():
                return 1
            case _:
                return self._plain(operation, depth)

    def _plain(self, operation: Any, depth: int) -> int:
        name = operation.name
        self.measures |= name == "measure"
        if name in _NOT_UNITARY or operation.base_class in _STANDARD:
            return 1
        return self._definition(operation, depth)

    def _definition(self, operation: Any, depth: int) -> int:
        """A gate of the program's own: names are unique in a program, and it calls only those defined before it."""
        name = operation.name
        if name not in self.costs:
            definition = operation.definition
            if definition is None:
                raise CircuitRefused("unknown-gate", gate=name[:40])
            if depth > self.limits.gate_depth:
                raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=self.limits.gate_depth)
            self.costs[name] = max(1, self._sum(definition, depth + 1))
        return self.costs[name]
