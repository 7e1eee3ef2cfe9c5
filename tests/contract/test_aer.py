"""qiskit-aer in confined processes keeps the contract."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.conformance.sessions import SessionConformance
from hpc_adapters.conformance.suite import BackendConformance
from hpc_adapters.contract import Circuit, JobRequest, Ref, Resources, Stream
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
    def __init__(self, root: Path) -> None:
        self._root = root
        self.backend = self._connect()

    def _connect(self) -> AerBackend:
        return AerBackend(name="aer", root=self._root, device=DEVICE, clock=utc_now)

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


class TestAerSessions(SessionConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> AerHarness:
        return AerHarness(tmp_path / "aer")
