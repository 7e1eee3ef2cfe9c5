"""A measurement in the middle whose outcome decides what comes next: teleportation."""

from kept import keep
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import SamplerV2

backend = AerSimulator()

qubits = QuantumRegister(3, "q")
z, x, out = ClassicalRegister(1, "z"), ClassicalRegister(1, "x"), ClassicalRegister(1, "out")
circuit = QuantumCircuit(qubits, z, x, out)
circuit.ry(0.9, 0)
circuit.h(1)
circuit.cx(1, 2)
circuit.cx(0, 1)
circuit.h(0)
circuit.measure(0, z)
circuit.measure(1, x)
with circuit.if_test((x, 1)):
    circuit.x(2)
with circuit.if_test((z, 1)):
    circuit.z(2)
circuit.measure(2, out)

data = SamplerV2(mode=backend).run([transpile(circuit, backend)], shots=4000).result()[0].data
keep(counts=[data.out.get_counts(), data.z.get_counts()])
