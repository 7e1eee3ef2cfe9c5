"""A circuit in any of its three forms to Qiskit's object and its size. Never outside a confined process.

Whatever can be known before Qiskit sees the program is checked before: the tree of OpenQASM 3, the words of OpenQASM 2,
the bytes of QPY.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from dataclasses import dataclass

from openqasm3 import ast
from qiskit import QuantumCircuit, qasm2, qpy
from qiskit_qasm3_import import convert

from hpc_adapters.pubs import CircuitFormat, CircuitText
from hpc_adapters.workloads.circuit_limits import Limits, Size, measure_program
from hpc_adapters.workloads.circuit_measure import measure_circuit
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.openqasm2 import check_openqasm2
from hpc_adapters.workloads.program_parsing import parse_program
from hpc_adapters.workloads.program_text import check_circuit
from hpc_adapters.workloads.qpy_check import QpyLimits, check_qpy


@dataclass(frozen=True, slots=True)
class Read:
    """A circuit within its limits."""

    circuit: QuantumCircuit
    size: Size


def read_circuit(written: CircuitText, limits: Limits) -> Read:
    """CircuitRefused."""
    match written.format:
        case CircuitFormat.OPENQASM3:
            return _openqasm3(check_circuit(written.text, "3"), limits)
        case CircuitFormat.OPENQASM2:
            return _openqasm2(check_circuit(written.text, "2"), limits)
        case CircuitFormat.QPY:
            return _qpy(written.text, limits)


def _openqasm3(text: str, limits: Limits) -> Read:
    tree = parse_program(text)
    return read_tree(tree, measure_program(tree, limits))


def read_tree(tree: ast.Program, size: Size) -> Read:
    """Of OpenQASM 3. The importer is given the tree that was measured, not the text again. CircuitRefused."""
    try:
        circuit = convert(tree)
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except Exception as error:
        raise CircuitRefused("malformed-program", message=plain(error)) from error
    return Read(circuit, size)


def _openqasm2(text: str, limits: Limits) -> Read:
    check_openqasm2(text, qubits=limits.qubits, bits=limits.bits)
    try:
        circuit = qasm2.loads(text, include_path=(), custom_instructions=(), custom_classical=(), strict=True)
        return Read(circuit, measure_circuit(circuit, limits))
    except (CircuitRefused, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # a panic in Rust code is no Exception
        raise CircuitRefused("malformed-program", message=plain(error)) from error


def _qpy(text: str, limits: Limits) -> Read:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CircuitRefused("malformed-qpy", at_byte=0) from error
    check_qpy(data, QpyLimits(qubits=limits.qubits, bits=limits.bits, operations=limits.operations))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a newer Qiskit that wrote it
            [circuit] = qpy.load(io.BytesIO(data))
        return Read(circuit, measure_circuit(circuit, limits))
    except (CircuitRefused, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # see above
        raise CircuitRefused("malformed-qpy", message=plain(error)) from error


def plain(said: object) -> str:
    """A short printable piece of what a library said."""
    return "".join(c if c.isprintable() else " " for c in str(said)[:300])
