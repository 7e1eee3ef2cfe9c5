#!/usr/bin/env python3
"""How much of a GHZ state survives on a device, against the same without noise. Needs: pip install "kyoyo[qiskit]".

On a simulator with a noise model the option `noise` switches it off; a real device is compared with the ideal state.
"""

# ruff: noqa: T201  an example prints
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qiskit import QuantumCircuit

from kyoyo.qiskit import KyoyoService, SamplerV2

SHOTS = 1000


def ghz(width: int) -> QuantumCircuit:
    """All qubits alike, measured."""
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def survival(counts: Mapping[str, int]) -> float:
    """Share of the shots in which all qubits agree."""
    return sum(count for outcome, count in counts.items() if len(set(outcome)) == 1) / sum(counts.values())


def survivals(sampler: Any, widths: range) -> list[float]:
    """Of each width; all of them are one job."""
    result = sampler.run([ghz(width) for width in widths], shots=SHOTS).result()
    return [survival(pub.data.meas.get_counts()) for pub in result]


def main() -> None:
    backend = KyoyoService().least_busy()  # the changed line; for Aer alone: AerSimulator()
    widths = range(2, min(backend.num_qubits, 6) + 1)
    noisy = survivals(SamplerV2(backend), widths)
    quiet = {"noise": False} if backend.device.simulator else {}
    ideal = survivals(SamplerV2(backend, options=quiet), widths) if quiet else [1.0] * len(widths)
    for width, one, other in zip(widths, noisy, ideal, strict=True):
        print(f"{width} qubits: {one:6.1%} as it is, {other:6.1%} without noise")


if __name__ == "__main__":
    main()
