"""A training over two nodes, preempted by Slurm, resumed in a second attempt, ends as one that nobody disturbed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hpc_adapters.contract import (
    Identity,
    JobRequest,
    Observation,
    Placement,
    Ref,
    Resources,
    Script,
    Seen,
    Stream,
    Torchrun,
    UsageRow,
    Window,
)
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.settings import SlurmSettings
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from tests.support.repository import ROOT
from tests.support.slurm import StartCluster

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.torch]
PATIENCE_S = 120.0
STEPS = 150
EXAMPLE = ROOT / "client" / "examples" / "ddp_spiral.py"


class Site:
    """A cluster of two nodes, the adapter in front of it, and alice's training."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        settings = SlurmSettings(
            name="slurm",
            cluster=cluster.name,
            url=cluster.url,
            jwt_key=cluster.jwt_key,
            folder=cluster.shared,
            service_user=cluster.service_user,
            gpu_type="h200",
            qos="",
            uids=cluster.uids,
            accounting_lag_s=5.0,
        )
        self.backend = SlurmBackend(settings, clock=utc_now)
        self.software = cluster.shared / "software"
        (self.software / "kyoyo").mkdir(parents=True)
        helper = (ROOT / "client" / "kyoyo" / "training.py").read_text(encoding="utf-8")
        (self.software / "kyoyo" / "training.py").write_text(helper, encoding="utf-8")

    def training(self, *, pause_s: float = 0.0, **facts: object) -> JobRequest:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(self.software),
            "OMP_NUM_THREADS": "1",
            "STEPS": str(STEPS),
            "PAUSE_S": str(pause_s),
        }
        stated: dict[str, object] = {
            "attempt_id": new_id(),
            "tenant": "tenant-a",
            "identity": Identity("alice", "lab-a"),
            "resources": Resources(gpus=2, cpus=2, memory_mb=400),
            "walltime_s": 600,
            "placement": Placement(nodes=2),
            "payload": Script(
                body=EXAMPLE.read_bytes(), environment=environment, launch=Torchrun(processes_per_node=1)
            ),
        }
        return JobRequest(**{**stated, **facts})  # type: ignore[arg-type]  # a builder

    async def log(self, ref: Ref, stream: Stream = Stream.STDOUT) -> str:
        return (await self.backend.logs(ref, stream, 0, 2**20)).data.decode(errors="replace")

    async def until(self, ref: Ref, wanted: Callable[[Observation], bool]) -> Observation:
        observation: Any = None
        for _ in range(int(PATIENCE_S / 0.3)):
            [observation] = await self.backend.observe([ref])
            if isinstance(observation, Observation) and wanted(observation):
                return observation
            await asyncio.sleep(0.3)
        raise AssertionError(f"{observation}\n{await self.log(ref)}\n{await self.log(ref, Stream.STDERR)}")

    async def until_prints(self, ref: Ref, text: str) -> None:
        for _ in range(int(PATIENCE_S / 0.3)):
            if text in await self.log(ref):
                return
            await asyncio.sleep(0.3)
        raise AssertionError(f"{await self.log(ref)}\n{await self.log(ref, Stream.STDERR)}")

    async def result(self, ref: Ref) -> dict[str, Any]:
        observation = await self.until(ref, lambda told: told.seen.is_end)
        assert observation.seen is Seen.SUCCEEDED, await self.log(ref) + await self.log(ref, Stream.STDERR)
        found: dict[str, Any] = json.loads(await self.log(ref, Stream.RESULT))
        return found

    async def final_row(self, ref: Ref) -> UsageRow:
        for _ in range(int(PATIENCE_S / 0.3)):
            window = Window(utc_now() - timedelta(hours=1), utc_now() + timedelta(minutes=1))
            rows = [row for row in await self.backend.accounting(window) if row.attempt_id == ref.attempt_id]
            if rows and rows[0].final:
                [row] = rows
                return row
            await asyncio.sleep(0.3)
        raise AssertionError("never a final record")

    def preempt(self) -> None:
        """Somebody of a higher QOS wants a whole node for a moment."""
        self.cluster.exec("sbatch", "--qos=high", "--exclusive", "--wrap=true", user="bob", check=True)


@pytest.fixture
async def site(own_cluster: StartCluster, release: str) -> AsyncIterator[Site]:
    made = Site(own_cluster(release, nodes=2, preempt_grace_s=60))
    yield made
    await made.backend.close()


async def test_a_preempted_training_resumes_and_ends_as_if_nothing_had_been(site: Site) -> None:
    undisturbed = await site.result(await site.backend.submit(site.training()))
    assert undisturbed["resumed_from"] == 0

    job_id = new_id()
    first = await site.backend.submit(site.training(job_id=job_id, pause_s=0.1))
    await site.until_prints(first, "step 50 ")
    site.preempt()
    observation = await site.until(first, lambda told: told.seen.is_end)
    assert observation.seen is Seen.PREEMPTED, await site.log(first, Stream.STDERR)
    stopped_at = _stopped_at(await site.log(first))
    assert 50 <= stopped_at < STEPS
    assert [path.name[5:17] for path in _checkpoints(site, job_id)][-1] == f"{stopped_at:012}"

    second = await site.backend.submit(site.training(job_id=job_id, ordinal=2))
    resumed = await site.result(second)
    assert (resumed["attempt"], resumed["resumed_from"]) == (2, stopped_at)
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]  # every bit
    assert resumed["loss"] == undisturbed["loss"]

    records = {row.name: row for row in site.cluster.sacct()}
    for ref, ending in ((first, Seen.PREEMPTED), (second, Seen.SUCCEEDED)):
        row = await site.final_row(ref)
        record = records[f"ky-{ref.attempt_id.hex}"]
        assert row.ending is ending
        assert row.components["gpu_s"] == record.gpu_s == 2 * record.elapsed_s > 0
        assert row.facts["gpu_measured"] == "no"  # null devices play the GPUs


def _stopped_at(log: str) -> int:
    [line] = [line for line in log.splitlines() if line.endswith("stopped")]
    return int(line.split()[1])


def _checkpoints(site: Site, job_id: object) -> list[Path]:
    folder = site.cluster.shared / "alice" / "jobs" / str(job_id) / "checkpoint"
    return sorted(path for path in folder.iterdir() if path.name.startswith("step-"))
