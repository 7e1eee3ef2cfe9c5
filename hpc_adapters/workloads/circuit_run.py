"""Translating checked circuits to a device's gates, and simulating them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import qiskit
import qiskit_aer
from openqasm3 import ast
from qiskit import QuantumCircuit, transpile
from qiskit.exceptions import QiskitError
from qiskit.transpiler import PassManager, Target
from qiskit.transpiler.passes import UnrollForLoops
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from hpc_adapters.pubs import Options
from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.circuit_limits import Size, statevector_bytes
from hpc_adapters.workloads.circuit_reading import plain, read_tree
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.device_target import noise_of, target_of

_STATE_VECTOR, _STABILIZER, _PRODUCT = "statevector", "stabilizer", "matrix_product_state"


def versions() -> Mapping[str, str]:
    return {"qiskit": qiskit.__version__, "qiskit-aer": qiskit_aer.__version__}


class CountingSimulator(AerSimulator):  # type: ignore[misc]
    """Aer, and how many shots it was asked for in all."""

    executions = 0

    def run(self, circuits: Any, **options: Any) -> Any:
        """As the simulator's own."""
        number = len(circuits) if isinstance(circuits, list) else 1
        self.executions += number * int(options.get("shots", 0))
        return super().run(circuits, **options)


class Machine:
    """The device of a job: translates for it and simulates it, by one method, with or without noise."""

    def __init__(self, job: CircuitJob, options: Options, *, devices: Sequence[str] | None = None) -> None:
        """`devices`: what simulators compute on here; None: as qiskit-aer reports. CircuitRefused('unsuitable-method' |
        'no-gpu').
        """
        self.job = job
        self.level = options.optimization_level
        self.seed = job.seed if options.seed is None else options.seed
        self.method = job.methods[0] if options.method == "automatic" else options.method
        if self.method not in {*job.methods, _STATE_VECTOR}:
            raise CircuitRefused("unsuitable-method", method=options.method)
        self.is_noisy = job.noise and options.noise and job.calibration is not None
        if self.is_noisy and self.method == _STABILIZER:
            raise CircuitRefused("unsuitable-method", method=self.method, noise="true")
        if job.gpu and "GPU" not in (AerSimulator().available_devices() if devices is None else devices):
            raise CircuitRefused("no-gpu")

    @property
    def holds_state(self) -> bool:
        """Whether every circuit's state vector must fit into the memory."""
        others = {_PRODUCT, _STABILIZER}
        return self.method == _STATE_VECTOR or (self.method == "automatic" and not others & {*self.job.methods})

    @cached_property
    def target(self) -> Target:
        return target_of(self.job, clifford=self.method == _STABILIZER)

    @cached_property
    def noise(self) -> NoiseModel | None:
        return noise_of(self.job, self.target) if self.is_noisy else None

    def translate(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """In the device's gates. Loops with constant bounds are written out: Aer would run them turn by turn."""
        try:
            flat = PassManager([UnrollForLoops()]).run(circuit)
            return transpile(flat, target=self.target, optimization_level=self.level, seed_transpiler=self.seed)
        except QiskitError as error:
            code = "unsuitable-method" if self.method == _STABILIZER else "cannot-translate"
            raise CircuitRefused(code, message=plain(error)) from error

    def simulator(self, qubits: int) -> CountingSimulator:
        """For circuits of so many qubits."""
        job = self.job
        fits = statevector_bytes(qubits) <= job.memory_mb * 2**20
        method = self.method
        if method == "automatic" and not fits:
            method = _PRODUCT if _PRODUCT in job.methods else _STABILIZER
        made = CountingSimulator(
            method=method,
            max_parallel_threads=job.cpus,
            max_memory_mb=job.memory_mb,
            seed_simulator=self.seed,
            noise_model=self.noise,
        )
        if job.gpu:
            made.set_options(device="GPU")
        return made


def prepare(program: ast.Program, job: CircuitJob) -> QuantumCircuit:
    """A tree of OpenQASM 3 in the device's gates. CircuitRefused."""
    return Machine(job, Options()).translate(read_tree(program, Size(0, 0, 0)).circuit)


def execute(circuit: QuantumCircuit, job: CircuitJob) -> dict[str, int]:
    """Counts by outcome, registers separated by a space, the last declared first, as Qiskit writes them."""
    return counts_of(Machine(job, Options()), circuit)


def counts_of(machine: Machine, circuit: QuantumCircuit) -> dict[str, int]:
    """As `execute`, on this machine."""
    outcome: Any = machine.simulator(busy_qubits(circuit)).run(circuit, shots=machine.job.shots).result()
    if not outcome.success:
        raise CircuitRefused("device-failed", message=plain(outcome.status))
    return {str(bits): int(count) for bits, count in sorted(outcome.get_counts().items())}


def needed(machine: Machine, circuits: Sequence[tuple[QuantumCircuit, int]]) -> dict[str, Any]:
    """What these translated circuits take, each so often: figures of the largest, and QPU time without the overheads.

    `execution_us`: circuit duration and the device's delay, for every execution; null where a duration is not known.
    """
    largest = max((circuit for circuit, _ in circuits), key=lambda circuit: circuit.size())
    durations = [duration_us(circuit, machine) for circuit, _ in circuits]
    total = None
    if all(duration is not None for duration in durations):
        total = sum((us or 0.0) * times for us, (_, times) in zip(durations, circuits, strict=True))
        total += machine.job.delay_us * sum(times for _, times in circuits)
    qubits = max(busy_qubits(circuit) for circuit, _ in circuits)
    return {"estimate": figures(largest) | {"qubits": qubits, "execution_us": total}}


def duration_us(circuit: QuantumCircuit, machine: Machine) -> float | None:
    """Of one execution, by the gates' durations, with its read-out. None: they are not all known."""
    if machine.job.calibration is None:
        return None
    measured = circuit if "measure" in circuit.count_ops() else circuit.measure_all(inplace=False)
    try:
        return float(measured.estimate_duration(machine.target, unit="s")) * 1e6
    except (QiskitError, TypeError, ValueError):  # control flow, or a duration that is a parameter
        return None


def busy_qubits(circuit: QuantumCircuit) -> int:
    """Qubits that anything is done to: those of a whole device that are idle are not simulated."""
    return len({qubit for step in circuit.data if step.operation.name != "barrier" for qubit in step.qubits})


def figures(circuit: QuantumCircuit) -> dict[str, int]:
    """Of a translated circuit."""
    return {
        "depth": circuit.depth(),
        "operations": circuit.size(),
        "two_qubit_gates": sum(len(step.qubits) == 2 and step.operation.name != "barrier" for step in circuit.data),  # noqa: PLR2004  what the name says
    }
