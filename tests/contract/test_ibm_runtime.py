"""IBM Quantum through the real library keeps the contract, against a local stub of IBM's API that runs Aer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from hpc_adapters.contract import Circuit, JobRequest, Resources
from hpc_adapters.quantum.ibm_runtime.adapter import IbmBackend
from hpc_adapters.quantum.ibm_runtime.checks import tag_of
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from infra.clock import new_id, utc_now
from tests.support.ibm_stub import API_KEY, CRN, IbmWorld, ibm_stub

pytestmark = [pytest.mark.ibm, pytest.mark.quantum, pytest.mark.sandbox]

BELL = b"""OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
FAILING_SHOTS = 13


@pytest.fixture(scope="session")
def stub() -> Iterator[str]:
    with ibm_stub() as url:
        yield url


class IbmHarness(FaultyHarness):
    """A world of its own at the stub. One shot takes a millisecond of the device: a minute is 60,000 shots."""

    def __init__(self, stub: str, root: Path) -> None:
        self.world = IbmWorld(stub, failing_shots={str(FAILING_SHOTS): [8020, "Circuit is too long."]})
        self._root = root
        credentials = root / "credentials.json"
        credentials.write_text(json.dumps({"token": API_KEY, "instance": CRN}))
        self.settings = IbmSettings(
            name="ibm",
            device="ibm_kyoyo",
            credentials_file=credentials,
            slots=2,
            api_url=self.world.url,
            iam_url=self.world.url,
            answer_s=5.0,
            settle_window_s=3.0,
            accounting_lag_s=5.0,
            result_patience_s=3.0,
        )
        self.backend: IbmBackend = self.connect()

    def connect(self) -> IbmBackend:
        return IbmBackend(self.settings, root=self._root, clock=utc_now)

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        shots = {Act.RUN_LONG: 100_000, Act.OVERRUN: 60_000, Act.FAIL: FAILING_SHOTS, Act.REJECTED: 10**9}
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(qpus=1),
            walltime_s=2 if act is Act.OVERRUN else 300,
            payload=Circuit(program=BELL, shots=shots.get(act, 50)),
        )

    def now(self) -> datetime:
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    async def restart(self) -> None:
        await self.backend.close()
        self.backend = self.connect()

    async def starts(self, attempt_id: UUID) -> int:
        return self.world.starts(tag_of(attempt_id))

    async def close(self) -> None:
        await self.backend.close()
        self.world.close()

    # -- faults --------------------------------------------------------------------------------------------------------

    def lose_next_answer(self) -> None:
        self.world.fault("POST", "/jobs$", "drop-after")

    def lose_next_request(self) -> None:
        self.world.fault("POST", "/jobs$", "drop")

    def delay_next_submission(self) -> None:
        self.world.fault("POST", "/jobs$", "late", seconds=1.0)

    def forget(self, attempt_id: UUID) -> None:
        self.world.tell("forget", job=self.job_of(attempt_id))

    def set_reachable(self, *, reachable: bool) -> None:
        self.world.repair()
        if not reachable:
            self.world.fault("*", ".", "drop", times=10_000)

    def start_again(self, attempt_id: UUID) -> None:
        self.world.tell("again", job=self.job_of(attempt_id))

    def job_of(self, attempt_id: UUID) -> str:
        return next(str(job["id"]) for job in self.world.jobs() if tag_of(attempt_id) in job["tags"])


@pytest.fixture
async def ibm(stub: str, tmp_path: Path) -> AsyncIterator[IbmHarness]:
    made = IbmHarness(stub, tmp_path)
    yield made
    await made.close()


class TestIbm(BackendConformance):
    @pytest.fixture
    def harness(self, ibm: IbmHarness) -> IbmHarness:
        return ibm


class TestFaults(FaultConformance):
    @pytest.fixture
    def faulty(self, ibm: IbmHarness) -> IbmHarness:
        return ibm
