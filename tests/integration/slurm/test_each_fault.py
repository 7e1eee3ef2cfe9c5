"""One fault at a time, with everything real but the processes: afterwards our books are sacct's, row by row."""

from __future__ import annotations

import asyncio
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from hpc_adapters.jobhead.places import native
from hpc_adapters.slurm.adapter import SlurmBackend
from infra.slurm.cluster import Cluster
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.dying_worker import Order
from tests.support.slurm_house import BACKEND, Tenant
from tests.support.slurm_site import settings_of
from tests.support.slurm_world import SCRIPT, SlurmWorld, open_world

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slurm,
    pytest.mark.root,
    pytest.mark.timeout(480),
    pytest.mark.takes(30),
]

StartCluster = Callable[..., Cluster]
REQUEUES = 3
"""So many of each job are taken by Slurm."""
SLUGS = slurm_house.names(2)
LONG = SCRIPT + "until [ -e go ]; do sleep 0.2; done\n"
"""Runs until its working folder holds a file `go`."""


def started(own_cluster: StartCluster, release: str = "24.11", **site: object) -> Cluster:
    return own_cluster(release, **{"nodes": 2, "binds": (), **slurm_house.site(SLUGS), **site})


async def let_go(world: SlurmWorld, tenant: Tenant, job: str) -> None:
    """Lets a LONG job end."""
    attempt = await world.database.owner.fetchval(
        "SELECT id FROM scheduler.attempt WHERE job_id = $1 ORDER BY ordinal DESC LIMIT 1", job
    )
    (world.cluster.shared / tenant.unix_user / str(attempt) / "go").touch()


async def slurm_id(world: SlurmWorld, job: str) -> int:
    ref = await world.database.owner.fetchval(
        "SELECT backend_ref FROM scheduler.attempt WHERE job_id = $1 AND backend_ref IS NOT NULL "
        "ORDER BY ordinal DESC LIMIT 1",
        job,
    )
    told = native(ref)
    assert told is not None
    return told.job_id


async def until_printed(world: SlurmWorld, tenant: Tenant, job: str) -> None:
    async def has_printed() -> bool:
        state = (await world.job(tenant, job))["state"]
        return state == "RUNNING" and "ran " in await world.output(tenant, job)

    await world.until(has_printed)


async def until_purged(world: SlurmWorld, job_ids: Collection[str]) -> None:
    """Until slurmctld itself has forgotten them."""

    async def purged() -> bool:
        asked = ("squeue", "--noheader", "--states=all", "--format=%A")
        printed = await asyncio.to_thread(world.cluster.exec, *asked, check=True)
        return set(printed.stdout.split()).isdisjoint(job_ids)

    await world.until(purged)


async def ticks(world: SlurmWorld, count: int) -> None:
    for _ in range(count):
        await world.tick()
        await asyncio.sleep(0.1)


# -- authentication and time -------------------------------------------------------------------------------------------


def rotate_key(cluster: Cluster, key: bytes) -> None:
    """As the site does it: both daemons that know the key are stopped in order and started again."""
    cluster.jwt_key_file.write_bytes(key)
    for daemon in ("slurmctld", "slurmdbd"):
        cluster.kill(daemon, number=signal.SIGTERM)
    for daemon in ("slurmdbd", "slurmctld"):
        cluster.start_daemon(daemon)


async def test_a_site_that_changed_its_key_loses_nothing_of_ours(
    database: Database, own_cluster: StartCluster, release: str
) -> None:
    cluster = started(own_cluster, release)
    async with open_world(database, cluster, SLUGS) as world:
        one, two = world.tenants
        running = await world.submit(one, script=LONG)
        await until_printed(world, one, running)
        rotate_key(cluster, b"another key of the site" * 2)
        health = await world.backend.health()
        assert not health.ok
        assert health.detail.startswith("token-refused")
        waiting = await world.submit(two)
        await let_go(world, one, running)
        await ticks(world, 10)
        assert (await world.job(one, running))["state"] == "RUNNING"
        assert (await world.job(two, waiting))["state"] == "QUEUED"
        world.speak_with(SlurmBackend(settings_of(cluster), clock=world.clock))
        await world.until_in("SUCCEEDED", (one, running), (two, waiting))
        assert (await world.backend.health()).ok
        assert len(await world.check_books()) == 2


