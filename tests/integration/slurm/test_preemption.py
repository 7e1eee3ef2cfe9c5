"""On a real Slurm: spot work that fills the cluster is signalled, saves its work, and goes on after the urgent job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from hpc_adapters.contract import Identity
from hpc_adapters.slurm.adapter import SlurmBackend
from infra.clock import utc_now
from infra.db.connection import Role, transaction
from infra.slurm.cluster import Cluster
from pricing.model import Component, NewPrice, ServiceClass
from pricing.units import micro
from scheduler.core.snapshot import Policy, Preemption
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.live_world import Clock, LiveWorld, house
from tests.support.slurm_house import BACKEND, OFFERING
from tests.support.slurm_site import settings_of
from tests.support.staff import published
from tests.support.under_fire import imbalance_and_open_holds

pytestmark = [pytest.mark.postgres, pytest.mark.slurm, pytest.mark.timeout(180)]

HALF = 16
"""GPUs of two nodes: half of the cluster."""
SAVES = """#!/bin/bash
saved="$KYOYO_CHECKPOINT_DIR/saved"
if [ -e "$saved" ]; then echo '{"resumed": true}' >result.json; exit 0; fi
trap 'echo yes >"$saved"; exit 0' TERM
while true; do sleep 0.1; done
"""


async def _sell_spot(database: Database) -> None:
    now = utc_now()
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        reference = await conn.fetchval("SELECT id FROM pricing.market_reference LIMIT 1")
        price = NewPrice(
            component=Component.GPU_S,
            per=Decimal(3600),
            price_micro_yen=micro("100"),
            list_micro_yen=micro("800"),
            market_reference_id=reference,
        )
        await published(conn, slurm_house.a_version(price, ServiceClass.SPOT, now), now=now)


@pytest.fixture
async def world(database: Database, slurm_2411: Cluster) -> AsyncIterator[LiveWorld]:
    tenants = await slurm_house.open_market(database, ["lab"], users={"lab": Identity("alice", "lab-a")})
    await _sell_spot(database)
    clock = Clock()
    backend = SlurmBackend(settings_of(slurm_2411, accounting_lag_s=1.0), clock=clock)
    deps, app, scheduling = house(database, {BACKEND: backend}, clock=clock)
    policy = Policy(preemption=Preemption(protected_s=0))
    scheduling = replace(scheduling, settings=replace(scheduling.settings, policy=policy))
    yield LiveWorld(database, tenants, clock, app, scheduling)
    deps.streams.stop()
    await backend.close()


async def test_one_leaves_at_a_signal_is_tried_again_and_pays_only_for_what_it_ran_then(
    world: LiveWorld, slurm_2411: Cluster
) -> None:
    (tenant,) = world.tenants

    async def is_free() -> bool:  # of what others have left there
        return (await world.scheduling.backends[BACKEND].capacity()).free.gpus == 2 * HALF

    await world.until(is_free)
    body = {"kind": "batch", "offering": OFFERING, "gpus": HALF, "nodes": 2, "walltime_s": 120, "script": SAVES}
    wish = {**body, "name": "spot", "service_class": "spot", "max_attempts": 2}
    spots = [await world.taken(tenant, wish) for _ in range(2)]
    await world.until_in("RUNNING", *((tenant, each) for each in spots))
    urgent = await world.taken(tenant, {**body, "name": "urgent", "script": "#!/bin/bash\ntrue\n"})
    await world.until_in("SUCCEEDED", (tenant, urgent))
    told = [await world.job(tenant, each) for each in spots]
    (left,) = [each for each in told if each["attempt_count"] == 2]
    (stayed,) = [each for each in told if each["attempt_count"] == 1]
    assert stayed["state"] == "RUNNING"  # what was enough was enough
    await world.until_in("SUCCEEDED", (tenant, left["id"]))
    await world.cancel(tenant, stayed["id"])

    await world.until_settled()
    left = await world.job(tenant, left["id"])
    assert [(each["state"], each["ending"]) for each in left["attempts"]] == [
        ("PREEMPTED", "preempted"),
        ("SUCCEEDED", "succeeded"),
    ]
    assert Decimal(left["attempts"][0]["charge_yen"]) == 0
    assert ("PreemptRequested", "least_work_lost") in [
        (each["kind"], (each["decision"] or {}).get("rule")) for each in left["story"]
    ]
    assert await _result(world, left["id"]) == {"resumed": True}
    assert (await world.job(tenant, stayed["id"]))["state"] == "CANCELLED"
    assert await imbalance_and_open_holds(world.database) == (0, 0)
    assert set(slurm_truth.real_starts(slurm_2411.shared).values()) <= {1}


async def _result(world: LiveWorld, job_id: str) -> object:
    async with world.client(world.tenants[0]) as http:
        return (await http.get(f"/api/v1/jobs/{job_id}/result")).json()
