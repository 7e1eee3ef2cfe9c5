#!/usr/bin/env python3
"""The ground state of H2 by a variational circuit. Needs: pip install "kyoyo[qiskit]".

As a function of one angle the energy is a + b cos(t) + c sin(t), so three values tell its minimum (Rotosolve). They are
one PUB with three bindings: one job, and one price, for each angle of each sweep. H2 at 0.735 Å on two qubits.
"""

# ruff: noqa: T201  an example prints
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from kyoyo.qiskit import EstimatorV2, KyoyoService

EXACT = -1.857275
SWEEPS = 2
PRECISION = 0.025
HYDROGEN = SparsePauliOp.from_list(
    [
        ("II", -1.052373245772859),
        ("IZ", 0.39793742484318045),
        ("ZI", -0.39793742484318045),
        ("ZZ", -0.01128010425623538),
        ("XX", 0.18093119978423156),
    ]
)


def ansatz() -> QuantumCircuit:
    """One electron, on either atom; the second angle leaves that subspace, and ends near 0."""
    angles = ParameterVector("t", 2)
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.ry(angles[0], 1)
    circuit.cx(1, 0)
    circuit.ry(angles[1], 0)
    return circuit


def lowest(here: float, values: Sequence[float]) -> float:
    """Where a sinusoid is lowest that has these values at t, t + π/2 and t - π/2."""
    at, after, before = values
    turned = math.atan2(2 * at - after - before, after - before)
    return math.remainder(here - math.pi / 2 - turned, 2 * math.pi)


def minimise(estimator: Any) -> tuple[list[float], float]:
    """The angles, and the energy there."""
    circuit, angles = ansatz(), [0.8, 0.5]
    for sweep in range(SWEEPS):
        for place in range(len(angles)):
            tried = [list(angles) for _ in range(3)]
            tried[1][place] += math.pi / 2
            tried[2][place] -= math.pi / 2
            job = estimator.run([(circuit, HYDROGEN, tried)], precision=PRECISION)
            angles[place] = lowest(angles[place], job.result()[0].data.evs)
            print(f"sweep {sweep}: angles {[round(angle, 3) for angle in angles]}")
    job = estimator.run([(circuit, HYDROGEN, angles)], precision=PRECISION)
    return angles, float(job.result()[0].data.evs)


def main() -> None:
    backend = KyoyoService().least_busy()  # the changed line; for Aer alone: AerSimulator()
    _, energy = minimise(EstimatorV2(backend))
    print(f"energy {energy:.4f} Hartree, exactly {EXACT}")


if __name__ == "__main__":
    main()
