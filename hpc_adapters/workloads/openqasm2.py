"""OpenQASM 2 looked at as a stream of words before Qiskit parses it: what would be huge or deep is refused here.

The parser itself is strict (`qiskit.qasm2`, no files but its own qelib1.inc, no classical functions of anybody's), but
it makes a register as large as it is told, and it recurses over expressions. Standard library only.
"""

from __future__ import annotations

import re
from typing import Final

from hpc_adapters.workloads.circuit_refusals import CircuitRefused

INCLUDE: Final = "qelib1.inc"
_WORD: Final = re.compile(
    r'//[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|->|==|\S', re.ASCII
)
_OPERATORS: Final = frozenset("+-*/^")
_MAX_OPERATORS: Final = 200  # of one statement: an expression is evaluated by recursion
_DIGITS: Final = 18  # of an integer, so that 64 bits hold it


def check_openqasm2(text: str, *, qubits: int, bits: int) -> None:
    """CircuitRefused: it declares more than `qubits` or `bits`, includes a file, or nests too deeply."""
    sizes = {"qreg": 0, "creg": 0}
    limits = {"qreg": (qubits, "too-many-qubits"), "creg": (bits, "too-many-bits")}
    before: list[str] = []  # words of this statement, the last three
    operators = 0
    for found in _WORD.finditer(text):
        word = found[0]
        if word.startswith("//"):
            continue
        _check_word(word)
        if word in _OPERATORS:
            operators += 1
            if operators > _MAX_OPERATORS:
                raise CircuitRefused("nesting-too-deep", depth=operators, max_depth=_MAX_OPERATORS)
        elif word in {";", "{", "}"}:
            before, operators = [], 0
            continue
        elif before and before[0] in sizes and before[-1] == "[" and word.isdigit():
            kind = before[0]
            sizes[kind] += int(word)
            limit, code = limits[kind]
            if sizes[kind] > limit:
                raise CircuitRefused(code, asked=sizes[kind], limit=limit)
        before = [*before[:1], word]


def _check_word(word: str) -> None:
    if word.startswith('"') and word != f'"{INCLUDE}"':
        raise CircuitRefused("include-not-allowed", allowed=INCLUDE)
    if word.isdigit() and len(word) > _DIGITS:
        raise CircuitRefused("number-too-large", bits=len(word) * 10 // 3, max_bits=64)
