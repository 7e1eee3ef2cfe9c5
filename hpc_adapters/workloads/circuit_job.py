"""What the adapter tells the program: written as JSON by one, read by the other. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCalibration:
    """A device's properties. A qubit: T1 and T2 in microseconds, readout error, readout in nanoseconds; a gate: name,
    qubits, error, duration in nanoseconds. None where not told.
    """

    id: str
    qubits: Sequence[tuple[float | None, float | None, float | None, float | None]]
    gates: Sequence[tuple[str, Sequence[int], float | None, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitJob:
    """One run of one program on one device. `coupling`: pairs of qubits, None for all."""

    device: str
    qubits: int
    memory_mb: int
    cpus: int
    basis_gates: tuple[str, ...]
    coupling: tuple[tuple[int, int], ...] | None
    max_operations: int
    shots: int
    """Executions, of a document."""
    seed: int
    service_us: int
    """How long the device is held, when `paced`; less where fewer executions were needed."""
    paced: bool
    base_us: int = 0
    """Of it, what no shot makes longer."""
    max_shots: int = 10**7
    """Of one execution."""
    methods: tuple[str, ...] = ("automatic", "statevector")
    """Of simulation, that may be asked for; the first one where none is."""
    gpu: bool = False
    calibration: JobCalibration | None = None
    noise: bool = False
    """Whether the calibration's errors are simulated, unless the program says otherwise."""
    stop_us: int | None = None
    """So long the execution may take by the wall clock; then it is ended as 'qpu-cap-reached'."""
    delay_us: int = 0
    """Between two shots, for estimates: reset and read-out that no gate accounts for."""
    estimate: bool = False
    """Say what it would need, instead of running it."""


def held_us(job: CircuitJob, executions: int) -> int:
    """How long the device is held for so many executions."""
    if executions >= job.shots:
        return job.service_us
    return job.base_us + (job.service_us - job.base_us) * executions // job.shots


def job_of(told: dict[str, Any]) -> CircuitJob:
    """From its JSON."""
    calibration = told.get("calibration")
    if isinstance(calibration, dict):
        told = told | {"calibration": JobCalibration(**calibration)}
    return CircuitJob(**told)
