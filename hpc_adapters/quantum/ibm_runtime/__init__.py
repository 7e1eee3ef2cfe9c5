"""IBM Quantum behind the port, through qiskit-ibm-runtime in a process of its own."""
