"""QPY is walked through before it is loaded: what Qiskit writes of plain circuits is taken, all else is refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.workloads.circuit_refusals import CODES, CircuitRefused
from hpc_adapters.workloads.qpy_check import CONTROL_FLOW, GATES, OTHERS, QpyLimits, check_qpy

pytestmark = pytest.mark.quantum

LIMITS = QpyLimits(qubits=20, bits=64, operations=1_000)
VERSIONS = range(13, 19)


def written(circuit: Any, version: int = 17) -> bytes:
    from qiskit import qpy  # noqa: PLC0415  an optional part

    held = io.BytesIO()
    qpy.dump(circuit, held, version=version)
    return held.getvalue()


def everything() -> Any:
    from qiskit import QuantumCircuit  # noqa: PLC0415  see above
    from qiskit.circuit import Parameter, ParameterVector  # noqa: PLC0415  see above

    a, v = Parameter("a"), ParameterVector("v", 3)
    circuit = QuantumCircuit(3, 3, metadata={"of": "a test"}, global_phase=a)
    circuit.h(0)
    circuit.rx(a, 0)
    circuit.rz((v[1] * 2 + a).sin() ** 2, 1)
    circuit.cx(0, 1, ctrl_state=0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.if_test((circuit.cregs[0], 3)):
        circuit.x(1)
    with circuit.for_loop(range(3), Parameter("i")) as turn:
        circuit.rx(turn, 0)
    with circuit.for_loop((1, 5)):
        circuit.x(0)
    circuit.delay(100, 0, "ns")
    circuit.barrier()
    circuit.reset(2)
    circuit.measure_all()
    return circuit


def translated() -> Any:
    from qiskit import transpile  # noqa: PLC0415  see above
    from qiskit.circuit.library import efficient_su2  # noqa: PLC0415  see above
    from qiskit.transpiler import CouplingMap  # noqa: PLC0415  see above

    line = CouplingMap.from_line(6)
    return transpile(efficient_su2(4, reps=2), basis_gates=["rz", "sx", "x", "cx"], coupling_map=line)


@pytest.mark.parametrize("make", [everything, translated])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_qiskit_writes_is_taken_in_every_version(make: Callable[[], Any], version: int) -> None:
    check_qpy(written(make(), version), LIMITS)


@pytest.mark.parametrize("version", [13, 18])
def test_every_standard_gate_is_taken(version: int) -> None:
    from qiskit import QuantumCircuit  # noqa: PLC0415  see above
    from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping  # noqa: PLC0415  see above

    for gate in get_standard_gate_name_mapping().values():
        circuit = QuantumCircuit(max(1, gate.num_qubits), max(1, gate.num_clbits))
        circuit.append(gate, range(gate.num_qubits), range(gate.num_clbits))
        check_qpy(written(circuit, version), LIMITS)


Step = Callable[[Any], Any]


def of(*steps: Step, qubits: int = 2) -> Callable[[], bytes]:
    """A file of a circuit to which this is done."""

    def make() -> bytes:
        from qiskit import QuantumCircuit  # noqa: PLC0415  see above

        circuit = QuantumCircuit(qubits, 2)
        for step in steps:
            step(circuit)
        return written(circuit)

    return make


def own(circuit: Any) -> None:
    inner = type(circuit)(1, name="own")
    inner.h(0)
    circuit.append(inner.to_gate(), [0])


def matrix(circuit: Any) -> None:
    circuit.unitary([[1, 0], [0, 1]], [0])


def evolution(circuit: Any) -> None:
    from qiskit.circuit.library import PauliEvolutionGate  # noqa: PLC0415  see above
    from qiskit.quantum_info import SparsePauliOp  # noqa: PLC0415  see above

    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX"]), 1.0), [0, 1])


def endless(circuit: Any) -> None:
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.x(0)


def expression(circuit: Any) -> None:
    from qiskit.circuit.classical import expr  # noqa: PLC0415  see above

    with circuit.if_test(expr.logic_not(circuit.clbits[0])):
        circuit.x(0)


def deep(circuit: Any) -> None:
    body = type(circuit)(1)
    body.x(0)
    for _ in range(20):
        outer = type(circuit)(1)
        outer.for_loop(range(2), None, body, [0], [])
        body = outer
    circuit.for_loop(range(2), None, body, [0], [])


def long_sum(circuit: Any) -> None:
    from qiskit.circuit import Parameter  # noqa: PLC0415  see above

    total: Any = Parameter("p0")
    for number in range(1, 300):
        total = total + Parameter(f"p{number}")
    circuit.rx(total, 0)


def vector(circuit: Any) -> None:
    from qiskit.circuit import ParameterVector  # noqa: PLC0415  see above

    circuit.rx(ParameterVector("v", 10**6)[5], 0)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a gate of its own": (of(own), "unsafe-qpy"),
    "a matrix": (of(matrix), "unsafe-qpy"),
    "an evolution": (of(evolution), "unsafe-qpy"),
    "an initial state": (of(lambda c: c.initialize([1, 0], 0)), "unsafe-qpy"),
    "a controlled gate of any size": (of(lambda c: c.mcp(0.1, [0, 1, 2, 3, 4], 5), qubits=6), "unsafe-qpy"),
    "a variable": (of(lambda c: c.add_var("x", True)), "unsupported-statement"),  # noqa: FBT003  its own form
    "an endless loop": (of(endless), "unsafe-qpy"),
    "an expression as a condition": (of(expression), "unsafe-qpy"),
    "21 nested loops": (of(deep), "nesting-too-deep"),
    "a sum of 300": (of(long_sum), "nesting-too-deep"),
    "a vector of 10^6": (of(vector), "too-many-parameters"),
    "21 qubits": (of(qubits=21), "too-many-qubits"),
    "1001 operations": (of(*[lambda c: c.h(0)] * 1001), "too-many-operations"),
    "a version of the past": (lambda: b"QISKIT\x0c" + b"\0" * 40, "unsupported-qpy-version"),
    "a version of the future": (lambda: b"QISKIT\x13" + b"\0" * 40, "unsupported-qpy-version"),
    "another file": (lambda: b"\x80\x04\x95pickle", "malformed-qpy"),
    "nothing": (lambda: b"", "malformed-qpy"),
    "something behind it": (lambda: written(translated()) + b"x", "malformed-qpy"),
    "two circuits": (lambda: written([translated(), translated()]), "malformed-qpy"),
    "10^18 instructions": (lambda: _with_instructions(10**18), "malformed-qpy"),
}


def _with_instructions(number: int) -> bytes:
    """A file that says that it has so many, and has none."""
    from qiskit import QuantumCircuit  # noqa: PLC0415  see above

    data = bytearray(written(QuantumCircuit(1), 13))
    at = 19 + 1 + struct.calcsize("!H1cHIIQI")  # behind the file's header and the fields before it
    data[at : at + 8] = struct.pack("!Q", number)
    return bytes(data)


@pytest.mark.parametrize(("make", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refused_by_name(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(CircuitRefused) as refused:
        check_qpy(make(), LIMITS)
    assert refused.value.code == code


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    return [written(everything(), version) for version in (13, 16, 18)]


@given(st.integers(0, 2), st.integers(0, 2_000), st.binary(max_size=4), st.integers(0, 4))
def test_a_file_with_bytes_changed_is_taken_or_refused_by_name(
    seeds: list[bytes], which: int, at: int, put: bytes, taken: int
) -> None:
    at %= len(seeds[which])
    try:
        check_qpy(seeds[which][:at] + put + seeds[which][at + taken :], LIMITS)
    except CircuitRefused as refused:
        assert refused.code in CODES  # noqa: PT017  either outcome is right


def test_the_names_are_those_of_qiskit() -> None:
    from qiskit import circuit  # noqa: PLC0415  see above
    from qiskit.circuit import library  # noqa: PLC0415  see above

    assert all(hasattr(library, name) for name in GATES)
    assert all(hasattr(circuit, name) for name in OTHERS | CONTROL_FLOW)
