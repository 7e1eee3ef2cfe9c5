"""CHSH by the runtime library's Estimator: two observables over a sweep of one angle."""

import numpy as np
from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2

backend = AerSimulator()

theta = Parameter("theta")
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.ry(theta, 0)

one = SparsePauliOp.from_list([("ZZ", 1), ("ZX", -1), ("XZ", 1), ("XX", 1)])
other = SparsePauliOp.from_list([("ZZ", 1), ("ZX", 1), ("XZ", -1), ("XX", 1)])
angles = [[angle] for angle in np.linspace(0, 2 * np.pi, 9)]
isa = transpile(circuit, backend)
data = EstimatorV2(mode=backend).run([(isa, [[one], [other]], angles)], precision=0.03).result()[0].data
keep(evs=data.evs, stds=data.stds)
