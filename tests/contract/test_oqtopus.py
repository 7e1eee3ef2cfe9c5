"""OQTOPUS Cloud keeps the contract, against a stub of its user API with Aer behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from hpc_adapters.contract import Circuit, JobRequest, Resources
from hpc_adapters.quantum.oqtopus.adapter import OqtopusBackend
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.queued.model import job_name
from infra.clock import new_id, utc_now
from tests.support.oqtopus_stub import DEVICE, FAILS, TOKEN, OqtopusWorld, Way

pytestmark = [pytest.mark.quantum, pytest.mark.sandbox]

BELL = """OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""


class OqtopusHarness(FaultyHarness):
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "token").write_text(f"{TOKEN}\n")
        self.settings = OqtopusSettings(
            name="oqtopus",
            url="https://stub",
            device=DEVICE,
            token_file=root / "token",
            qubits=5,
            slots=2,
            base_us=1000,
            per_kshot_us=1_000_000,
            call_s=2.0,
            settle_window_s=3.0,
        )
        self.world = OqtopusWorld(base="https://stub")
        self.way = Way(self.world)
        self.transport: Way | None = self.way
        self.backend = self.oqtopus = self.connect()

    def connect(self) -> OqtopusBackend:
        return OqtopusBackend(self.settings, root=self.root / "backend", clock=utc_now, transport=self.transport)

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        shots = {Act.RUN_LONG: 90_000, Act.OVERRUN: 90_000, Act.REJECTED: 10**9}
        program = BELL + (FAILS if act is Act.FAIL else "")
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(qpus=1),
            walltime_s=2 if act is Act.OVERRUN else 300,
            payload=Circuit(program=program.encode(), shots=shots.get(act, 50)),
        )

    def now(self) -> datetime:
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        self.backend = self.oqtopus = self.connect()

    async def starts(self, attempt_id: UUID) -> int:
        return self.world.started(job_name(attempt_id))

    def lose_next_answer(self) -> None:
        self.way.next_submission = "lose-answer"

    def lose_next_request(self) -> None:
        self.way.next_submission = "lose-request"

    def delay_next_submission(self) -> None:
        self.way.next_submission = "delay"

    def forget(self, attempt_id: UUID) -> None:
        for key, job in list(self.world.jobs.items()):
            if job.told.get("name", "").startswith(job_name(attempt_id)):
                del self.world.jobs[key]

    def set_reachable(self, *, reachable: bool) -> None:
        self.way.is_cut = not reachable

    def start_again(self, attempt_id: UUID) -> None:
        """The same submission once more, as a proxy may repeat it: the vendor takes each id once."""
        [job] = [job for job in self.world.jobs.values() if job.told.get("name") == job_name(attempt_id)]
        status, _ = self.world._submit(job, job.told)
        assert status == 400


@pytest.fixture
async def oqtopus(tmp_path: Path) -> AsyncIterator[OqtopusHarness]:
    harness = OqtopusHarness(tmp_path / "oqtopus")
    yield harness
    await harness.backend.close()


class TestOqtopus(BackendConformance):
    @pytest.fixture
    def harness(self, oqtopus: OqtopusHarness) -> OqtopusHarness:
        return oqtopus


class TestOqtopusFaults(FaultConformance):
    @pytest.fixture
    def faulty(self, oqtopus: OqtopusHarness) -> OqtopusHarness:
        return oqtopus
