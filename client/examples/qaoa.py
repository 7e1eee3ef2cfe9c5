#!/usr/bin/env python3
"""The largest cut of a ring by QAOA of depth 1. Needs: pip install "kyoyo[qiskit]".

All pairs of angles are bindings of one parametrised circuit: one PUB, one job. The best pair is run again, with more
shots.
"""

# ruff: noqa: T201  an example prints
from __future__ import annotations

import itertools
import math
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from kyoyo.qiskit import KyoyoService, SamplerV2

NODES = 5
EDGES = [(node, (node + 1) % NODES) for node in range(NODES)]
LARGEST = 4  # of an odd ring: all edges but one
STEPS = 6


def circuit() -> QuantumCircuit:
    """Depth 1; its parameters in Qiskit's order are beta, gamma."""
    gamma, beta = Parameter("gamma"), Parameter("beta")
    qaoa = QuantumCircuit(NODES)
    qaoa.h(range(NODES))
    for one, other in EDGES:
        qaoa.rzz(gamma, one, other)
    qaoa.rx(2 * beta, range(NODES))
    qaoa.measure_all()
    return qaoa


def cut(outcome: str) -> int:
    """Edges between the two sides of a partition; the last letter is node 0."""
    sides = outcome[::-1]
    return sum(sides[one] != sides[other] for one, other in EDGES)


def mean_cut(counts: dict[str, int]) -> float:
    """Over all shots."""
    return sum(cut(outcome) * count for outcome, count in counts.items()) / sum(counts.values())


def solve(sampler: Any) -> tuple[str, float]:
    """The best partition seen, and the mean cut at the best angles."""
    angles = [math.pi * step / STEPS for step in range(1, STEPS)]
    grid = [[beta / 2, gamma] for beta, gamma in itertools.product(angles, angles)]
    bits = sampler.run([(circuit(), grid)], shots=200).result()[0].data.meas
    best = max(range(len(grid)), key=lambda place: mean_cut(bits[place].get_counts()))
    counts = sampler.run([(circuit(), grid[best])], shots=2000).result()[0].data.meas.get_counts()
    return max(counts, key=cut), mean_cut(counts)


def main() -> None:
    backend = KyoyoService().least_busy()  # the changed line; for Aer alone: AerSimulator()
    partition, mean = solve(SamplerV2(backend))
    print(f"partition {partition} cuts {cut(partition)} of {len(EDGES)} edges, at most {LARGEST}; mean {mean:.2f}")


if __name__ == "__main__":
    main()
