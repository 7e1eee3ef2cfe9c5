"""OpenQASM 3 text to its tree. Of Qiskit nothing is loaded here."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from openqasm3 import ast, parse

from hpc_adapters.workloads.circuit_refusals import CircuitRefused


def parse_program(text: str) -> ast.Program:
    """CircuitRefused('malformed-program' | 'nesting-too-deep')."""
    said = io.StringIO()  # the parser complains to stderr, with as much of the program as it likes
    try:
        with redirect_stderr(said):
            return parse(text)
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except Exception as error:
        message = (str(error) or said.getvalue() or type(error).__name__)[:300]
        raise CircuitRefused("malformed-program", message=message) from error
