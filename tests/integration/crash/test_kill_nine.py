"""Hundreds of short jobs while somebody keeps killing the portal and the worker.

1. A startup submits jobs to the `local` backend over HTTP, with the real client, four at a time.
2. At moments that a seed draws, either process gets SIGKILL and is started again at once: between a commit and a
   submit, between a submit and its commit, in the middle of a collection window, with a request on the wire.
3. In the end every job has run once by its own log, every attempt is settled, the ledger balances and the audit, which
   shares no code with any of it, finds nothing to explain.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251  one seeded instance
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

import pricing.service as pricing
from infra.clock import new_id, utc_now
from infra.db.connection import Role, transaction
from kyoyo import Client, Job
from portal.demo import world
from portal.demo.seed import seed
from pricing.units import micro
from tests.support.database import Database
from tests.support.under_fire import (
    PATIENCE_S,
    ended_states,
    imbalance_and_open_holds,
    keep_killing,
    patiently,
    portal_listens,
    service,
    settings_of,
    unexplained,
    until_settled,
    worker_leads,
)

JOBS_AT_ONCE = 4
GRANT_YEN = "100000"
SCRIPT = '#!/bin/sh\necho "ran $KYOYO_ATTEMPT_ID"\nsleep 0.05\n'
BACKENDS = f"""\
[backends.{world.GPU_BACKEND}]
kind = "local"
gpus = 8
cpus = 16
memory_mb = 16384

[backends.{world.QPU_BACKEND}]
kind = "aer"
"""

pytestmark = [pytest.mark.postgres, pytest.mark.sandbox, pytest.mark.timeout(PATIENCE_S * 2), pytest.mark.takes(80)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard it is tried. deaths: of each process, at most; a loaded machine needs seconds for each new start."""

    seed: int
    jobs: int
    deaths: int


def submit_all(client: Client, folder: Path, numbers: range) -> list[Job]:
    """Each call has one Idempotency-Key, whatever happens to the portal meanwhile."""
    jobs = []
    for number in numbers:
        script = folder / f"job-{number}.sh"
        script.write_text(SCRIPT)
        again = partial(client.submit, script, time=60, gpus=1, name=f"short {number}", key=f"crash-{number}")
        jobs.append(patiently(again))
    return jobs


async def grant_enough(database: Database) -> None:
    """Two hundred ceilings of a minute are more than the demo's startup owns."""
    organisation_id = await database.owner.fetchval(
        "SELECT id FROM accounts.organisation WHERE slug = $1", world.STARTUP.slug
    )
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        await pricing.issue_grant(
            conn,
            grant_id=new_id(),
            organisation_id=organisation_id,
            amount_micro_yen=micro(GRANT_YEN),
            expires_at=utc_now() + timedelta(days=30),
            reason="crash test",
            actor=None,
            now=utc_now(),
        )


async def work(environment: Mapping[str, str], token: str, folder: Path, *, number: int) -> list[Job]:
    """Submit everything and wait until each job has ended, as a patient user does."""
    url = f"http://127.0.0.1:{environment['KYOYO_PORT']}"
    await portal_listens(int(environment["KYOYO_PORT"]))
    with Client(url, token, environment={}) as client:
        shares = [range(first, number, JOBS_AT_ONCE) for first in range(JOBS_AT_ONCE)]
        submitted = await asyncio.gather(*(asyncio.to_thread(submit_all, client, folder, share) for share in shares))
        jobs = [job for share in submitted for job in share]
        for job in jobs:
            await asyncio.to_thread(job.wait, timeout_s=PATIENCE_S)
        return jobs


def real_starts(root: Path) -> list[int]:
    """How often the user's code started in each attempt's folder, by what it printed itself."""
    return [(folder / "stdout").read_text().count("ran ") for folder in root.iterdir() if (folder / "stdout").exists()]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(seed=20261121, jobs=200, deaths=8),
        pytest.param(Plan(seed=20261122, jobs=800, deaths=40), marks=[pytest.mark.long, pytest.mark.timeout(3_000)]),
    ],
    ids=["short", "long"],
)
async def test_kills_at_random_moments_lose_no_job_run_none_twice_and_cost_no_yen(
    database: Database, tmp_path: Path, plan: Plan
) -> None:
    keys = await seed(database.portal, now=utc_now(), new_id=new_id)
    await grant_enough(database)
    environment = settings_of(database, tmp_path, BACKENDS)
    done = asyncio.Event()
    with service(environment, tmp_path) as victims:
        killers = [
            (victims["portal"], partial(portal_listens, int(environment["KYOYO_PORT"]))),
            (victims["worker"], partial(worker_leads, database)),
        ]
        async with asyncio.TaskGroup() as group:
            for number, (victim, ready) in enumerate(killers):
                group.create_task(
                    keep_killing(victim, ready, random.Random(f"{plan.seed}:{number}"), deaths=plan.deaths, until=done)
                )
            jobs = await work(environment, keys.startup, tmp_path, number=plan.jobs)
            done.set()
        deaths = {name: victim.deaths for name, victim in victims.items()}
        await until_settled(database)
    assert min(deaths.values()) >= 3, f"nothing was proven: {deaths}"

    assert len({job.id for job in jobs}) == plan.jobs
    assert await ended_states(database) == {"SUCCEEDED": plan.jobs}
    assert real_starts(tmp_path / "backends" / world.GPU_BACKEND) == [1] * plan.jobs
    assert await imbalance_and_open_holds(database) == (0, 0)
    assert unexplained(environment) == 0
