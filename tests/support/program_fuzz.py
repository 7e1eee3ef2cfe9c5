"""`python program_fuzz.py FIRST COUNT`: run changed programs one after the other in one process, as `run_circuit` does.

Started confined, with no more of ours than a job sees. Each program is one of the seeds with a few bytes changed, and
the place of the first change goes through all bytes of its seed. `result.json` counts the outcomes
("ran", or the code of the refusal), and has what nobody should see: whatever else was raised, with the program.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random  # noqa: TID251  an edge: a seeded generator of inputs
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpc_adapters.programs import work_of
from hpc_adapters.pubs import ProgramRefused
from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.run_circuit import run

JOB = CircuitJob(
    device="fuzz",
    qubits=5,
    memory_mb=64,
    cpus=1,
    basis_gates=("rz", "sx", "x", "cx"),
    coupling=((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3)),
    max_operations=2_000,
    shots=1,
    seed=1,
    service_us=0,
    paced=False,
    max_shots=1_000,
    methods=("automatic", "statevector", "matrix_product_state", "stabilizer"),
)
MAX_EXECUTIONS = 20_000
_STRIDE = 37  # no divisor of a seed's length, so that few programs are spread over all of it
QASM2 = """OPENQASM 2.0;
include "qelib1.inc";
gate own(t) a,b { cx a,b; rz(t/2+pi) b; }
qreg q[3];
creg c[3];
h q;
own(0.3) q[0],q[1];
barrier q;
if(c==2) x q[2];
measure q -> c;
"""
QASM3 = """OPENQASM 3.0;
include "stdgates.inc";
gate own(t) a, b { cx a, b; rz(t/2+pi) b; }
qubit[3] q;
bit[3] c;
for int i in [0:2] { rx(0.1 * i) q[0]; }
c[0] = measure q[0];
if (c[0]) { x q[1]; } else { h q[2]; }
own(0.3) q[0], q[1];
ctrl @ x q[0], q[1];
c = measure q;
"""
INPUT3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] a;\nqubit[2] q;\nry(a) q[0];\ncx q[0], q[1];\n'
BOUND = {"names": ["a"], "shape": [2, 1], "values": [[0.1], [0.2]]}
TERMS = {"shape": [2], "values": [{"ZZ": 1.0, "IX": -0.5}, {"YI": 1.0}]}


def document(primitive: str, circuits: list[Any], **pub: Any) -> bytes:
    told = {"format": "kyoyo.pubs/1", "primitive": primitive, "circuits": circuits, "pubs": [{"circuit": 0, **pub}]}
    return json.dumps(told | {"options": {"optimization_level": 1, "seed": 7, "method": "automatic"}}).encode()


def qpy_seeds() -> list[bytes]:
    """The same circuit in versions before, at and after the great changes of the format."""
    from qiskit import QuantumCircuit, qpy  # noqa: PLC0415  an optional part
    from qiskit.circuit import Parameter  # noqa: PLC0415  see above

    circuit = QuantumCircuit(2, 2)
    circuit.ry(Parameter("a") * 2 + 1, 0)
    circuit.cx(0, 1, ctrl_state=0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.for_loop(range(2)):
        circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    written = []
    for version in (13, 16, 18):
        held = io.BytesIO()
        qpy.dump(circuit, held, version=version)
        written.append(held.getvalue())
    return written


def changed(seed: bytes, at: int, chance: random.Random) -> bytes:
    """With one to three small changes; the first one at this byte."""
    body = bytearray(seed)
    for number in range(chance.choice((1, 1, 1, 1, 2, 3))):
        place = at % len(seed) if number == 0 else chance.randrange(len(seed))
        match chance.randrange(9):
            case 0:
                body[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                body[place : place + 1] = (
                    bytes([body[place] ^ (1 << chance.randrange(8))]) if place < len(body) else b""
                )
            case 2:
                del body[place : place + chance.choice((1, 2, 8))]
            case 3 | 4:  # one like it: most of these are programs still
                body[place : place + 1] = bytes([like(body[place], chance)]) if place < len(body) else b""
            case 5 | 6:
                body[place : place + 1] = bytes([chance.choice(seed)])
            case 7:
                begin = chance.randrange(len(seed))
                body[place:place] = seed[begin : begin + chance.choice((1, 4, 32))]
            case _:
                body[place:place] = chance.choice((b"9", b"0", b"-", b"[", b"(", b"\xff\xff", b"\x00", b"q[0]", b"1e9"))
    return bytes(body)


def like(byte: int, chance: random.Random) -> int:
    """A digit for a digit, a small letter for a small letter, a small number for any other."""
    for alphabet in (b"0123456789", b"abcdefghijklmnopqrstuvwxyz"):
        if byte in alphabet:
            return chance.choice(alphabet)
    return chance.randrange(4)


class Programs:
    """Program number n, for every n."""

    def __init__(self) -> None:
        self.plain = [QASM2.encode(), QASM3.encode()]
        self.documents = [
            document("sampler", [{"format": "openqasm2", "text": QASM2}], shots=5),
            document(
                "estimator", [{"format": "openqasm3", "text": INPUT3}], shots=5, parameters=BOUND, observables=TERMS
            ),
        ]
        self.qpy = qpy_seeds()
        self.kinds = len(self.plain) + len(self.documents) + len(self.qpy)

    def __getitem__(self, number: int) -> bytes:
        chance = random.Random(number)
        turn, kind = divmod(number, self.kinds)
        at = turn * _STRIDE
        texts = self.plain + self.documents
        if kind < len(texts):
            return changed(texts[kind], at, chance)
        data = base64.b64encode(changed(self.qpy[kind - len(texts)], at, chance)).decode()
        return document("sampler", [{"format": "qpy", "data": data}], shots=5, parameters=BOUND)


def outcome(program: bytes) -> str:
    """What becomes of one program. ProgramRefused is the only thing that may be raised on the way."""
    shots = 1
    with contextlib.suppress(ProgramRefused):
        shots = work_of(program).executions
    if shots > MAX_EXECUTIONS:
        return "refused at the door"  # as the adapter does, by the device's limit
    try:
        run(replace(JOB, shots=shots), program)
    except ProgramRefused as refused:
        json.dumps(refused.facts)
        return refused.code
    return "ran"


def main(first: int, count: int) -> dict[str, Any]:
    programs, outcomes, odd, longest_s = Programs(), Counter[str](), [], 0.0
    for number in range(first, first + count):
        began = time.monotonic()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                code = outcome(programs[number])
        except BaseException as error:  # noqa: BLE001  to be told of, with its program
            code = "odd"
            odd.append([number, f"{type(error).__name__}: {error}"[:300]])
        if code == "device-failed":
            odd.append([number, code])
        outcomes[code] += 1
        longest_s = max(longest_s, time.monotonic() - began)
    return {"outcomes": dict(outcomes), "odd": odd[:50], "longest_s": longest_s}


if __name__ == "__main__":
    Path("result.json").write_text(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
