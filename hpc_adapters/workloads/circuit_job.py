"""What the adapter tells the program: written as JSON by one, read by the other. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


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
    seed: int
    service_us: int
    """How long the device is held, when `paced`."""
    paced: bool
