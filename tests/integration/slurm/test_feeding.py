"""Jobs wait in our queue, and the cluster is full all the same: measured on a real one with 500 jobs waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from infra.slurm.cluster import Cluster
from infra.slurm.records import Row
from kyoyo import Client
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.slurm_house import OFFERING, Tenant
from tests.support.under_fire import portal_listens, service

GPUS = 16
LOOK_AHEAD = 6
TASKS = 100
CYCLE_S = 1.0
PATIENCE_S = 240
SCRIPT = "#!/bin/bash\nsleep $((2 + SLURM_ARRAY_TASK_ID % 3))\n"

pytestmark = [pytest.mark.postgres, pytest.mark.slurm, pytest.mark.long, pytest.mark.timeout(420)]


def submit_and_wait(url: str, tenant: Tenant, folder: Path) -> None:
    path = folder / f"{tenant.slug}.sh"
    path.write_text(SCRIPT)
    with Client(url, tenant.token, environment={}) as client:
        first = client.submit(path, time=60, gpus=1, offering=OFFERING, array=f"1-{TASKS}")
        for task in first.tasks():
            task.wait(timeout_s=PATIENCE_S)


async def waiting_for_room(cluster: Cluster, done: asyncio.Event) -> list[int]:
    """By squeue, several times a second until the end: pending jobs for which no GPU is idle.

    What has just been handed over and fits is pending too, until Slurm's next pass starts it.
    """
    counts = []
    while not done.is_set():
        printed = await asyncio.to_thread(cluster.exec, "squeue", "-h", "-t", "PD,R,CG", "-o", "%T")
        states = Counter(printed.stdout.split())
        counts.append(states["PENDING"] - (GPUS - states["RUNNING"] - states["COMPLETING"]))
        await asyncio.sleep(0.25)
    return counts


def idle_gaps_s(rows: Sequence[Row]) -> list[float]:
    """How long each freed GPU waited for its next job: the k-th end frees what the (GPUs + k)-th start takes.

    Only ends after which jobs were still waiting: the last GPUS starts are the tail.
    """
    starts = sorted(row.started_at for row in rows if row.started_at)
    ends = sorted(row.ended_at for row in rows if row.ended_at)
    followers = starts[GPUS:]
    return [(start - end) / timedelta(seconds=1) for end, start in zip(ends, followers, strict=False)]


async def test_the_cluster_is_fed_just_enough(
    database: Database, own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    slugs = slurm_house.names(5)
    cluster = own_cluster("24.11", nodes=2, gpus=GPUS // 2, binds=(), **slurm_house.site(slugs))
    tenants = await slurm_house.open_market(database, slugs)
    environment = slurm_house.environment(database, tmp_path, slurm_house.backends_toml(cluster, look_ahead=LOOK_AHEAD))
    done = asyncio.Event()
    with service(environment, tmp_path):
        await portal_listens(int(environment["KYOYO_PORT"]))
        url = f"http://127.0.0.1:{environment['KYOYO_PORT']}"
        counting = asyncio.create_task(waiting_for_room(cluster, done))
        await asyncio.gather(*(asyncio.to_thread(submit_and_wait, url, tenant, tmp_path) for tenant in tenants))
        done.set()
        counts = await counting

    rows = slurm_truth.ours(cluster)
    assert len(rows) == 5 * TASKS
    assert max(counts) <= LOOK_AHEAD
    assert max(counts) > 0, "nothing ever waited there: the cluster was not fed ahead"
    gaps = idle_gaps_s(rows)
    # sacct's seconds are whole: a gap of two cycles may read as three seconds.
    assert max(gaps) <= 2 * CYCLE_S + 1, sorted(gaps)[-10:]
