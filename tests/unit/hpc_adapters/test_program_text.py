"""What a server may say of a program without parsing it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.pubs import ProgramRefused
from hpc_adapters.workloads.program_text import MAX_BYTES, check_text

REFUSED = {
    "too large": (b"OPENQASM 3;" + b" " * MAX_BYTES, "program-too-large"),
    "latin-1": (b"OPENQASM 3; // caf\xe9", "not-utf-8"),
    "cut in a character": ("OPENQASM 3; // 量子".encode()[:-1], "not-utf-8"),
    "NUL": (b"OPENQASM 3;\x00qubit q;", "control-characters"),
    "escape": (b"OPENQASM 3;\x1b[2J", "control-characters"),
    "empty": (b"", "not-openqasm-3"),
    "no version": (b"qubit q;", "not-openqasm-3"),
    "version 2": (b"OPENQASM 2.0;", "not-openqasm-3"),
    "version 30": (b"OPENQASM 30;", "not-openqasm-3"),
    "only an open comment": (b"/* OPENQASM 3;", "not-openqasm-3"),
    "only a comment": (b"// OPENQASM 3;", "not-openqasm-3"),
    "deep parentheses": (b"OPENQASM 3; x" + b"(" * 33, "nesting-too-deep"),
    "deep blocks": (b"OPENQASM 3;" + b"{" * 33 + b"}" * 33, "nesting-too-deep"),
}


@pytest.mark.parametrize(("program", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(program: bytes, code: str) -> None:
    with pytest.raises(ProgramRefused) as refusal:
        check_text(program)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "program",
    [
        b"OPENQASM 3;",
        b"OPENQASM 3.0;\r\nqubit q;",
        b"\n// a comment\n/* and\n another */ OPENQASM\t3.1 ;",
        b"/**/OPENQASM 3;" + b"()" * 1000,
        "OPENQASM 3; // 量子回路".encode(),
    ],
)
def test_taken_as_it_is(program: bytes) -> None:
    assert check_text(program) == program.decode()


@given(st.binary(max_size=300) | st.text(alphabet="/*\n OPENQASM3.0;{}()", max_size=300).map(str.encode))
def test_any_bytes_are_taken_or_refused_by_name(program: bytes) -> None:
    try:
        assert check_text(program).encode() == program
    except ProgramRefused as refused:
        assert refused.code  # noqa: PT017  either outcome is right
