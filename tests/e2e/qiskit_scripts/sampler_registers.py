"""Two named registers, and what they say together."""

from kept import keep
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import SamplerV2

backend = AerSimulator()

alice, bob = QuantumRegister(3, "alice"), QuantumRegister(3, "bob")
left, right = ClassicalRegister(3, "left"), ClassicalRegister(3, "right")
circuit = QuantumCircuit(alice, bob, left, right)
circuit.ry(1.1, alice[0])
for one, other in zip(
    [alice[0], alice[1], alice[2], bob[0], bob[1]], [alice[1], alice[2], bob[0], bob[1], bob[2]], strict=True
):
    circuit.cx(one, other)
circuit.rx(0.4, bob[2])
circuit.measure(alice, left)
circuit.measure(bob, right)

data = SamplerV2(mode=backend).run([transpile(circuit, backend)], shots=4000).result()[0]
keep(counts=[data.data.left.get_counts(), data.data.right.get_counts(), data.join_data().get_counts()])
