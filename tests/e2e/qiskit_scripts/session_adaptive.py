"""Estimate a phase bit by bit in a session: what is run next depends on what came before."""

import numpy as np
from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2, SamplerV2, Session

backend = AerSimulator()

PHASE = 0.625  # 0.101 in binary


def kicked(power: int, known: float) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.x(1)
    circuit.h(0)
    circuit.cp(2 * np.pi * PHASE * power, 0, 1)
    circuit.p(-2 * np.pi * known, 0)
    circuit.h(0)
    return circuit


with Session(backend=backend) as session:
    sampler = SamplerV2(mode=session)
    bits, counts = [], []
    for power in (4, 2, 1):
        known = sum(bit / 2 ** (place + 2) for place, bit in enumerate(reversed(bits)))
        circuit = kicked(power, known)
        circuit.measure_all()
        shots = sampler.run([transpile(circuit, backend)], shots=500).result()[0].data.meas
        ones = shots.slice_bits([0]).get_counts().get("1", 0)
        bits.append(int(ones > 250))
        counts.append(shots.get_counts())
    isa = transpile(kicked(1, 0.1), backend)
    data = EstimatorV2(mode=session).run([(isa, SparsePauliOp("IZ"))], precision=0.02).result()[0].data

assert bits == [1, 0, 1], bits
keep(counts=counts, evs=[data.evs], stds=[data.stds])
