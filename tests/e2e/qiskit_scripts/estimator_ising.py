"""A chain of spins: energy, magnetisation and one correlation after a few Trotter steps."""

from kept import keep
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2

backend = AerSimulator()

SPINS, STEP = 4, 0.3
circuit = QuantumCircuit(SPINS)
circuit.ry(0.6, range(SPINS))
for _ in range(3):
    for spin in range(SPINS - 1):
        circuit.rzz(2 * STEP, spin, spin + 1)
    circuit.rx(2 * 0.8 * STEP, range(SPINS))

bonds = [("ZZ", [spin, spin + 1], -1.0) for spin in range(SPINS - 1)]
field = [("X", [spin], -0.8) for spin in range(SPINS)]
energy = SparsePauliOp.from_sparse_list(bonds + field, num_qubits=SPINS)
magnet = SparsePauliOp.from_sparse_list([("Z", [spin], 1 / SPINS) for spin in range(SPINS)], num_qubits=SPINS)
isa = transpile(circuit, backend)
observables = [each.apply_layout(isa.layout) for each in (energy, magnet, SparsePauliOp("YIIY"))]
data = EstimatorV2(mode=backend).run([(isa, observables)], precision=0.02).result()[0].data
keep(evs=data.evs, stds=data.stds)
