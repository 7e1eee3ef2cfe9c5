"""Programs that want to harm: each is refused or stopped with its reason, at little cost, while other jobs go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from decimal import Decimal
from pathlib import Path
from time import process_time

import pytest

from hpc_adapters.confined import sandbox
from hpc_adapters.contract import (
    Isolation,
    Resources,
    Seen,
)
from hpc_adapters.errors import Rejected
from hpc_adapters.quantum.aer.adapter import seed_of
from hpc_adapters.quantum.aer.device import DeviceSettings
from tests.support.aer_device import Device, Outcome

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

DEVICE = DeviceSettings(
    name="test-20", qubits=20, max_shots=200_000, base_us=100_000, per_kshot_us=10_000, slots=4, memory_mb=64
)
HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[3] q;\nbit[3] c;\n'
END = "c = measure q;\n"
GHZ = HEAD + "h q[0];\ncx q[0], q[1];\ncx q[1], q[2];\n" + END
# A measurement in between makes every shot a run of its own: minutes of work within every limit of size.
SLOW = HEAD + "c = measure q; if (c[0]) { x q[0]; } for int i in [1:12000] { rx(0.1) q; cx q[0], q[1]; }" + END


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "aer", DEVICE)


DOUBLING = "gate g0 a { h a; h a; }" + "".join(f"gate g{n} a {{ g{n - 1} a; g{n - 1} a; }}" for n in range(1, 31))
HOSTILE = {
    "a loop of 10^9": (HEAD + "for int i in [1:1000000000] { h q; }" + END, "too-many-operations"),
    "nested loops": (HEAD + "for int i in [1:999] {" * 9 + "h q[0];" + "}" * 9 + END, "too-many-operations"),
    "60 qubits": (GHZ.replace("qubit[3]", "qubit[60]"), "too-many-qubits"),
    "gates that double thirty times": (HEAD + DOUBLING + "g30 q[0];" + END, "too-many-operations"),
    "a gate that calls itself": (HEAD + "gate g a { g a; } g q[0];" + END, "recursive-gate"),
    "an include of a system file": (GHZ.replace("stdgates.inc", "/etc/passwd"), "include-not-allowed"),
    "an endless while": (HEAD + "while (true) { h q[0]; }" + END, "unbounded-loop"),
    "a sum of thousands": (HEAD + f"rx({'+'.join(['1'] * 20_000)}) q[0];" + END, "nesting-too-deep"),
    "thousands of minus signs": (HEAD + f"rx({'-' * 20_000}1) q[0];" + END, "nesting-too-deep"),
    "a word of 200 kB": (HEAD + "a" * 200_000, "malformed-program"),
    "a number of 200 kB": (HEAD + f"rx({'9' * 200_000}) q[0];" + END, "malformed-program"),
    "a division by zero": (HEAD + "rx(1/0) q[0];" + END, "malformed-program"),
    "an infinite angle": (HEAD + "rx(1e400) q[0];" + END, "cannot-translate"),
    "a register of -5 qubits": (HEAD + "qubit[-5] r;" + END, "malformed-program"),
    "not a program": (HEAD + "'); DROP TABLE job; --", "malformed-program"),
}


CPU_LIMIT_S = 20
"""Seconds of a processor, as the device metered them: how long a refusal takes is up to what else the machine does."""
DOOR_LIMIT_S = 2
"""Likewise, of the server's own process."""