@pytest.mark.parametrize("minutes", [10, -10])
async def test_a_wrong_clock_of_ours_is_told_and_changes_no_charge(
    database: Database, own_cluster: StartCluster, minutes: int
) -> None:
    """Ahead, everything goes on. Behind, our tokens have expired when they are made: nothing goes on, or is lost."""
    cluster = started(own_cluster)
    async with open_world(database, cluster, SLUGS) as world:
        one, two = world.tenants
        before = await world.submit(one, script=LONG)
        await until_printed(world, one, before)
        waiting = await world.submit(two)
        world.clock.skew = timedelta(minutes=minutes)
        health = await world.backend.health()
        assert not health.ok
        assert health.detail.startswith("clock-skew" if minutes > 0 else "token-refused")
        await let_go(world, one, before)
        if minutes > 0:
            await world.until_in("SUCCEEDED", (one, before), (two, waiting), (two, await world.submit(two)))
        else:
            await ticks(world, 10)
        world.clock.skew = timedelta(0)
        if minutes < 0:
            assert (await world.job(two, waiting))["state"] == "QUEUED"
        after = await world.submit(two)
        await world.until_in("SUCCEEDED", (one, before), (two, waiting), (two, after))
        assert (await world.backend.health()).ok
        assert len(await world.check_books()) == (4 if minutes > 0 else 3)


# -- requeues and ids --------------------------------------------------------------------------------------------------


async def allow_requeue(cluster: Cluster, job_id: int) -> None:
    """By an operator, of a job that we sent as one that must not be."""
    await asyncio.to_thread(cluster.exec, "scontrol", "update", f"jobid={job_id}", "requeue=1", check=True)


async def requeue_again_and_again(world: SlurmWorld, job_ids: Sequence[str]) -> None:
    """Until Slurm has taken so many of each."""
    taken = Counter[str]()

    async def blown_over() -> bool:
        for job_id in job_ids:
            done = await asyncio.to_thread(world.cluster.exec, "scontrol", "requeue", job_id)
            taken[job_id] += done.returncode == 0
        return min(taken[job_id] for job_id in job_ids) >= REQUEUES

    await world.until(blown_over)


async def test_a_storm_of_requeues_starts_no_program_twice(
    database: Database, own_cluster: StartCluster, release: str
) -> None:
    """Of a job that runs, and of one that has ended: again and again, whatever it does at that moment."""
    cluster = started(own_cluster, release)
    async with open_world(database, cluster, SLUGS) as world:
        one, two = world.tenants
        running = await world.submit(one, script=LONG, max_attempts=3)
        ended = await world.submit(two, script=LONG)
        for tenant, job in ((one, running), (two, ended)):
            await until_printed(world, tenant, job)
            await allow_requeue(cluster, await slurm_id(world, job))
        storm = [str(await slurm_id(world, job)) for job in (running, ended)]
        await let_go(world, two, ended)
        await world.until_in("SUCCEEDED", (two, ended))
        await requeue_again_and_again(world, storm)
        await until_printed(world, one, running)
        await let_go(world, one, running)
        await world.until_in("SUCCEEDED", (one, running), (two, ended))
        rows = await world.check_books(may_be_late=True)
        job = await world.job(one, running)
        first, second = (attempt["ending"] for attempt in job["attempts"])
        assert first in {"preempted", "lost"}  # by the record that is there when we look; neither is charged
        assert second == "succeeded"
        assert (await world.job(two, ended))["attempt_count"] == 1
        assert len({slurm_truth.key(row) for row in rows}) > 3, "the storm left no record of its own"


