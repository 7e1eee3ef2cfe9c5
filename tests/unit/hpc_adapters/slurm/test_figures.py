"""GPU use from the site's Prometheus: into the usage record, before what a job measured, and never in its way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs
from uuid import UUID

import httpx2
import pytest

from hpc_adapters.contract import UsageRow, Window
from hpc_adapters.jobhead.places import job_name, work_of
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.slurm.calls import LiveJobs, Slurm
from hpc_adapters.slurm.figures import Figures
from hpc_adapters.slurm.models import DbJob, Records
from hpc_adapters.slurm.models.jobs import db_job
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.usage import Usage
from hpc_adapters.slurm.view import View

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)
MEASURED = {"measured": True, "gpus": {"0": {"utilisation_pct": 1.0, "memory_peak_mb": 5.0, "energy_j": 9.0}}}


class Prometheus:
    """Answers with `value` for so many GPUs, or as it is told; `asked` keeps the questions."""

    def __init__(self, value: str = "50", gpus: int = 1, broken: str = "") -> None:
        self.value, self.gpus, self.broken = value, gpus, broken
        self.asked: list[dict[str, list[str]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(parse_qs(request.url.query.decode()))
        match self.broken:
            case "away":
                raise httpx2.ConnectError("refused")
            case "status":
                return httpx2.Response(503)
            case "text":
                return httpx2.Response(200, content=b"<html>")
        rows = [{"metric": {"UUID": f"GPU-{n}"}, "value": [0, self.value]} for n in range(self.gpus)]
        told = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        return httpx2.Response(200, content=json.dumps(told).encode())


class Slurmdbd:
    def __init__(self, *jobs: DbJob) -> None:
        self.jobs = jobs

    async def db_jobs_in(self, window: Window) -> Records[DbJob]:
        return Records(self.jobs, ())

    async def live_jobs(self, since: datetime | None = None, *, known: object = None) -> LiveJobs:
        return LiveJobs(jobs=(), unreadable=(), updated_at=T0)


def ran(folder: Path, job_id: int, *, gpus: int = 1) -> DbJob:
    """An ended job of an hour, which measured something itself."""
    attempt_id = UUID(int=job_id)
    work = work_of(folder, "alice", attempt_id)
    work.mkdir(parents=True)
    (work / "gpu.json").write_text(json.dumps(MEASURED))
    job = db_job({"job_id": job_id, "name": job_name(attempt_id), "user": "alice", "state": {"current": ["COMPLETED"]}})
    return replace(
        job,
        partition="main",
        submit_at=T0,
        started_at=T0,
        ended_at=T0 + timedelta(hours=1),
        elapsed_s=3600,
        exit_code=0,
        tres_alloc={"gres/gpu": gpus, "cpu": 1},
    )


async def rows(folder: Path, prometheus: Prometheus, *jobs: DbJob, times: int = 1) -> list[UsageRow]:
    settings = SlurmSettings(name="slurm", cluster="c", url="unix:/s", jwt_key=b"k", folder=folder)
    calls = cast("Slurm", Slurmdbd(*jobs))
    figures = Figures("http://prometheus:9090", transport=httpx2.MockTransport(prometheus))
    usage = Usage(
        settings,
        slurm=calls,
        view=View(calls, folder=folder, clock=lambda: T0),
        spool=Spool(folder, uids={}),
        clock=lambda: T0,
        figures=figures,
    )
    found: list[UsageRow] = []
    for _ in range(times):
        found = await usage.rows(Window(T0, T0 + timedelta(days=1)))
    await figures.close()
    return found


async def test_the_sites_figures_come_before_what_the_job_measured(tmp_path: Path) -> None:
    prometheus = Prometheus()
    [row] = await rows(tmp_path, prometheus, ran(tmp_path, 7), times=3)
    told = {name: value for name, value in row.facts.items() if name.startswith("gpu_")}
    assert told == {"gpu_utilisation_pct": 50.0, "gpu_memory_peak_mb": 50.0, "gpu_energy_j": 50.0}
    assert len(prometheus.asked) == 3  # once for each figure, and never again
    assert {asked["time"][0] for asked in prometheus.asked} == {str((T0 + timedelta(hours=1)).timestamp())}
    assert all('hpc_job="7"' in asked["query"][0] and "[3600s]" in asked["query"][0] for asked in prometheus.asked)


async def test_the_energy_of_a_part_is_no_sum(tmp_path: Path) -> None:
    [row] = await rows(tmp_path, Prometheus(gpus=1), ran(tmp_path, 7, gpus=2))
    assert "gpu_energy_j" not in row.facts
    assert row.facts["gpu_utilisation_pct"] == 50.0


@pytest.mark.parametrize("broken", ["away", "status", "text"])
async def test_without_an_answer_the_jobs_own_figures_stand_and_nobody_waits_twice(tmp_path: Path, broken: str) -> None:
    prometheus = Prometheus(broken=broken)
    found = await rows(tmp_path, prometheus, ran(tmp_path, 7), ran(tmp_path, 8))
    assert [row.facts["gpu_utilisation_pct"] for row in found] == [1.0, 1.0]
    assert len(prometheus.asked) <= 3


async def test_what_prometheus_has_no_series_of_is_what_the_job_measured(tmp_path: Path) -> None:
    [row] = await rows(tmp_path, Prometheus(gpus=0), ran(tmp_path, 7))
    assert row.facts["gpu_utilisation_pct"] == 1.0