@pytest.mark.parametrize(("program", "code"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_refused_within_few_cpu_seconds_for_a_named_reason_and_for_nothing(
    device: Device, program: str, code: str
) -> None:
    outcome = await device.outcome(await device.submit(program))
    assert 0 < float(outcome.row.facts["cpu_used_s"]) < CPU_LIMIT_S
    assert (outcome.end.seen, outcome.end.exit_code, outcome.end.detail) == (Seen.FAILED, 65, code)
    assert outcome.result["error"]["code"] == code
    assert outcome.row.components == {"qpu_s": 0, "shot": 0}
    assert b"root:" not in outcome.streams
    assert b"Traceback" not in outcome.streams


# Program, how often its last byte is repeated, code.
REJECTED = {
    "100 MB of text": (GHZ.encode(), 100 * 2**20, "program-too-large"),
    "NUL bytes": (GHZ.encode() + b"\x00", 1, "control-characters"),
    "not UTF-8": (GHZ.encode() + b"// \xff", 1, "not-utf-8"),
    "deep parentheses": (HEAD.encode() + b"rx(", 50_000, "nesting-too-deep"),
    "another language": (b"#!/bin/sh\ncat /etc/passwd", 1, "unknown-format"),
}


@pytest.mark.parametrize(("program", "times", "code"), REJECTED.values(), ids=REJECTED.keys())
async def test_rejected_at_the_door(device: Device, program: bytes, times: int, code: str) -> None:
    body = program + program[-1:] * (times - 1)
    began = process_time()
    with pytest.raises(Rejected) as refusal:
        await device.submit(body)
    assert process_time() - began < DOOR_LIMIT_S
    assert refusal.value.code == code
    assert (await device.backend.capacity()).free == Resources(qpus=DEVICE.slots)


@pytest.mark.parametrize("shots", [0, -1, DEVICE.max_shots + 1, 10**9])
async def test_a_number_of_shots_that_the_device_does_not_take_is_rejected(device: Device, shots: int) -> None:
    with pytest.raises(Rejected) as refusal:
        await device.submit(GHZ, shots=shots)
    assert (refusal.value.code, refusal.value.facts["shots"]) == ("invalid-shots", shots)


async def test_a_walltime_that_the_service_time_exceeds_is_rejected_before_it_costs(device: Device) -> None:
    with pytest.raises(Rejected) as refusal:
        await device.submit(GHZ, shots=200_000, walltime_s=3)
    assert refusal.value.code == "walltime-too-short"


@pytest.mark.takes(20)
async def test_while_hostile_programs_are_stopped_others_go_on(device: Device) -> None:
    """Given programs that work for minutes and that unfold endlessly, when a good one comes, then it is undisturbed."""
    slow = await device.submit(SLOW, shots=2000, walltime_s=20)  # it reaches a busy device, and never its end
    hostile = await device.submit(HOSTILE["a loop of 10^9"][0])
    good = await device.submit(GHZ, shots=4000)
    ends: list[Awaitable[Outcome]] = [device.outcome(ref) for ref in (slow, hostile, good)]
    stopped, refused, served = await asyncio.gather(*ends)
    assert (stopped.end.seen, refused.end.seen, served.end.seen) == (Seen.TIMED_OUT, Seen.FAILED, Seen.SUCCEEDED)
    assert stopped.result == {}
    # It held the device until it was stopped: it pays the model's time, never more.
    assert stopped.row.components == {"qpu_s": Decimal("0.12"), "shot": 2000}
    assert served.end.ended_at is not None
    assert stopped.end.ended_at is not None
    assert served.end.ended_at < stopped.end.ended_at


async def test_a_ghz_state_is_all_zeros_or_all_ones_in_equal_parts(device: Device) -> None:
    ref = await device.submit(GHZ, shots=4000)
    outcome = await device.outcome(ref)
    counts = outcome.result["counts"]
    assert set(counts) == {"000", "111"}
    assert sum(counts.values()) == outcome.result["shots"] == 4000
    assert abs(counts["000"] - 2000) < 5 * 32  # five standard deviations
    assert outcome.result["seed"] == seed_of(ref.attempt_id)
    assert outcome.row.components == {"qpu_s": Decimal("0.14"), "shot": Decimal(4000)}


async def test_without_walls_it_works_for_one_organisation_and_says_so(tmp_path: Path) -> None:
    device = Device(tmp_path / "aer", DEVICE, sandbox=sandbox.NONE)
    assert device.backend.capabilities().isolation is Isolation.SINGLE_TENANT
    assert "one organisation" in (await device.backend.health()).detail
    outcome = await device.outcome(await device.submit(GHZ, shots=10))
    assert sum(outcome.result["counts"].values()) == 10
    with pytest.raises(Rejected) as refusal:
        await device.submit(GHZ, tenant="tenant-b")
    assert refusal.value.code == "single-tenant-backend"


async def test_loops_branches_own_gates_and_modifiers_give_what_the_language_says(device: Device) -> None:
    """Given a program whose every shot must read 101, however it is written."""
    body = """
        gate flip a { x a; }
        for int i in [1:3] { flip q[0]; }
        c[0] = measure q[0];
        if (c[0]) { pow(3) @ flip q[2]; } else { flip q[1]; }
        ctrl @ flip q[1], q[0];
        inv @ flip q[1];
        flip q[1];
    """
    outcome = await device.outcome(await device.submit(HEAD + body + END, shots=100))
    assert outcome.result["counts"] == {"101": 100}


async def test_counts_that_nobody_would_store_are_no_result_and_cost_nothing(device: Device) -> None:
    spread = HEAD.replace("[3]", "[20]") + "h q;\n" + END
    outcome = await device.outcome(await device.submit(spread, shots=60_000))
    assert (outcome.end.seen, outcome.end.detail) == (Seen.FAILED, "result-too-large")
    assert outcome.result["error"]["facts"]["max_bytes"] == 1_000_000
    assert outcome.row.components == {"qpu_s": 0, "shot": 0}


async def test_a_cancelled_circuit_uses_the_time_and_shots_that_ran(device: Device) -> None:
    ref = await device.submit(GHZ, shots=200_000)  # 2.1 s of the device
    await device.said(ref, b" executing ")
    await asyncio.sleep(0.5)
    await device.backend.cancel(ref)
    outcome = await device.outcome(ref)
    used_s, shots = outcome.row.components["qpu_s"], outcome.row.components["shot"]
    assert outcome.end.seen is Seen.CANCELLED
    assert Decimal("0.4") < used_s < Decimal("2.1")
    assert shots == int((used_s - Decimal("0.1")) * 100_000)  # after the base time, 10 µs a shot


async def test_the_server_never_loads_qiskit() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CHECK, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert (process.returncode, said) == (0, b"[]\n")


CHECK = """
import sys
import hpc_adapters.quantum.aer.adapter
print([name for name in sys.modules if name.split(".")[0] in {"qiskit", "qiskit_aer", "openqasm3", "numpy"}])
"""
