"""A training over two nodes, preempted by Slurm, resumed in a second attempt, ends as one that nobody disturbed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

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
    Signal,
    Stream,
    Torchrun,
    UsageRow,
    Window,
)
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.settings import SlurmSettings
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from kyoyo import Client, Job
from tests.support import slurm_house
from tests.support.database import Database
from tests.support.repository import ROOT
from tests.support.slurm import StartCluster
from tests.support.under_fire import portal_listens, service, unexplained, until_settled

pytestmark = [pytest.mark.slurm, pytest.mark.root, pytest.mark.torch, pytest.mark.timeout(900)]
PATIENCE_S = 240.0
STEPS = 150
EXAMPLE = (ROOT / "client" / "examples" / "ddp_spiral.py").read_text(encoding="utf-8")
PROGRAM = EXAMPLE.replace("#!/usr/bin/env python3", f"#!{sys.executable}", 1)
"""With the Python that has torch."""


def _software(cluster: Cluster) -> Path:
    """What a user's image has: the one file of the client that a training needs."""
    software = cluster.shared / "software"
    (software / "kyoyo").mkdir(parents=True)
    helper = (ROOT / "client" / "kyoyo" / "training.py").read_text(encoding="utf-8")
    (software / "kyoyo" / "training.py").write_text(helper, encoding="utf-8")
    return software


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
        self.software = _software(cluster)

    def training(self, *, pause_s: float = 0.0, **facts: object) -> JobRequest:
        environment = {
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
            "payload": Script(body=PROGRAM.encode(), environment=environment, launch=Torchrun(processes_per_node=1)),
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


@pytest.mark.takes(90)
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


@pytest.mark.takes(100)
async def test_a_training_is_warned_before_its_time_is_over_saves_and_times_out(own_cluster: StartCluster) -> None:
    """Slurm may warn a minute early, and the walltime is its smallest: the warning comes as soon as it can."""
    site = Site(own_cluster("26.05", nodes=2))
    warned = Placement(nodes=2, signal=Signal(name="USR1", before_s=20))
    ref = await site.backend.submit(site.training(pause_s=0.5, walltime_s=60, placement=warned))
    await site.until_prints(ref, "stopped")
    observation = await site.until(ref, lambda told: told.seen.is_end)
    assert observation.seen is Seen.TIMED_OUT, await site.log(ref, Stream.STDERR)
    stopped_at = _stopped_at(await site.log(ref))
    assert 0 < stopped_at < STEPS
    assert [path.name[5:17] for path in _checkpoints(site, ref.attempt_id)][-1] == f"{stopped_at:012}"
    await site.backend.close()


def _stopped_at(log: str) -> int:
    [line] = [line for line in log.splitlines() if line.endswith("stopped")]
    return int(line.split()[1])


def _checkpoints(site: Site, job_id: object) -> list[Path]:
    folder = site.cluster.shared / "alice" / "jobs" / str(job_id) / "checkpoint"
    return sorted(path for path in folder.iterdir() if path.name.startswith("step-"))


# ---- the same through the portal, with its money


@pytest.mark.postgres
@pytest.mark.takes(130)
async def test_the_portal_continues_a_preempted_training_within_its_quote(
    database: Database, own_cluster: StartCluster, tmp_path: Path
) -> None:
    """1. A member trains undisturbed. 2. She trains again, is preempted, and the portal starts a second attempt.

    3. The weights are the same, both attempts are told with what they used, the preempted one costs nothing.
    """
    slugs = slurm_house.names(2)
    cluster = own_cluster("24.11", nodes=2, preempt_grace_s=60, **slurm_house.site(slugs))
    software = _software(cluster)
    tenant, _ = await slurm_house.open_market(database, slugs)
    backends = slurm_house.backends_toml(cluster, accounting_lag_s=5)
    environment = slurm_house.environment(database, tmp_path, backends)
    with service(environment, tmp_path):
        await portal_listens(int(environment["KYOYO_PORT"]))
        url = f"http://127.0.0.1:{environment['KYOYO_PORT']}"
        entry = tmp_path / "ddp.py"
        entry.write_text(PROGRAM, encoding="utf-8")
        with Client(url, tenant.token, environment={}) as client:
            told = await asyncio.to_thread(_train_twice, client, cluster, software, entry)
            month = f"{utc_now():%Y-%m}"
            statement, used = client.statement(month), client.usage(month)["items"]
        await until_settled(database, patience_s=PATIENCE_S)
        assert unexplained(environment) == 0
    _check(told, cluster)
    entries = [each for each in statement["entries"] if each["job_id"] == told["record"].id]
    assert len(entries) >= 3, statement
    assert Decimal(used[0]["waived_yen"]) > 0, used
    assert statement["balanced"]


def _check(told: dict[str, Any], cluster: Cluster) -> None:
    record = told["record"].raw
    first, second = record["attempts"]
    assert [each["state"] for each in (first, second)] == ["PREEMPTED", "SUCCEEDED"]
    assert told["disturbed"]["weights_sha256"] == told["undisturbed"]["weights_sha256"]
    assert told["disturbed"]["attempt"] == 2
    assert told["disturbed"]["resumed_from"] >= 50

    records = {row.name: row for row in cluster.sacct()}
    for each in (first, second):
        row = records[f"ky-{UUID(each['id']).hex}"]
        assert Decimal(each["usage"]["gpu_s"]) == row.gpu_s > 0
    assert Decimal(first["charge_yen"]) == 0
    assert Decimal(second["charge_yen"]) == Decimal(record["charge_yen"]) > 0
    assert Decimal(record["charge_yen"]) <= Decimal(record["quote_yen"])


def _train_twice(client: Client, cluster: Cluster, software: Path, entry: Path) -> dict[str, Any]:
    def start(pause_s: float) -> Job:
        environment = {
            "PYTHONPATH": str(software),
            "OMP_NUM_THREADS": "1",  # else each rank's threads keep all processors busy with waiting for each other
            "STEPS": str(STEPS),
            "PAUSE_S": str(pause_s),
        }
        return client.train(
            entry, nodes=2, gpus_per_node=1, time="10m", offering=slurm_house.OFFERING, environment=environment
        )

    undisturbed = start(0)
    assert undisturbed.wait(timeout_s=PATIENCE_S).state == "SUCCEEDED", "".join(undisturbed.logs(stream="stderr"))
    disturbed = start(0.2)
    for text in disturbed.logs(follow=True):
        if "step 50 " in text:
            break
    cluster.exec("sbatch", "--qos=high", "--exclusive", "--wrap=true", user="tenant2", check=True)
    assert disturbed.wait(timeout_s=PATIENCE_S).state == "SUCCEEDED", "".join(disturbed.logs(stream="stderr"))
    return {
        "undisturbed": undisturbed.result(),
        "disturbed": disturbed.result(),
        "record": disturbed.wait_settled(timeout_s=PATIENCE_S),
    }
