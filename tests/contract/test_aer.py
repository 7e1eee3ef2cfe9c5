"""qiskit-aer in confined processes keeps the contract."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.conformance.sessions import SessionConformance
from hpc_adapters.conformance.suite import BackendConformance, final_row
from hpc_adapters.contract import Circuit, JobRequest, Ref, Resources, Seen, Stream
from hpc_adapters.quantum.aer.adapter import AerBackend
from hpc_adapters.quantum.aer.device import DeviceSettings
from infra.clock import new_id, utc_now

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

BELL = b"""OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
# Tens of thousands of gates for each shot one by one, since a measurement in between decides: a minute of work.
HEAVY = b"""OPENQASM 3.0;
include "stdgates.inc";
qubit[5] q;
bit[5] c;
c = measure q;
if (c[0]) { x q[0]; }
for int i in [1:5000] { rx(0.1) q; cx q[0], q[1]; cx q[1], q[2]; cx q[2], q[3]; cx q[3], q[4]; }
c = measure q;
"""
# One shot takes a millisecond of the device: a minute is 60,000 shots.
DEVICE = DeviceSettings(name="test-5", qubits=5, max_shots=200_000, base_us=0, per_kshot_us=1_000_000, slots=2)


class AerHarness(Harness):
    def __init__(self, root: Path, device: DeviceSettings = DEVICE) -> None:
        self._root, self._device = root, device
        self.backend = self._connect()

    def _connect(self) -> AerBackend:
        return AerBackend(name="aer", root=self._root, device=self._device, clock=utc_now)

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        programs = {Act.FAIL: BELL.replace(b"qubit[2]", b"qubit[6]"), Act.OVERRUN: HEAVY}
        shots = {Act.RUN_LONG: 100_000, Act.OVERRUN: 1_000, Act.REJECTED: 10**9}
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(qpus=1),
            walltime_s=3 if act is Act.OVERRUN else 300,
            payload=Circuit(program=programs.get(act, BELL), shots=shots.get(act, 50)),
        )

    def now(self) -> datetime:
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        self.backend = self._connect()

    async def starts(self, attempt_id: UUID) -> int:
        ref = await self.backend.find(attempt_id)
        assert ref is not None
        said = await self.backend.logs(Ref(ref.backend, attempt_id, ref.native_id), Stream.STDOUT)
        return said.data.count(b" executing ")


class TestAer(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> AerHarness:
        return AerHarness(tmp_path / "aer")


async def test_a_device_that_is_sold_as_a_simulator_reports_its_seconds_and_no_qpu_time(tmp_path: Path) -> None:
    harness = AerHarness(tmp_path / "aer", replace(DEVICE, sold_as="simulator", cpus=2))
    assert harness.backend.capabilities().components == {"sim_s", "shot", "session_s"}
    asked = harness.request(Act.SUCCEED)
    assert isinstance(asked.payload, Circuit)
    ref = await harness.backend.submit(replace(asked, payload=replace(asked.payload, max_qpu_us=0)))
    end = await harness.until_ended(ref)
    row = await final_row(harness, ref.attempt_id)
    assert (end.seen, row.components["shot"]) == (Seen.SUCCEEDED, 50)
    assert end.started_at is not None
    assert end.ended_at is not None
    whole = Decimal((end.ended_at - end.started_at) / timedelta(microseconds=1)) / 1_000_000
    assert 0 < row.components["sim_s"] < 2 * whole
    assert set(row.components) == {"sim_s", "shot"}
    assert (row.facts["sim_units"], row.facts["sim_from"]) == (2, "execution")


class TestAerSessions(SessionConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> AerHarness:
        return AerHarness(tmp_path / "aer")
