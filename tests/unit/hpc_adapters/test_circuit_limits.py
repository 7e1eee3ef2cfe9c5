"""What a program would unfold into, known without unfolding it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_adapters.workloads.circuit_refusals import CircuitRefused

pytestmark = pytest.mark.quantum

Measure = Callable[[str], int]
HEAD = 'OPENQASM 3.0; include "stdgates.inc"; qubit[4] q; bit[4] c;\n'
END = "c = measure q;"


@pytest.fixture(scope="module")
def operations() -> Measure:
    """Operations of a program with a usual head and end, without the four measurements."""
    from hpc_adapters.workloads.circuit_limits import Limits, measure_program  # noqa: PLC0415  an optional part
    from hpc_adapters.workloads.run_circuit import parse_program  # noqa: PLC0415  see above

    limits = Limits(qubits=8, memory_mb=1, operations=1000)

    def measure(body: str) -> int:
        program = body if body.startswith("OPENQASM") else HEAD + body + END
        return measure_program(parse_program(program), limits).operations - 4

    return measure


COUNTED = {
    "a gate": ("h q[0];", 1),
    "a gate on a register": ("h q;", 4),
    "a gate on some": ("h q[{0, 2}];", 2),
    "a loop, bounds inclusive": ("for int i in [1:10] { h q[0]; }", 20),
    "a loop with a stride": ("for int i in [0:2:9] { h q[0]; }", 10),
    "a loop downward": ("for int i in [9:-1:0] { h q[0]; }", 20),
    "a loop over a set": ("for int i in {1, 5, 7} { h q[0]; }", 6),
    "a loop of nothing": ("for int i in [5:1] { h q[0]; }", 0),
    "nested loops": ("for int i in [1:3] { for int j in [1:3] { h q[0]; } }", 21),
    "an own gate": ("gate g a { h a; x a; } g q[1];", 2),
    "gates of gates": ("gate g a { h a; x a; } gate f a, b { g a; g b; } f q[0], q[1];", 4),
    "a power": ("pow(5) @ x q[0];", 5),
    "an inverse": ("inv @ s q[0];", 1),
    "a control": ("ctrl @ x q[0], q[1];", 20),
    "both branches": ("if (c[0]) { h q[0]; } else { x q[0]; y q[0]; }", 4),
    "a constant of literals": ("for int i in [2*3-1:10] { h q[0]; }", 12),
}


@pytest.mark.parametrize(("body", "expected"), COUNTED.values(), ids=COUNTED.keys())
def test_operations_are_counted_as_if_written_out(operations: Measure, body: str, expected: int) -> None:
    assert operations(body) == expected


DOUBLING = "gate g0 a { h a; h a; }" + "".join(f"gate g{n} a {{ g{n - 1} a; g{n - 1} a; }}" for n in range(1, 31))
CHAIN = "gate g0 a { h a; }" + "".join(f"gate g{n} a {{ g{n - 1} a; }}" for n in range(1, 40))
LOOPS = "".join(f"for int i{n} in [1:9] {{" for n in range(12)) + "h q[0];" + "}" * 12
REFUSED = {
    "a loop of 10^9": ("for int i in [1:1000000000] { h q[0]; }", "too-many-operations"),
    "an empty loop of 10^9": ("for int i in [1:1000000000] { }", "too-many-operations"),
    "twelve nested loops": (LOOPS, "too-many-operations"),
    "gates that double": (DOUBLING + "g30 q[0];", "too-many-operations"),
    "gates that double, never called": (DOUBLING, "too-many-operations"),
    "a long chain of gates": (CHAIN + "g39 q[0];", "nesting-too-deep"),
    "a huge power": ("pow(1000000000) @ x q[0];", "too-many-operations"),
    "a huge real power": ("pow(1e300) @ x q[0];", "too-many-operations"),
    "a gate calling itself": ("gate g a { g a; } g q[0];", "recursive-gate"),
    "two gates calling each other": ("gate f a { g a; } gate g a { f a; } g q[0];", "unknown-gate"),
    "five controls": ("ctrl(5) @ x q[0], q[1], q[2], q[3], q[0], q[1];", "too-many-controls"),
    "an endless while": ("while (true) { h q[0]; }", "unbounded-loop"),
    "a loop over a variable": ("for int i in [1:3] { for int j in [1:i] { h q[0]; } }", "malformed-program"),
    "a loop without end": ("for int i in [1:] { h q[0]; }", "unbounded-loop"),
    "a stride of zero": ("for int i in [1:0:5] { h q[0]; }", "unbounded-loop"),
    "a file of the system": ('include "/etc/passwd";', "include-not-allowed"),
    "60 qubits": ("qubit[60] r;", "too-many-qubits"),
    "10^9 qubits": ("qubit[1000000000] r;", "too-many-qubits"),
    "the physical qubit 10^9": ("h $1000000000;", "too-many-qubits"),
    "the physical qubit 8": ("h $8;", "too-many-qubits"),
    "10^9 bits": ("bit[1000000000] r;", "too-many-bits"),
    "a number of 100 digits": (f"rx({'9' * 100}) q[0];", "number-too-large"),
    "a long sum": (f"rx({'+'.join(['1'] * 250)}) q[0];", "nesting-too-deep"),
    "an array": ("array[int[8], 1000000] a;", "unsupported-statement"),
    "a subroutine": ("def f(qubit a) { h a; } f(q[0]);", "unsupported-statement"),
    "a calibration": ("defcal h q { }", "unsupported-statement"),
    "a pragma": ("pragma simulator off\n", "unsupported-statement"),
    "an open parameter": ("input float x;", "unsupported-statement"),
    "no measurement": ("OPENQASM 3; qubit q;", "no-measurement"),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(operations: Measure, body: str, code: str) -> None:
    with pytest.raises(CircuitRefused) as refusal:
        operations(body)
    assert refusal.value.code == code


FRAGMENTS = [
    *("h q;", "cx q[0], q[1:2];", "x $0;", "gate f a { h a; }", "f q[0];", "gate f a, b { cx a, b; f a; }"),
    *("for int i in [0:9] {", "for int i in {1, i} {", "while (c[0]) {", "if (c == 3) {", "} else {", "{", "}", "}"),
    *("pow(-2) @", "ctrl(2) @", "negctrl @", "inv @", "let a = q[0:1] ++ q[2:3];", "a[0] = 1;", "U(1, 2, 3) q;"),
    *("reset q;", "barrier;", "delay[1ns] q;", "box { }", "switch (c) { case 0 { } }", "break;", "end;", "@a b"),
    *("measure q[n];", "qubit[n] r;", "qubit[-1] r;", "bit[0] d;", "bit d = measure q[0];", "const int n = 5;"),
    *("return;", "def s() { }", "extern e(int) -> int;"),
]


STATEMENTS = st.lists(st.sampled_from(FRAGMENTS), max_size=15).map("\n".join)


@st.composite
def one_byte_changed(draw: st.DrawFn) -> str:
    """A good program with a character put in the place of another, or taken out."""
    body = draw(st.sampled_from([body for body, _ in COUNTED.values()]))
    at = draw(st.integers(0, len(body) - 1))
    return body[:at] + draw(st.text(max_size=2)) + body[at + 1 :]


def measured_or_refused(operations: Measure, body: str) -> None:
    try:
        assert operations(body) <= 1000
    except CircuitRefused as refused:
        assert refused.code  # noqa: PT017  either outcome is right


@given(STATEMENTS)
def test_any_statements_are_measured_or_refused_by_name(operations: Measure, body: str) -> None:
    measured_or_refused(operations, body + "\n")


@given(one_byte_changed())
def test_a_program_with_a_byte_changed_is_measured_or_refused_by_name(operations: Measure, body: str) -> None:
    measured_or_refused(operations, body)


@pytest.mark.long
@pytest.mark.timeout(1_800)
@settings(max_examples=20_000)
@given(STATEMENTS | one_byte_changed())
def test_many_programs_are_measured_or_refused_by_name(operations: Measure, body: str) -> None:
    measured_or_refused(operations, body + "\n")
