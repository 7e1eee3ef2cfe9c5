"""A Bell pair by the runtime library's Sampler."""

from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import SamplerV2

backend = AerSimulator()

circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.measure_all()

job = SamplerV2(mode=backend).run([transpile(circuit, backend)], shots=4000)
keep(counts=[job.result()[0].data.meas.get_counts()])
