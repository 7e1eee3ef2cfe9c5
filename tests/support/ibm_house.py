"""The IBM adapter in a world of its own at the stub, for tests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.contract import Circuit, JobRequest, Ref, Resources, SessionHold, Stream
from hpc_adapters.quantum.ibm_runtime.adapter import IbmBackend
from hpc_adapters.quantum.ibm_runtime.checks import tag_of
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from infra.clock import new_id, utc_now
from tests.support.forked import python_with
from tests.support.ibm_stub import API_KEY, CRN, IbmWorld

BELL = b"""OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
FAILING_SHOTS = 13


class IbmHarness(FaultyHarness):
    """A world of its own at the stub. One shot takes a millisecond of the device: a minute is 60,000 shots."""

    def __init__(self, stub: str, root: Path, **settings: Any) -> None:
        self.world = IbmWorld(stub, failing_shots={str(FAILING_SHOTS): [8020, "Circuit is too long."]})
        self._root = root
        credentials = root / "credentials.json"
        credentials.write_text(json.dumps({"token": API_KEY, "instance": CRN}))
        self.settings = IbmSettings(
            name="ibm",
            device="ibm_kyoyo",
            credentials_file=credentials,
            python=python_with("qiskit_ibm_runtime"),
            slots=2,
            api_url=self.world.url,
            iam_url=self.world.url,
            answer_s=5.0,
            translate_wait_s=60.0,  # a busy machine is no fault
            settle_window_s=3.0,
            accounting_lag_s=5.0,
            result_patience_s=3.0,
        )
        self.settings = replace(self.settings, **settings)
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

    def move(self, root: Path) -> None:
        """Start over elsewhere, without anything that was kept."""
        self._root = root
        self.backend = self.connect()

    async def starts(self, attempt_id: UUID) -> int:
        return self.world.starts(tag_of(attempt_id))

    def kill_bridge(self) -> None:
        """As the kernel would, short of memory."""
        life = self.backend._parts.bridge._life
        assert life is not None
        life._process.kill()

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


def hold(*, dedicated: bool = True, idle_s: int = 60, walltime_s: int = 300) -> JobRequest:
    return JobRequest(
        attempt_id=new_id(),
        tenant="tenant-a",
        resources=Resources(qpus=1),
        walltime_s=walltime_s,
        payload=SessionHold(idle_s=idle_s, dedicated=dedicated),
    )


def circuit(ibm: IbmHarness, program: bytes = BELL, **fields: Any) -> JobRequest:
    request = ibm.request(Act.SUCCEED)
    assert isinstance(request.payload, Circuit)
    return replace(request, payload=replace(request.payload, program=program, **fields))


async def result_of(ibm: IbmHarness, ref: Ref) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await ibm.read(ref, Stream.RESULT))
    return told
