"""The gradient of an energy by parameter shifts: all shifts are bindings of one parametrised circuit."""

import numpy as np
from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2

backend = AerSimulator()

angles = ParameterVector("t", 6)
circuit = QuantumCircuit(3)
for qubit in range(3):
    circuit.ry(angles[qubit], qubit)
circuit.cx(0, 1)
circuit.cx(1, 2)
for qubit in range(3):
    circuit.rx(angles[3 + qubit], qubit)

energy = SparsePauliOp.from_list([("ZZI", 0.7), ("IZZ", -0.4), ("XII", 0.3), ("IYI", 0.2), ("III", -1.0)])
here = np.linspace(0.1, 1.6, 6)
shifts = np.concatenate([np.eye(6), -np.eye(6)]) * np.pi / 2
isa = transpile(circuit, backend)
data = EstimatorV2(mode=backend).run([(isa, energy, here + shifts)], precision=0.02).result()[0].data
keep(evs=(data.evs[:6] - data.evs[6:]) / 2, stds=np.hypot(data.stds[:6], data.stds[6:]) / 2)
