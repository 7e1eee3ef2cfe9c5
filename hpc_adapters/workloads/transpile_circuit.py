"""`python -m hpc_adapters.workloads.transpile_circuit JOB PROGRAM`: a tenant's program in a device's own gates.

Runs confined. JOB: {"target", "shots", "max_operations", "seed", "result_bytes"}, where the target is {"qubits",
"dt_s", "rep_delay_s", "gates": {name: [[qubits, duration_s, error], …]}, "control_flow": [names]}. PROGRAM: OpenQASM,
or a document of PUBs. `result.json` is an error as `run_circuit` leaves it, or

    {"format": "kyoyo.isa/1", "primitive", "plain": whether it was one text,
     "circuits": [{"qpy", "qubits", "registers"}],
     "pubs": [{"circuit", "shots", "executions", "parameters", "observables", "metadata", "shot_s"}],
     "versions", "program_sha256"}

Observables are moved to where the layout has put the qubits. `shot_s`: one execution with the wait before it; null
where the device tells no durations. The rest of a PUB is as in `programs`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hpc_adapters.programs import Format, Primitive, document_of, format_of, text_of
from hpc_adapters.pubs import CircuitFormat, CircuitText, Document, Options, Parameters, ProgramRefused, Pub
from hpc_adapters.workloads.circuit_refusals import CircuitRefused
from hpc_adapters.workloads.process import leave, load_no_vendor, tell

ISA: Final = "kyoyo.isa/1"
_USER_ERROR, _DEVICE_ERROR = os.EX_DATAERR, os.EX_SOFTWARE
_RECURSION: Final = 5_000


def main(arguments: list[str]) -> int:
    job = json.loads(Path(arguments[0]).read_bytes())
    sys.setrecursionlimit(_RECURSION)
    try:
        leave(_translated(job, Path(arguments[1]).read_bytes()), max_bytes=job["result_bytes"])
    except (CircuitRefused, ProgramRefused) as refused:
        tell("refused", code=refused.code, **refused.facts)
        leave({"error": {"code": refused.code, "facts": refused.facts}}, max_bytes=job["result_bytes"])
        return _DEVICE_ERROR if refused.code == "device-failed" else _USER_ERROR
    return 0


def _translated(job: Mapping[str, Any], program: bytes) -> dict[str, Any]:
    document, plain = _read(program, shots=job["shots"])
    try:
        told = _translate(job, document)
    except (CircuitRefused, ProgramRefused, KeyboardInterrupt, SystemExit):
        raise
    except MemoryError as error:
        raise CircuitRefused("too-many-operations", max_operations=job["max_operations"]) from error
    except RecursionError as error:
        raise CircuitRefused("nesting-too-deep") from error
    except BaseException as error:  # a panic in Rust code is no Exception
        raise CircuitRefused("device-failed", message=type(error).__name__) from error
    tell("translated", circuits=len(told["circuits"]), pubs=len(told["pubs"]))
    return told | {"plain": plain, "program_sha256": sha256(program).hexdigest()}


def _read(program: bytes, *, shots: int) -> tuple[Document, bool]:
    """A text by itself is a document of one circuit."""
    written = format_of(program)
    if written is Format.PUBS:
        return document_of(program), False
    text = CircuitText(CircuitFormat(written.value), text_of(program))
    one = Document(primitive=Primitive.SAMPLER, circuits=[text], pubs=[Pub(circuit=0, shots=shots)], options=Options())
    return one, True


def _translate(job: Mapping[str, Any], document: Document) -> dict[str, Any]:
    from hpc_adapters.workloads import isa_circuits  # noqa: PLC0415  qiskit: only for a program worth it

    target = isa_circuits.target_of(job["target"])
    used = sorted({pub.circuit for pub in document.pubs})
    made = {}
    for number in used:
        read = isa_circuits.read(
            document.circuits[number],
            target=target,
            operations=job["max_operations"],
            measures=document.primitive is Primitive.SAMPLER,
        )
        made[number] = isa_circuits.translate(
            read, target, level=document.options.optimization_level, seed=document.options.seed or job["seed"]
        )
        tell("circuit", number=number, operations=made[number].circuit.size(), depth=made[number].circuit.depth())
    places = {number: place for place, number in enumerate(used)}
    factor = document.options.factor
    pubs = [_pub(pub, made[pub.circuit], places[pub.circuit], job["target"], factor) for pub in document.pubs]
    circuits = [made[number].told() for number in used]
    return {
        "format": ISA,
        "primitive": document.primitive.value,
        "circuits": circuits,
        "pubs": pubs,
        "versions": isa_circuits.versions(),
    }


def _pub(pub: Pub, made: Any, place: int, target: Mapping[str, Any], factor: int) -> dict[str, Any]:
    duration_s = made.duration_s
    return {
        "circuit": place,
        "shots": pub.shots,
        "executions": pub.executions * factor,
        "parameters": _parameters(pub.parameters, made),
        "observables": None if pub.observables is None else made.moved(pub.observables),
        "metadata": made.metadata(),
        "shot_s": None if duration_s is None else duration_s + target["rep_delay_s"],
    }


def _parameters(told: Parameters | None, made: Any) -> dict[str, Any] | None:
    """Those columns that the translated circuit still has: a parameter may have cancelled out."""
    given = [] if told is None else list(told.names)
    if set(given) != set(made.parameters):
        raise CircuitRefused("parameters-differ", given=len(given), wanted=len(made.parameters))
    if told is None:
        return None
    kept = [number for number, name in enumerate(given) if name in made.parameters_left]
    rows = [[row[number] for number in kept] for row in told.values]
    return asdict(Parameters([given[number] for number in kept], told.shape, rows))


if __name__ == "__main__":
    load_no_vendor()
    sys.exit(main(sys.argv[1:]))
