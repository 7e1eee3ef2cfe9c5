"""A device for Qiskit: its gates and couplings with their durations and errors, and the noise that these make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qiskit.circuit import BreakLoopOp, ContinueLoopOp, Delay, ForLoopOp, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_aer.noise.device import basic_device_gate_errors

from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

CLIFFORD_GATES = ("h", "s", "sdg", "x", "y", "z", "sx", "sxdg", "cx", "cy", "cz", "swap", "id")
_CONTROL_FLOW = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "break_loop": BreakLoopOp,
    "continue_loop": ContinueLoopOp,
}
_NS, _US = 1e-9, 1e-6

Properties = Mapping[tuple[int, ...], InstructionProperties]


def target_of(job: CircuitJob, *, clifford: bool = False) -> Target:
    """The device's gates, with what its calibration says of them. `clifford`: those of the stabilizer method."""
    is_real = job.coupling is not None or job.calibration is not None
    target = Target(
        num_qubits=job.qubits if is_real else None,
        qubit_properties=_qubit_properties(job) if job.calibration is not None else None,
        dt=1e-9,
    )
    known = get_standard_gate_name_mapping()
    for name in CLIFFORD_GATES if clifford else job.basis_gates:
        if name not in known:
            raise CircuitRefused("device-failed", message=f"no gate {name}")
        gate = known[name]
        target.add_instruction(gate, _properties(job, name, gate.num_qubits) if is_real else None)
    target.add_instruction(Measure(), _measurements(job) if is_real else None)
    for other in (Reset(), Delay(Parameter("t"))):
        each: Any = {(qubit,): None for qubit in range(job.qubits)}
        target.add_instruction(other, each if is_real else None)
    for name, operation in _CONTROL_FLOW.items():
        target.add_instruction(operation, name=name)
    return target


def _qubit_properties(job: CircuitJob) -> list[QubitProperties]:
    assert job.calibration is not None
    told = [
        QubitProperties(t1=None if t1 is None else t1 * _US, t2=None if t2 is None else t2 * _US)
        for t1, t2, _, _ in job.calibration.qubits[: job.qubits]
    ]
    return [*told, *(QubitProperties() for _ in range(job.qubits - len(told)))]


def _properties(job: CircuitJob, name: str, width: int) -> dict[tuple[int, ...], InstructionProperties | None]:
    told = {} if job.calibration is None else _told(job, name)
    return {qubits: told.get(qubits) for qubits in _places(job, width)}


def _told(job: CircuitJob, name: str) -> Properties:
    assert job.calibration is not None
    return {
        tuple(qubits): InstructionProperties(duration=None if ns is None else ns * _NS, error=error)
        for gate, qubits, error, ns in job.calibration.gates
        if gate == name
    }


def _places(job: CircuitJob, width: int) -> Iterator[tuple[int, ...]]:
    """Where a gate of this width may be."""
    if width == 1:
        yield from ((qubit,) for qubit in range(job.qubits))
    elif job.coupling is not None:
        yield from (tuple(pair) for pair in job.coupling)
    else:
        yield from ((a, b) for a in range(job.qubits) for b in range(job.qubits) if a != b)


def _measurements(job: CircuitJob) -> dict[tuple[int, ...], InstructionProperties | None]:
    places: dict[tuple[int, ...], InstructionProperties | None] = {(qubit,): None for qubit in range(job.qubits)}
    for qubit, (_, _, error, ns) in enumerate(() if job.calibration is None else job.calibration.qubits[: job.qubits]):
        places[(qubit,)] = InstructionProperties(duration=None if ns is None else ns * _NS, error=error)
    return places


def noise_of(job: CircuitJob, target: Target) -> NoiseModel | None:
    """Depolarising and relaxation after each gate, and wrong readings, as calibrated. None: there is no calibration."""
    if job.calibration is None:
        return None
    model = NoiseModel(basis_gates=[*job.basis_gates, "measure", "reset", "delay"])
    for name, qubits, error in basic_device_gate_errors(target=target):
        model.add_quantum_error(error, name, qubits)
    for qubit, (_, _, wrong, _) in enumerate(job.calibration.qubits[: job.qubits]):
        if wrong:
            model.add_readout_error(ReadoutError([[1 - wrong, wrong], [wrong, 1 - wrong]]), [qubit])
    return model
