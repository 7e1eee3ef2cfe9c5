"""Sessions on the simulated device outlive whoever opened them, and a crash under one is not charged."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.contract import Circuit, JobRequest, Observation, Ref, Resources, Seen, SessionHold
from hpc_adapters.quantum.aer.device import DeviceSettings
from infra.clock import new_id
from tests.support.aer_device import Device
from tests.support.machine import Machine

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

SETTINGS = DeviceSettings(name="test-5", qubits=5, max_shots=200_000, base_us=0, per_kshot_us=1_000_000, memory_mb=64)
BELL = b'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n'
OPENER = """
import asyncio, sys
from pathlib import Path
from tests.integration.hpc_adapters.test_session_crashes import SETTINGS, inside, session
from tests.support.aer_device import Device

async def main():
    device = Device(Path(sys.argv[1]), SETTINGS)
    held = session()
    ref = await device.backend.submit(held)
    while (await device.backend.observe([ref]))[0].seen.value != "running":
        await asyncio.sleep(0.05)
    work = inside(ref.attempt_id, shots=20_000)
    await device.backend.submit(work)
    print(ref.attempt_id, work.attempt_id, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def session(idle_s: int = 600) -> JobRequest:
    return JobRequest(
        attempt_id=new_id(),
        tenant="tenant-a",
        resources=Resources(qpus=1),
        walltime_s=600,
        payload=SessionHold(idle_s=idle_s),
    )


def inside(session_id: UUID, *, shots: int = 10) -> JobRequest:
    return replace(session(), payload=Circuit(program=BELL, shots=shots), session=session_id)


async def seen(device: Device, ref: Ref) -> Observation:
    [told] = await device.backend.observe([ref])
    assert isinstance(told, Observation)
    return told


async def test_a_session_and_what_runs_in_it_outlive_the_worker_that_opened_them(tmp_path: Path) -> None:
    root = tmp_path / "aer"
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPENER, str(root), stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    held, work = [UUID(word) for word in (await worker.stdout.readline()).decode().split()]
    worker.send_signal(signal.SIGKILL)
    await worker.wait()

    device = Device(root, SETTINGS)
    refs = [await device.backend.find(each) for each in (held, work)]
    assert refs[0] is not None
    assert refs[1] is not None
    assert (await seen(device, refs[0])).seen is Seen.RUNNING
    assert not (await seen(device, refs[1])).seen.is_end
    assert (await device.backend.capacity()).free.qpus == 0

    await device.backend.cancel(refs[0])
    ends = [await device.outcome(ref) for ref in refs if ref is not None]
    assert [each.end.seen for each in ends] == [Seen.SUCCEEDED, Seen.CANCELLED]
    assert [set(each.row.components) for each in ends] == [{"session_s"}, {"qpu_s", "shot"}]
    assert (await device.backend.capacity()).free.qpus == 1


async def test_a_session_whose_supervisor_died_failed_by_our_fault_and_frees_the_device(tmp_path: Path) -> None:
    device = Device(tmp_path / "aer", SETTINGS)
    ref = await device.backend.submit(session())
    while (await seen(device, ref)).seen is not Seen.RUNNING:  # noqa: ASYNC110  another process opens it
        await asyncio.sleep(0.05)
    for supervisor in Machine(tmp_path / "aer").supervisors(ref.attempt_id):
        os.kill(supervisor, signal.SIGKILL)
    outcome = await device.outcome(ref)
    assert outcome.end.seen is Seen.NODE_FAILED
    assert outcome.row.components == {"session_s": 0}
    assert (await device.backend.capacity()).free.qpus == 1
