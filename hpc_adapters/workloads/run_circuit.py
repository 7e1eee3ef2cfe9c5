"""`python -m hpc_adapters.workloads.run_circuit JOB PROGRAM`: check, translate and run one program.

The program is OpenQASM 2 or 3, or a document of PUBs (`programs`). Runs confined, as a job. JOB is the adapter's JSON
(`circuit_job`). Progress goes to stdout, one line an event; the outcome goes to `result.json` in the working folder:
counts, or the results of PUBs ("kyoyo.result/1"), or an error with a code of `circuit_refusals.CODES` and facts. Exit
code 0 with a result, 65 when the program is to blame, 70 when the device is.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from hpc_adapters.programs import RESULT
from hpc_adapters.pubs import CircuitFormat, CircuitText, Document, Options, ProgramRefused, work_in
from hpc_adapters.workloads.circuit_job import CircuitJob, held_us, job_of
from hpc_adapters.workloads.circuit_limits import Limits, measure_program
from hpc_adapters.workloads.circuit_refusals import DEVICE_CODES, CircuitRefused
from hpc_adapters.workloads.process import leave, load_no_vendor, tell
from hpc_adapters.workloads.program_parsing import parse_program
from hpc_adapters.workloads.program_text import check_any, version_of

__all__ = ["main", "parse_program", "run"]

EXECUTING = "executing"
RESULT_BYTES = 1_000_000
_USER_ERROR, _DEVICE_ERROR = os.EX_DATAERR, os.EX_SOFTWARE
_RECURSION = 5_000  # frames; the depth of what we recurse over is limited before


def main(arguments: list[str]) -> int:
    job = job_of(json.loads(Path(arguments[0]).read_bytes()))
    try:
        leave(run(job, Path(arguments[1]).read_bytes()), max_bytes=RESULT_BYTES)
    except ProgramRefused as refused:
        return _say_refused(refused)
    return 0


def _say_refused(refused: ProgramRefused) -> int:
    tell("refused", code=refused.code, **refused.facts)
    leave({"error": {"code": refused.code, "facts": refused.facts}}, max_bytes=RESULT_BYTES)
    return _DEVICE_ERROR if refused.code in DEVICE_CODES else _USER_ERROR


def run(job: CircuitJob, program: bytes) -> dict[str, Any]:
    """The whole way of one program. ProgramRefused, with whose fault it is in its code."""
    sys.setrecursionlimit(_RECURSION)
    try:
        told = check_any(program)
        done = _run_document(job, told) if isinstance(told, Document) else _run_text(job, told)
    except (ProgramRefused, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError as error:
        raise CircuitRefused("too-much-memory", max_mb=job.memory_mb) from error
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # a panic in Rust code is no Exception
        raise CircuitRefused("device-failed", message=type(error).__name__) from error
    calibration_id = None if job.calibration is None else job.calibration.id
    return done | {"program_sha256": sha256(program).hexdigest(), "calibration_id": calibration_id}


def _run_text(job: CircuitJob, text: str) -> dict[str, Any]:
    """One circuit; counts of it."""
    written = CircuitText(version_of(text), text)
    tree = parse_program(text) if written.format is CircuitFormat.OPENQASM3 else None
    size = None if tree is None else measure_program(tree, _limits(job))
    from hpc_adapters.workloads import circuit_reading, circuit_run  # noqa: PLC0415  half a second

    machine = circuit_run.Machine(job, Options())
    if tree is None or size is None:
        read = circuit_reading.read_circuit(written, _limits(job))
    else:
        read = circuit_reading.read_tree(tree, size)
    tell("checked", qubits=read.size.qubits, operations=read.size.operations)
    circuit = machine.translate(read.circuit)
    tell("translated", depth=circuit.depth(), operations=circuit.size())
    if job.estimate:
        return circuit_run.needed(machine, [(circuit, job.shots)])
    with Execution(job):
        counts = circuit_run.counts_of(machine, circuit)
    tell("measured", executions=job.shots, outcomes=len(counts))
    return {
        "counts": counts,
        "shots": job.shots,
        "qubits": read.size.qubits,
        **circuit_run.figures(circuit),
        "seed": machine.seed,
        "device": job.device,
        "versions": dict(circuit_run.versions()),
    }


def _limits(job: CircuitJob) -> Limits:
    holds_state = not {"matrix_product_state", "stabilizer"} & {*job.methods}
    memory_mb = job.memory_mb if holds_state or job.methods[0] == "statevector" else None
    return Limits(qubits=job.qubits, memory_mb=memory_mb, operations=job.max_operations)


def _run_document(job: CircuitJob, document: Document) -> dict[str, Any]:
    check_counts(job, document)
    from hpc_adapters.workloads import circuit_run, pubs_run  # noqa: PLC0415  only for a program worth it

    machine = circuit_run.Machine(job, document.options)
    ready = pubs_run.read_pubs(document, machine)
    pubs_run.check_result(ready, RESULT_BYTES)
    largest = max((each.size for each in ready), key=lambda size: size.operations)
    tell("checked", pubs=len(ready), qubits=largest.qubits, operations=largest.operations)
    if job.estimate:
        return circuit_run.needed(machine, [(each.circuit, each.pub.executions) for each in ready])
    with Execution(job) as execution:
        pubs = pubs_run.run_pubs(ready, machine, tell)
        execution.taken = sum(pub["executions"] for pub in pubs)
    tell("measured", executions=execution.taken, pubs=len(pubs))
    return {
        "format": RESULT,
        "primitive": document.primitive.value,
        "device": job.device,
        "versions": dict(circuit_run.versions()),
        "seed": machine.seed,
        "pubs": pubs,
    }


def check_counts(job: CircuitJob, document: Document) -> None:
    """CircuitRefused('executions-differ' | 'invalid-shots'): the document is not what was declared with it."""
    executions = work_in(document).executions
    if executions != job.shots:
        raise CircuitRefused("executions-differ", asked=executions, declared=job.shots)
    most = max(pub.shots for pub in document.pubs)
    if most > job.max_shots:
        raise CircuitRefused("invalid-shots", shots=most, max_shots=job.max_shots)


class Execution:
    """The time in which a program has the device: told, held for as long as the model says, and ended at its cap."""

    def __init__(self, job: CircuitJob) -> None:
        self._job = job
        self._over = threading.Event()
        self.taken = job.shots
        """Executions; fewer than declared where several observables were measured at once."""

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        tell(EXECUTING, shots=self._job.shots)
        if self._job.stop_us is not None:
            threading.Thread(target=self._watch, args=(self._job.stop_us / 1e6,), daemon=True).start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if self._job.paced and failed is None:
            time.sleep(max(0.0, held_us(self._job, self.taken) / 1e6 - (time.monotonic() - self._began)))
        self._over.set()

    def _watch(self, patience_s: float) -> None:
        """The simulation itself cannot be interrupted: the process ends, with the reason as its result."""
        if not self._over.wait(patience_s):
            code = _say_refused(CircuitRefused("qpu-cap-reached", stop_us=self._job.stop_us or 0))
            os._exit(code)


if __name__ == "__main__":
    load_no_vendor()
    sys.exit(main(sys.argv[1:]))