async def test_ids_that_begin_again_cross_nothing(database: Database, own_cluster: StartCluster, release: str) -> None:
    cluster = started(own_cluster, release, first_job_id=100, max_job_id=105, min_job_age_s=2)
    async with open_world(database, cluster, SLUGS) as world:
        jobs: list[tuple[Tenant, str]] = []
        for tenant in world.tenants:  # the second one gets the ids of the first
            wave = [(tenant, await world.submit(tenant)) for _ in range(5)]
            await world.until_in("SUCCEEDED", *wave)
            await until_purged(world, {str(await slurm_id(world, job)) for _, job in wave})
            jobs += wave
        rows = await world.check_books()
        assert len(rows) == len(jobs)
        ids = [{row.job_id for row in rows if row.user == tenant.unix_user} for tenant in world.tenants]
        assert len(ids[0] & ids[1]) >= 4, ids
        assert len(await slurm_truth.taken_by_us(database)) == len(rows)
        for tenant, job in jobs:
            attempt = (await world.job(tenant, job))["attempts"][-1]["id"]
            assert await world.output(tenant, job) == f"ran {attempt} by {tenant.unix_user}\n"


# -- a worker that dies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "not-sent"])
async def test_a_worker_that_dies_at_the_submission_starts_the_job_once(
    database: Database, own_cluster: StartCluster, *, answered: bool
) -> None:
    cluster = started(own_cluster)
    async with open_world(database, cluster, SLUGS) as world:
        one, _ = world.tenants
        job = await world.submit(one)
        order = pickle.dumps(Order(database.url, settings_of(cluster), answered))
        command = [sys.executable, "-m", "tests.support.dying_worker"]
        died = await asyncio.to_thread(subprocess.run, command, input=order, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        told = await world.job(one, job)
        assert (told["state"], told["attempt_count"]) == ("DISPATCHING", 1)
        assert len(slurm_truth.ours(cluster)) == int(answered)
        await world.until_in("SUCCEEDED", (one, job))
        [row] = await world.check_books()
        assert slurm_truth.attempt_of(row) is not None
        assert set(slurm_truth.real_starts(cluster.shared).values()) == {1}
        assert (await world.job(one, job))["attempt_count"] == 1


# -- the accounting is away --------------------------------------------------------------------------------------------


def lag_s() -> float:
    return REGISTRY.get_sample_value("kyoyo_accounting_lag_seconds", {"backend": BACKEND}) or 0.0


async def until_handed_over(world: SlurmWorld, jobs: Sequence[tuple[Tenant, str]]) -> None:
    async def handed_over() -> bool:
        states = {(await world.job(tenant, job))["state"] for tenant, job in jobs}
        return not states & {"QUEUED", "DISPATCHING"}

    await world.until(handed_over)


async def test_a_slurmdbd_that_was_away_for_whole_lives_of_jobs_is_late_and_no_more(
    database: Database, own_cluster: StartCluster, release: str
) -> None:
    cluster = started(own_cluster, release, min_job_age_s=2)
    async with open_world(database, cluster, SLUGS) as world:
        one, two = world.tenants
        known = await world.submit(one)
        await world.until_in("SUCCEEDED", (one, known))
        await world.until_settled()
        cluster.kill("slurmdbd")
        unseen = [(one, await world.submit(one))]
        await until_handed_over(world, unseen)
        world.speak_with(SlurmBackend(settings_of(cluster), clock=world.clock))  # a worker that never saw slurmdbd
        unseen += [(two, await world.submit(two)) for _ in range(2)]
        await until_handed_over(world, unseen)
        await until_purged(world, {str(await slurm_id(world, job)) for _, job in unseen})
        assert "accounting: " in (await world.backend.health()).detail
        assert lag_s() > 2
        assert await world.held_yen(two) != "0"  # nothing is charged, nothing given back, on a guess
        cluster.start_daemon("slurmdbd")
        await world.until_in("SUCCEEDED", *unseen)
        assert len(await world.check_books()) == 4
        assert all([(await world.job(tenant, job))["attempt_count"] == 1 for tenant, job in unseen])
        assert lag_s() < 2
