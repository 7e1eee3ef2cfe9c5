"""Real Slurm keeps the contract, in both releases, also when the way to it breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import httpx2
import pytest

from hpc_adapters.conformance.harness import Act, FaultyHarness
from hpc_adapters.conformance.secrecy import SecrecyConformance
from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from hpc_adapters.contract import JobRequest, Resources, Script, Stream
from hpc_adapters.jobhead.places import job_name
from hpc_adapters.slurm.adapter import SlurmBackend
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from tests.support.slurm_site import USERS, settings_of

pytestmark = [pytest.mark.slurm, pytest.mark.root]

SCRIPTS = {
    Act.SUCCEED: """echo started; echo '{"accuracy": 0.97}' > result.json""",
    Act.FAIL: "echo started; exit 3",
    Act.RUN_LONG: "echo started; exec sleep 600",
    Act.OVERRUN: "echo started; exec sleep 600",
    Act.REJECTED: "echo started",
}


@dataclass
class BadWay(httpx2.AsyncBaseTransport):
    """The way to slurmrestd, which can lose things."""

    url: str
    next_submission: str = "given"
    forgotten: set[str] = field(default_factory=set)
    is_cut: bool = False
    late: list[asyncio.Task[None]] = field(default_factory=list)
    _inner: httpx2.AsyncHTTPTransport = field(init=False)

    def __post_init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport(uds=self.url.removeprefix("unix:"))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.is_cut:
            raise httpx2.ConnectError("cut")
        if request.method == "POST" and request.url.path.endswith("/job/submit"):
            fate, self.next_submission = self.next_submission, "given"
            if fate != "given":
                await self._lose(request, fate)
        response = await self._inner.handle_async_request(request)
        return await self._without_forgotten(response) if self.forgotten else response

    async def _lose(self, request: httpx2.Request, fate: str) -> None:
        if fate == "lose-answer":
            await (await self._inner.handle_async_request(request)).aread()
        if fate == "delay":
            self.late.append(asyncio.create_task(self._later(request)))
        raise httpx2.ReadTimeout("lost")

    async def _later(self, request: httpx2.Request) -> None:
        await asyncio.sleep(3.0)
        await (await self._inner.handle_async_request(request)).aread()

    async def _without_forgotten(self, response: httpx2.Response) -> httpx2.Response:
        content = await response.aread()
        body = json.loads(content)
        if isinstance(body.get("jobs"), list):
            body["jobs"] = [job for job in body["jobs"] if job.get("name") not in self.forgotten]
        return httpx2.Response(response.status_code, json=body)

    async def aclose(self) -> None:
        await asyncio.gather(*self.late)
        await self._inner.aclose()


class SlurmHarness(FaultyHarness):
    patience = 2400  # a walltime is a minute at least, and is looked at twice a minute

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.way = BadWay(cluster.url)
        self.backend = self._connect()

    def _connect(self) -> SlurmBackend:
        return SlurmBackend(settings_of(self._cluster), clock=utc_now, transport=self.way)

    async def close(self) -> None:
        await self.backend.close()

    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        return JobRequest(
            attempt_id=new_id(),
            tenant=tenant,
            identity=USERS[tenant],
            resources=Resources(gpus=64 if act is Act.REJECTED else 4, cpus=4, memory_mb=400),
            walltime_s=3 if act is Act.OVERRUN else 300,
            payload=Script(body=f"#!/bin/sh\n{SCRIPTS[act]}\n".encode()),
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
        return (await self.backend.logs(ref, Stream.STDOUT)).data.count(b"started\n")

    def lose_next_answer(self) -> None:
        self.way.next_submission = "lose-answer"

    def lose_next_request(self) -> None:
        self.way.next_submission = "lose-request"

    def delay_next_submission(self) -> None:
        self.way.next_submission = "delay"

    def forget(self, attempt_id: UUID) -> None:
        self.way.forgotten.add(job_name(attempt_id))
        for work in self._cluster.shared.glob(f"*/{attempt_id}"):
            work.rename(work.with_name(f"forgotten-{attempt_id}"))  # at once: its program still writes there

    def set_reachable(self, *, reachable: bool) -> None:
        self.way.is_cut = not reachable

    def start_again(self, attempt_id: UUID) -> None:
        """As slurmctld does after a crash: the same script in the same place, as a job of the same name."""
        name = job_name(attempt_id)
        listed = self._cluster.exec("squeue", "-h", "-o", "%A", "-n", name, check=True).stdout.split()
        script = self._cluster.exec("scontrol", "write", "batch_script", listed[0], "-", user="root", check=True).stdout
        work = next(self._cluster.shared.glob(f"*/{attempt_id}"))
        words = [f"-J{name}", f"-D{work}", "--open-mode=append", f"-o{work}/stdout", f"-e{work}/stderr", "-A", "lab-a"]
        self._cluster.exec("sbatch", *words, user="alice", text_input=script, check=True)


@pytest.mark.takes(7)  # one waits for more than a minute: the walltime
class TestSlurm(BackendConformance):
    @pytest.fixture
    async def harness(self, slurm: Cluster) -> AsyncIterator[SlurmHarness]:
        async with in_an_empty_cluster(slurm) as harness:
            yield harness


class TestSlurmSecrecy(SecrecyConformance):
    @pytest.fixture
    async def harness(self, slurm: Cluster) -> AsyncIterator[SlurmHarness]:
        async with in_an_empty_cluster(slurm) as harness:
            yield harness


@pytest.mark.takes(10)
class TestSlurmFaults(FaultConformance):
    @pytest.fixture
    async def faulty(self, slurm: Cluster) -> AsyncIterator[SlurmHarness]:
        async with in_an_empty_cluster(slurm) as harness:
            yield harness


@asynccontextmanager
async def in_an_empty_cluster(cluster: Cluster) -> AsyncIterator[SlurmHarness]:
    """The cluster is shared by the tests: what the last one left is ended first."""
    for user in ("alice", "carol"):
        cluster.exec("scancel", f"--user={user}")
    for _ in range(300):
        if not cluster.exec("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING", "-o", "%A", check=True).stdout.strip():
            break
        await asyncio.sleep(0.1)
    harness = SlurmHarness(cluster)
    try:
        for _ in range(300):
            now = await harness.backend.capacity()
            if now.free == now.total:
                break
            await harness.pause()
        yield harness
    finally:
        await harness.close()
