"""`python -m hpc_adapters.workloads.portable_circuits JOB PROGRAM`: check a program, and write what a vendor is to run.

For vendors that take OpenQASM 3 and translate it themselves. Runs confined, as a job. JOB is `PortableJob` as JSON.
The outcome goes to `result.json`: {"runs": [...], "pubs": [...], "qubits", "operations", "plain"}, or an error as
`run_circuit` leaves it. A run is one program of the vendor's: {"pub", "element", "kind": "sampling" | "estimation",
"program": OpenQASM 3 text, "shots", "registers": [[name, bits], ...] in the order of declaration, "operators":
[[Pauli string over qubits "X 0 Z 1", coefficient], ...], "constant": the part of the operator that is the identity}.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from openqasm3 import ast

from hpc_adapters.programs import Format, ProgramRefused, document_of, format_of, text_of
from hpc_adapters.pubs import MAX_NAMES
from hpc_adapters.workloads.circuit_limits import Limits, measure_program
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.process import leave, load_no_vendor, tell
from hpc_adapters.workloads.program_parsing import parse_program
from hpc_adapters.workloads.program_text import check_circuit

_USER_ERROR, _OUR_ERROR = os.EX_DATAERR, os.EX_SOFTWARE
_RECURSION = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PortableJob:
    """What the adapter tells the program. `shots`: of a plain text; `max_runs`: programs of the vendor's, at most."""

    qubits: int
    shots: int
    max_operations: int
    max_runs: int
    result_bytes: int


def main(arguments: list[str]) -> int:
    job = PortableJob(**json.loads(Path(arguments[0]).read_bytes()))
    sys.setrecursionlimit(_RECURSION)
    try:
        leave(_plan(job, Path(arguments[1]).read_bytes()), max_bytes=job.result_bytes)
    except (CircuitRefused, ProgramRefused) as refused:
        tell("refused", code=refused.code, **refused.facts)
        leave({"error": {"code": refused.code, "facts": refused.facts}}, max_bytes=job.result_bytes)
        return _OUR_ERROR if refused.code == "device-failed" else _USER_ERROR
    return 0


def _plan(job: PortableJob, program: bytes) -> dict[str, Any]:
    limits = Limits(qubits=job.qubits, memory_mb=None, operations=job.max_operations, parameters=MAX_NAMES)
    try:
        if format_of(program) is Format.OPENQASM3:
            plan = _text(job, limits, program)
        else:
            plan = _with_qiskit(job, limits, program)
    except (CircuitRefused, ProgramRefused, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError as error:
        raise CircuitRefused("too-many-operations", max_operations=job.max_operations) from error
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # a panic in Rust code is no Exception
        raise CircuitRefused("device-failed", message=type(error).__name__) from error
    tell("checked", runs=len(plan["runs"]), qubits=plan["qubits"])
    return plan | {"program_sha256": sha256(program).hexdigest()}


def _text(job: PortableJob, limits: Limits, program: bytes) -> dict[str, Any]:
    """One text is handed on as it is: the vendor reads what was measured here."""
    text = check_circuit(text_of(program), "3")
    tree = parse_program(text)
    size = measure_program(tree, replace(limits, parameters=0))
    run = {"pub": 0, "element": 0, "kind": "sampling", "program": text, "shots": job.shots}
    run |= {"registers": _registers(tree), "operators": [], "constant": 0.0}
    return {"runs": [run], "pubs": [], "qubits": size.qubits, "operations": size.operations, "plain": True}


def _registers(tree: ast.Program) -> list[tuple[str, int]]:
    """Classical registers with their widths; those whose width is an expression are left to the vendor's answer."""
    found: list[tuple[str, int]] = []
    for statement in tree.statements:
        match statement:
            case ast.ClassicalDeclaration(type=ast.BitType(size=None), identifier=named):
                found.append((named.name, 1))
            case ast.ClassicalDeclaration(type=ast.BitType(size=ast.IntegerLiteral(value=width)), identifier=named):
                found.append((named.name, width))
            case ast.ClassicalDeclaration():
                return []
            case _:
                continue
    return found


def _with_qiskit(job: PortableJob, limits: Limits, program: bytes) -> dict[str, Any]:
    from hpc_adapters.workloads import portable_pubs  # noqa: PLC0415  half a second: only where it is needed

    if format_of(program) is Format.OPENQASM2:
        return portable_pubs.plain(program.decode(), shots=job.shots, limits=limits)
    return portable_pubs.planned(document_of(program), limits=limits, max_runs=job.max_runs)


if __name__ == "__main__":
    load_no_vendor()
    sys.exit(main(sys.argv[1:]))
