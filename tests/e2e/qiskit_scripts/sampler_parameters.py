"""A parametrised circuit, swept over a grid of two angles."""

import numpy as np
from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import SamplerV2

backend = AerSimulator()

theta, phi = Parameter("theta"), Parameter("phi")
circuit = QuantumCircuit(2)
circuit.ry(theta, 0)
circuit.cx(0, 1)
circuit.rx(phi, 1)
circuit.measure_all()

grid = np.stack(np.meshgrid(np.linspace(0.2, 2.8, 3), np.linspace(0.1, 1.3, 2)), axis=-1)
bits = SamplerV2(mode=backend).run([(transpile(circuit, backend), grid, 2000)]).result()[0].data.meas
keep(counts=[bits[place].get_counts() for place in np.ndindex(bits.shape)])
