"""Translating a checked program to a device's gates and running it on Aer. The only place that imports qiskit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qiskit
import qiskit_aer
from openqasm3 import ast
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import BreakLoopOp, ContinueLoopOp, ForLoopOp, IfElseOp
from qiskit.exceptions import QiskitError
from qiskit.transpiler import CouplingMap, PassManager, Target
from qiskit.transpiler.passes import UnrollForLoops
from qiskit_aer import AerSimulator
from qiskit_qasm3_import import convert

from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

_CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "break_loop": BreakLoopOp,
    "continue_loop": ContinueLoopOp,
}


def versions() -> Mapping[str, str]:
    return {"qiskit": qiskit.__version__, "qiskit-aer": qiskit_aer.__version__}


def prepare(program: ast.Program, job: CircuitJob) -> QuantumCircuit:
    """The program in the device's gates. The importer is given the tree that was checked, not the text again.

    Loops with constant bounds are written out first: Aer would run them turn by turn for every shot.
    """
    try:
        circuit = convert(program)
    except Exception as error:
        raise CircuitRefused("malformed-program", message=_plain(error)) from error
    try:
        flat = PassManager([UnrollForLoops()]).run(circuit)
        return transpile(flat, target=_target(job), optimization_level=1, seed_transpiler=job.seed)
    except QiskitError as error:
        raise CircuitRefused("cannot-translate", message=_plain(error)) from error


def _target(job: CircuitJob) -> Target:
    coupling = None if job.coupling is None else CouplingMap([list(pair) for pair in job.coupling])
    target = Target.from_configuration(
        basis_gates=[*job.basis_gates, "measure", "reset", "delay"],
        num_qubits=None if coupling is None else job.qubits,
        coupling_map=coupling,
    )
    for name, operation in _CONTROL_FLOW.items():
        target.add_instruction(operation, name=name)
    return target


def execute(circuit: QuantumCircuit, job: CircuitJob) -> dict[str, int]:
    """Counts by outcome, registers separated by a space, the last declared first, as Qiskit writes them."""
    simulator = AerSimulator(
        method="statevector", max_parallel_threads=job.cpus, max_memory_mb=job.memory_mb, seed_simulator=job.seed
    )
    outcome: Any = simulator.run(circuit, shots=job.shots).result()
    if not outcome.success:
        raise CircuitRefused("device-failed", message=_plain(outcome.status))
    return {str(bits): int(count) for bits, count in sorted(outcome.get_counts().items())}


def _plain(said: object) -> str:
    """A short printable piece of what a library said."""
    return "".join(c if c.isprintable() else " " for c in str(said)[:300])
