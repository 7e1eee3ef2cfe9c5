"""`python -m hpc_adapters.workloads.run_circuit JOB PROGRAM`: check, translate and run one OpenQASM 3 program.

Runs confined, as a job. JOB is the adapter's JSON (`circuit_job`). Progress goes to stdout, one line an event; the
outcome goes to `result.json` in the working folder: counts, or an error with a code of `circuit_refusals.CODES` and
facts. Exit code 0 with counts, 65 when the program is to blame, 70 when the device is.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import redirect_stderr
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from openqasm3 import ast, parse

from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.circuit_limits import Limits, Size, measure_program
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.program_text import check_text

EXECUTING = "executing"
RESULT_BYTES = 1_000_000
_USER_ERROR, _DEVICE_ERROR = os.EX_DATAERR, os.EX_SOFTWARE
_RECURSION = 5_000  # frames; the depth of what we recurse over is limited before


def main(arguments: list[str]) -> int:
    job = CircuitJob(**json.loads(Path(arguments[0]).read_bytes()))
    try:
        leave(run(job, Path(arguments[1]).read_bytes()))
    except CircuitRefused as refused:
        tell("refused", code=refused.code, **refused.facts)
        leave({"error": {"code": refused.code, "facts": refused.facts}})
        return _DEVICE_ERROR if refused.code == "device-failed" else _USER_ERROR
    return 0


def run(job: CircuitJob, program: bytes) -> dict[str, Any]:
    """The whole way of one program. CircuitRefused, with whose fault it is in its code."""
    sys.setrecursionlimit(_RECURSION)
    tree = parse_program(check_text(program))
    size = measure_program(tree, Limits(qubits=job.qubits, memory_mb=job.memory_mb, operations=job.max_operations))
    tell("checked", qubits=size.qubits, operations=size.operations)
    try:
        return _run_checked(job, tree, size) | {"program_sha256": sha256(program).hexdigest()}
    except (CircuitRefused, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError as error:
        raise CircuitRefused("too-much-memory", max_mb=job.memory_mb) from error
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # a panic in Rust code is no Exception
        raise CircuitRefused("device-failed", message=type(error).__name__) from error


def parse_program(text: str) -> ast.Program:
    said = io.StringIO()  # the parser complains to stderr, with as much of the program as it likes
    try:
        with redirect_stderr(said):
            return parse(text)
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except Exception as error:
        message = (str(error) or said.getvalue() or type(error).__name__)[:300]
        raise CircuitRefused("malformed-program", message=message) from error


def _run_checked(job: CircuitJob, tree: ast.Program, size: Size) -> dict[str, Any]:
    from hpc_adapters.workloads import circuit_run  # noqa: PLC0415  half a second: only for a program worth it

    circuit = circuit_run.prepare(tree, job)
    tell("translated", depth=circuit.depth(), operations=circuit.size())
    began = time.monotonic()
    tell(EXECUTING, shots=job.shots)
    counts = circuit_run.execute(circuit, job)
    if job.paced:
        time.sleep(max(0.0, job.service_us / 1e6 - (time.monotonic() - began)))
    tell("measured", outcomes=len(counts))
    return {
        "counts": counts,
        "shots": job.shots,
        "qubits": size.qubits,
        "operations": circuit.size(),
        "depth": circuit.depth(),
        "seed": job.seed,
        "device": job.device,
        "versions": dict(circuit_run.versions()),
    }


def tell(event: str, **facts: object) -> None:
    """One line of progress: time, event, facts. The adapter reads the time of `executing` from here."""
    now = datetime.now(UTC)  # noqa: TID251  an edge: this is the job itself
    words = " ".join(f"{key}={value}" for key, value in facts.items() if key != "message")
    print(now.isoformat(timespec="microseconds"), event, words, flush=True)  # noqa: T201  its job


def leave(result: dict[str, Any]) -> None:
    """Write `result.json` at once or not at all. CircuitRefused: it is larger than anybody would take."""
    body = json.dumps(result, sort_keys=True).encode()
    if len(body) > RESULT_BYTES:
        raise CircuitRefused("result-too-large", bytes=len(body), max_bytes=RESULT_BYTES)
    Path("result.json.new").write_bytes(body)
    Path("result.json.new").rename("result.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
