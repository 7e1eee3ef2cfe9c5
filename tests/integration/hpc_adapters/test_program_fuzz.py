"""Ten thousand changed programs in every form: each is refused by name or runs, and nothing falls over."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.confined.model import FilePath
from hpc_adapters.confined.runs import ConfinedRuns
from hpc_adapters.contract import Observation, Seen, Stream
from hpc_adapters.errors import Rejected
from hpc_adapters.programs import work_of
from hpc_adapters.pubs import ProgramRefused
from hpc_adapters.quantum.aer.device import DeviceSettings
from hpc_adapters.quantum.confining import workload
from hpc_adapters.workloads.circuit_refusals import CODES
from infra.clock import new_id, utc_now
from tests.support import program_fuzz
from tests.support.aer_device import Device

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox, pytest.mark.takes(30)]

SCRIPT = Path(program_fuzz.__file__).read_bytes()
LONGEST_S = 30.0  # of one program, on a machine with other work
DEVICE = DeviceSettings(
    name="fuzz", qubits=5, max_shots=1_000, base_us=0, per_kshot_us=0, slots=4, memory_mb=64, max_operations=2_000
)


async def fuzzed(root: Path, first: int, count: int, *, walltime_s: float) -> dict[str, Any]:
    """What one confined process made of these programs. It must have lived to the end."""
    runs = ConfinedRuns(root, clock=utc_now)
    like = workload(
        "run_circuit", attempt_id=new_id(), tenant="t", job=b"", program=b"", walltime_s=walltime_s, memory_mb=1_024
    )
    spec = replace(
        like,
        argv=[sys.executable, "-s", "-P", "-B", FilePath("fuzz.py"), str(first), str(count)],
        files={"fuzz.py": SCRIPT},
    )
    await runs.start(spec)
    while True:
        state = await runs.state(spec.attempt_id)
        assert state is not None
        if state.is_over:
            break
        await asyncio.sleep(0.1)
    said = [await runs.read(spec.attempt_id, stream) for stream in (Stream.RESULT, Stream.STDERR)]
    assert state.ending is Seen.SUCCEEDED, (state, said[1])
    assert said[0] is not None
    told: dict[str, Any] = json.loads(said[0].data)
    return told


def check(told: Sequence[dict[str, Any]], count: int) -> None:
    outcomes: dict[str, int] = {}
    for each in told:
        assert each["odd"] == []
        assert each["longest_s"] < LONGEST_S
        for code, number in each["outcomes"].items():
            outcomes[code] = outcomes.get(code, 0) + number
    assert sum(outcomes.values()) == count
    assert outcomes["ran"] > count // 50, outcomes
    assert set(outcomes) <= {"ran", "refused at the door", *CODES}, outcomes
    assert len(outcomes) > 10, outcomes


@pytest.mark.timeout(900)
async def test_hundreds_of_changed_programs_are_refused_or_run(tmp_path: Path) -> None:
    check([await fuzzed(tmp_path / "runs", 0, 700, walltime_s=600)], 700)


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_ten_thousand_changed_programs_are_refused_or_run(tmp_path: Path) -> None:
    told = [await fuzzed(tmp_path / "runs", first, 2_500, walltime_s=1_800) for first in range(0, 10_000, 2_500)]
    check(told, 10_000)


async def test_a_sample_of_them_through_the_adapter_ends_by_name(tmp_path: Path) -> None:
    """Given changed programs, when each is a job of its own, then the server refuses it or its end has a reason."""
    device, programs = Device(tmp_path / "aer", DEVICE), program_fuzz.Programs()
    for program in (programs[number] for number in range(0, 2_000, 83)):
        shots = 1
        try:
            shots = work_of(program).executions
            ref = await device.submit(program, shots=shots)
        except (Rejected, ProgramRefused) as refused:
            assert refused.code in {*CODES, "invalid-shots"}  # noqa: PT017  either outcome is right
            continue
        end = (await device.outcome(ref)).end
        assert isinstance(end, Observation)
        assert end.seen in {Seen.SUCCEEDED, Seen.FAILED}
        assert end.seen is Seen.SUCCEEDED or end.detail in CODES
