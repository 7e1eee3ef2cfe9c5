"""Several circuits in one run, with shots of their own: a Fourier transform of each basis state."""

import math

from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import SamplerV2

backend = AerSimulator()


def there_and_back(start: int) -> QuantumCircuit:
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        if start >> qubit & 1:
            circuit.x(qubit)
    for qubit in reversed(range(3)):
        circuit.h(qubit)
        for control in range(qubit):
            circuit.cp(math.pi / 2 ** (qubit - control), control, qubit)
    circuit.ry(0.7, 1)
    for qubit in range(3):
        for control in reversed(range(qubit)):
            circuit.cp(-math.pi / 2 ** (qubit - control), control, qubit)
        circuit.h(qubit)
    circuit.measure_all()
    return circuit


pubs = [
    (circuit, None, 1000 * (1 + start % 2))
    for start, circuit in enumerate(transpile([there_and_back(start) for start in range(4)], backend))
]
result = SamplerV2(mode=backend).run(pubs).result()
keep(counts=[pub.data.meas.get_counts() for pub in result])
