"""The machine under us keeps the contract, with walls between jobs and without."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.confined import sandbox
from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.conformance.secrecy import SecrecyConformance
from hpc_adapters.conformance.suite import BackendConformance
from hpc_adapters.contract import JobRequest, Resources, Script, Stream
from hpc_adapters.local.adapter import LocalBackend
from hpc_adapters.local.checks import Limits
from infra.clock import new_id, utc_now

SCRIPTS = {
    Act.SUCCEED: """echo started; echo '{"accuracy": 0.97}' > result.json""",
    Act.FAIL: "echo started; exit 3",
    Act.RUN_LONG: "echo started; exec sleep 600",
    Act.OVERRUN: "echo started; exec sleep 600",
    Act.REJECTED: "echo started",
}


class LocalHarness(Harness):
    def __init__(self, root: Path, kind: str | None) -> None:
        self._root, self._kind = root, kind
        self.backend = self._connect()

    def _connect(self) -> LocalBackend:
        return LocalBackend(
            "local",
            self._root,
            total=Resources(gpus=2, cpus=4, memory_mb=512),
            clock=utc_now,
            limits=Limits(grace_s=1.0),
            sandbox=self._kind,
        )

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            resources=Resources(gpus=3 if act is Act.REJECTED else 1, cpus=1, memory_mb=128),
            walltime_s=1 if act is Act.OVERRUN else 300,
            payload=Script(body=f"#!/bin/sh\n{SCRIPTS[act]}\n".encode()),
        )

    def now(self) -> datetime:
        return utc_now()

    async def pause(self) -> None:
        await asyncio.sleep(0.05)

    async def restart(self) -> None:
        self.backend = self._connect()

    async def starts(self, attempt_id: UUID) -> int:
        ref = await self.backend.find(attempt_id)
        assert ref is not None
        return (await self.backend.logs(ref, Stream.STDOUT)).data.count(b"started\n")


@pytest.mark.sandbox
class TestLocal(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> LocalHarness:
        return LocalHarness(tmp_path / "runs", None)


class TestLocalWithoutWalls(BackendConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> LocalHarness:
        return LocalHarness(tmp_path / "runs", sandbox.NONE)


@pytest.mark.sandbox
class TestLocalSecrecy(SecrecyConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> LocalHarness:
        return LocalHarness(tmp_path / "runs", None)


class TestLocalSecrecyWithoutWalls(SecrecyConformance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> LocalHarness:
        return LocalHarness(tmp_path / "runs", sandbox.NONE)
