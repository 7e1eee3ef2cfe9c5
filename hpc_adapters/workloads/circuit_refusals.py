"""Why a quantum program was not run: one class, and every code with its meaning."""

from __future__ import annotations

from hpc_adapters.pubs import ProgramRefused

CODES = {
    "program-too-large": "more bytes than allowed",
    "not-utf-8": "not UTF-8 text",
    "control-characters": "holds NUL or other control characters",
    "not-openqasm-3": "does not begin with 'OPENQASM 3;'",
    "unknown-format": "neither OpenQASM 2 or 3 nor a document of PUBs",
    "malformed-document": "not a document of PUBs as it is defined",
    "invalid-shots": "a number of shots that is not taken",
    "shapes-differ": "parameters and observables whose shapes do not fit together",
    "too-many-circuits": "more circuits than allowed in one document",
    "too-many-pubs": "more PUBs than allowed in one document",
    "too-many-parameters": "more parameters or values than allowed",
    "too-many-bindings": "more sets of parameters and observables than allowed",
    "too-many-observables": "more Pauli strings than allowed",
    "too-many-executions": "more executions than allowed",
    "executions-differ": "another number of executions than was declared with it",
    "parameters-differ": "the parameters of the circuit are not those that have values",
    "observable-too-wide": "an observable that is not as wide as its circuit",
    "unsupported-qpy-version": "QPY of a version that is not taken",
    "malformed-qpy": "not a QPY file as it is defined",
    "unsafe-qpy": "QPY that holds more than standard gates and parameters",
    "nesting-too-deep": "brackets, blocks, expressions or gate definitions nest deeper than allowed",
    "malformed-program": "not a valid program of its language",
    "include-not-allowed": "includes another file than stdgates.inc",
    "unsupported-statement": "uses a part of the language that this device cannot run",
    "unbounded-loop": "a loop whose number of turns is not a constant of the program",
    "unknown-gate": "calls a gate that is not defined before the call",
    "recursive-gate": "a gate that calls itself",
    "number-too-large": "an integer of more than 64 bits",
    "too-many-controls": "a gate with more control qubits than allowed",
    "too-many-qubits": "more qubits than the device has",
    "too-many-bits": "more classical bits than allowed",
    "too-many-operations": "more operations than allowed, every loop and gate definition written out",
    "too-much-memory": "its state vector does not fit into the device's memory",
    "cannot-translate": "cannot be translated to the device's gates",
    "no-measurement": "measures nothing, so there is nothing to count",
    "result-too-large": "its counts do not fit into a result",
    "unsuitable-method": "a method of simulation that cannot run it, or that the device does not have",
    "no-gpu": "the simulator has no GPU here; the program is not to blame",
    "qpu-cap-too-small": "needs more QPU time than it may use",
    "qpu-cap-reached": "was ended because it had used the QPU time that it may use",
    "session-over": "its session is not open",
    "device-failed": "the device failed; the program is not to blame",
}

DEVICE_CODES = frozenset({"device-failed", "no-gpu"})
"""Our side's fault: it costs nothing."""


class CircuitRefused(ProgramRefused):
    """The program will not be run, or its run has no result. `facts` are numbers and short names."""

    def __init__(self, code: str, **facts: str | int) -> None:
        if code not in CODES:
            raise ValueError(code)
        super().__init__(code, **facts)
