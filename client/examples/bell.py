#!/usr/bin/env python3
"""Two entangled qubits: half of the shots read 00, the other half 11. Needs: pip install "kyoyo[qiskit]".

The changed line is marked; for Aer alone it was: backend = AerSimulator(), with SamplerV2 of qiskit_aer.primitives.
"""

# ruff: noqa: T201  an example prints
from __future__ import annotations

from qiskit import QuantumCircuit

from kyoyo.qiskit import KyoyoService, SamplerV2

SHOTS = 1000


def circuit() -> QuantumCircuit:
    """The Bell state, measured."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    return bell


def main() -> None:
    backend = KyoyoService().least_busy()  # the changed line
    job = SamplerV2(backend).run([circuit()], shots=SHOTS)
    counts = job.result()[0].data.meas.get_counts()
    print(f"job {job.job_id()} on {backend.name}: {dict(sorted(counts.items()))}")
    print(f"used {dict(job.usage())}, at most ¥{job.cost().quote_yen}")


if __name__ == "__main__":
    main()
