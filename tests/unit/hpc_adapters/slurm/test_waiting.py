"""What is asked of Slurm before a job is handed over, and what is not asked again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

from hpc_adapters.contract import JobRequest, Resources, Script
from hpc_adapters.slurm.calls import Slurm
from hpc_adapters.slurm.models import Node, Partition, Records
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.view import Queue, View
from hpc_adapters.slurm.waiting import Waiting

T0 = datetime(2026, 11, 21, 9, tzinfo=UTC)
NODE = Node(
    name="n1",
    state=("IDLE",),
    reason="",
    reservation="",
    partitions=("main",),
    features=(),
    tres={"cpu": 8, "mem": 8000, "gres/gpu": 8},
    tres_used={},
)
MAIN = Partition(name="main", state=("UP",), nodes="n1", total_nodes=1, tres={}, max_time_s=None, default_time_s=None)
REQUEST = JobRequest(
    attempt_id=UUID(int=1), tenant="t", resources=Resources(gpus=1), walltime_s=60, payload=Script(body=b"#!/bin/sh\n")
)


@dataclass
class Cluster:
    """Empty; `nodes` may be slow to answer."""

    now: datetime = T0
    partition: Partition = MAIN
    asked: list[str] = field(default_factory=list)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    async def nodes(self) -> Records[Node]:
        self.asked.append("nodes")
        await self.answers.wait()
        return Records((NODE,))

    async def partitions(self) -> Records[Partition]:
        self.asked.append("partitions")
        return Records((self.partition,))

    async def now_(self) -> Queue:
        return Queue(asked_at=self.now)

    async def recent(self, max_age_s: float) -> Queue:
        return Queue(asked_at=self.now)


def waiting(cluster: Cluster) -> Waiting:
    settings = SlurmSettings(name="s", cluster="c", url="unix:/s", jwt_key=b"k", folder=Path("/shared"))
    view = View(cast("Slurm", cluster), folder=settings.folder, clock=lambda: cluster.now)
    view.now = cluster.now_  # type: ignore[method-assign]
    view.recent = cluster.recent  # type: ignore[method-assign]
    return Waiting(settings, slurm=cast("Slurm", cluster), view=view, clock=lambda: cluster.now)


async def test_nodes_are_asked_for_each_time_and_partitions_now_and_then() -> None:
    cluster = Cluster()
    found = waiting(cluster)
    for _ in range(3):
        cluster.now += timedelta(seconds=0.5)
        assert (await found.capacity()).online
    assert cluster.asked == ["nodes", "partitions", "nodes", "nodes"]
    cluster.partition = Partition(
        name="main", state=("DOWN",), nodes="n1", total_nodes=1, tres={}, max_time_s=None, default_time_s=None
    )
    cluster.now += timedelta(seconds=2)
    assert not (await found.capacity()).online


async def test_a_submission_does_not_wait_for_a_look_that_somebody_else_takes() -> None:
    cluster = Cluster()
    found = waiting(cluster)
    await found.capacity()
    cluster.now += timedelta(seconds=0.5)
    cluster.answers.clear()
    looking = asyncio.create_task(found.capacity())
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await found.require_room(REQUEST)
    cluster.answers.set()
    assert (await looking).at == cluster.now
