"""A batch: the same walk at several depths, all sent before the first is read."""

from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import Batch, SamplerV2

backend = AerSimulator()


def walk(depth: int) -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    for step in range(depth):
        circuit.ry(0.5 + 0.1 * step, range(3))
        circuit.cz(0, 1)
        circuit.cx(1, 2)
    circuit.measure_all()
    return circuit


with Batch(backend=backend) as batch:
    sampler = SamplerV2(mode=batch)
    jobs = [sampler.run([transpile(walk(depth), backend)], shots=2000) for depth in (1, 3, 5)]
    keep(counts=[job.result()[0].data.meas.get_counts() for job in jobs])
