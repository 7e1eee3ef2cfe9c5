"""qiskit-aer behind the port: a simulated device that runs OpenQASM 3 in confined processes."""
