"""OpenQASM 2: refused before it is parsed where it would be huge or deep, measured without being written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.pubs import CircuitFormat, CircuitText
from hpc_adapters.workloads.circuit_refusals import CODES, CircuitRefused
from hpc_adapters.workloads.openqasm2 import check_openqasm2

pytestmark = pytest.mark.quantum

HEAD = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[4];\ncreg c[4];\n'
END = "measure q -> c;\n"
DOUBLING = "gate g0 a { h a; h a; }" + "".join(f"gate g{n} a {{ g{n - 1} a; g{n - 1} a; }}" for n in range(1, 31))
CHAIN = "gate g0 a { h a; }" + "".join(f"gate g{n} a {{ g{n - 1} a; }}" for n in range(1, 40))


@pytest.fixture(scope="module")
def read() -> Callable[[str], Any]:
    from hpc_adapters.workloads.circuit_limits import Limits  # noqa: PLC0415  an optional part
    from hpc_adapters.workloads.circuit_reading import read_circuit  # noqa: PLC0415  see above

    limits = Limits(qubits=8, memory_mb=1, operations=1_000)
    return lambda body: read_circuit(CircuitText(CircuitFormat.OPENQASM2, body), limits)


@pytest.mark.parametrize(
    ("body", "operations"),
    [
        ("h q[0];", 1),
        ("h q;", 4),
        ("cx q[0],q[1]; u3(pi/2,-0.1,sin(2)) q[2];", 2),
        ("gate own(t) a,b { cx a,b; rz(t/2) b; } own(0.3) q[0],q[1]; own(1) q[1],q[2];", 4),
        ("if(c==3) x q[0];", 2),
        ("barrier q; reset q[1];", 2),
        ("// qreg huge[1000000000];\nh q[0];", 1),
    ],
)
def test_a_program_is_read_and_measured(read: Callable[[str], Any], body: str, operations: int) -> None:
    done = read(HEAD + body + END)
    assert (done.size.qubits, done.size.bits, done.size.operations) == (4, 4, operations + 4)


REFUSED = {
    "10^9 qubits": ("qreg r[1000000000];", "too-many-qubits"),
    "a number of 30 digits": (f"qreg r[{'9' * 30}];", "number-too-large"),
    "qubits in pieces": ("qreg r[3]; qreg s[3];", "too-many-qubits"),
    "10^9 bits": ("creg r[1000000000];", "too-many-bits"),
    "a size on its own line": ("qreg // [1]\n r // [1]\n [ 1000000000 ];", "too-many-qubits"),
    "a file of the system": ('include "/etc/passwd";', "include-not-allowed"),
    "a file that hides a declaration": ('include "a//b"; qreg r[1000000000];', "include-not-allowed"),
    "a chain of minus signs": (f"rx({'-' * 50_000}1) q[0];", "nesting-too-deep"),
    "a long power": (f"rx({'1^' * 50_000}1) q[0];", "nesting-too-deep"),
    "gates that double": (DOUBLING + "g30 q[0];", "too-many-operations"),
    "a long chain of gates": (CHAIN + "g39 q[0];", "nesting-too-deep"),
    "an opaque gate": ("opaque o a; o q[0];", "unknown-gate"),
    "a gate that calls itself": ("gate g a { g a; } g q[0];", "malformed-program"),
    "a gate of nobody": ("nogate q[0];", "malformed-program"),
    "a division by zero": ("rx(1/0) q[0];", "malformed-program"),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_name(read: Callable[[str], Any], body: str, code: str) -> None:
    with pytest.raises(CircuitRefused) as refused:
        read(HEAD + body + END)
    assert refused.value.code == code


def test_a_program_that_measures_nothing_is_refused(read: Callable[[str], Any]) -> None:
    with pytest.raises(CircuitRefused) as refused:
        read(HEAD + "h q;")
    assert refused.value.code == "no-measurement"


@given(st.text(alphabet='qcreg[]{}();,->"/= \n0123456789abz', max_size=200))
def test_any_words_are_taken_or_refused_by_name(body: str) -> None:
    try:
        check_openqasm2(HEAD + body, qubits=8, bits=64)
    except CircuitRefused as refused:
        assert refused.code in CODES  # noqa: PT017  either outcome is right
