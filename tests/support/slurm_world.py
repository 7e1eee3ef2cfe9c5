"""The portal's application and the worker's loops in this process, before a real database and a real Slurm cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI

from hpc_adapters.slurm.adapter import SlurmBackend
from infra.clock import new_id, utc_now
from infra.slurm.cluster import Cluster
from infra.slurm.records import Row
from metering.loops import capacity, collect
from metering.loops.deps import Deps as MeteringDeps
from portal.app import create_app
from portal.auth.sessions import Sessions
from portal.deps import PortalDeps
from pricing.model import Ending
from scheduler.loops import cancel, dispatch, observe, sweep
from scheduler.loops.deps import Deps as SchedulerDeps
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.slurm_house import BACKEND, OFFERING, Tenant
from tests.support.slurm_site import settings_of
from tests.support.under_fire import imbalance_and_open_holds

JOBS = "/api/v1/jobs"
PATIENCE_S = 120
MICRO_YEN_PER_GPU_S = 100_000
"""360 yen an hour, as slurm_house sells it."""
SCRIPT = '#!/bin/bash\necho "ran $KYOYO_ATTEMPT_ID by $(id -un)"\n'


@dataclass(slots=True)
class Clock:
    """Real time, and by how much this machine's own is wrong."""

    skew: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.skew


@dataclass(slots=True)
class SlurmWorld:
    """One cluster, the house before it, and its tenants, each called like its Unix user."""

    database: Database
    cluster: Cluster
    tenants: Sequence[Tenant]
    clock: Clock
    backend: SlurmBackend
    app: FastAPI
    scheduling: SchedulerDeps
    _closing: list[SlurmBackend] = field(default_factory=list)

    # -- as a tenant --------------------------------------------------------------------------------------------------

    def client(self, tenant: Tenant, language: str = "en") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {tenant.token}", "Accept-Language": language}
        transport = httpx2.ASGITransport(self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://portal.test", headers=headers, timeout=60)

    async def post(self, tenant: Tenant, *, language: str = "en", **changes: Any) -> httpx2.Response:
        """A good submission, but for the changes."""
        body = {
            "name": "short",
            "kind": "batch",
            "offering": OFFERING,
            "gpus": 1,
            "walltime_s": 600,
            "script": SCRIPT,
            **changes,
        }
        async with self.client(tenant, language) as http:
            return await http.post(JOBS, json=body, headers={"Idempotency-Key": str(new_id())})

    async def submit(self, tenant: Tenant, **changes: Any) -> str:
        """The id of a job that was taken."""
        answer = await self.post(tenant, **changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def job(self, tenant: Tenant, job_id: str, language: str = "en") -> dict[str, Any]:
        async with self.client(tenant, language) as http:
            found: dict[str, Any] = (await http.get(f"{JOBS}/{job_id}")).json()
            return found

    async def output(self, tenant: Tenant, job_id: str) -> str:
        async with self.client(tenant) as http:
            return str((await http.get(f"{JOBS}/{job_id}/logs")).json()["text"])

    async def held_yen(self, tenant: Tenant) -> str:
        async with self.client(tenant) as http:
            return str((await http.get("/api/v1/balance")).json()["held_yen"])

    # -- as the worker ------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Every loop of the worker turns once."""
        for turn in (dispatch.tick, cancel.tick, observe.tick, sweep.tick):
            await turn(self.scheduling, self.clock())
        metering = MeteringDeps(pool=self.database.worker, backends=self.scheduling.backends)
        for turn in (capacity.tick, collect.tick):
            await turn(metering, self.clock())

    async def until(self, done: Callable[[], Awaitable[bool]], *, patience_s: float = PATIENCE_S) -> None:
        """The worker works until it is so."""
        try:
            async with asyncio.timeout(patience_s):
                while not await done():
                    await self.tick()
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError("\n".join(await slurm_truth.unsettled(self.database)) or "never so") from None

    async def until_in(self, state: str, *jobs: tuple[Tenant, str]) -> None:
        async def all_are() -> bool:
            return all([(await self.job(tenant, job))["state"] == state for tenant, job in jobs])

        await self.until(all_are)

    async def until_settled(self) -> None:
        """Until nothing is held any more."""

        async def settled() -> bool:
            return (await imbalance_and_open_holds(self.database))[1] == 0

        await self.until(settled)

    def speak_with(self, backend: SlurmBackend) -> None:
        """As after a restart with other settings. Metering and scheduling meet the new one; the portal too."""
        self._closing.append(backend)
        self.backend = backend
        self.scheduling = replace(self.scheduling, backends={BACKEND: backend})
        self.app.state.deps = replace(self.app.state.deps, backends={BACKEND: backend})

    # -- the truth ----------------------------------------------------------------------------------------------------

    async def rows(self) -> list[Row]:
        """What sacct says of our jobs once each record has ended and we have taken all of them."""
        rows: list[Row] = []

        async def taken() -> bool:
            rows[:] = await asyncio.to_thread(slurm_truth.ours, self.cluster)
            ours = await slurm_truth.taken_by_us(self.database)
            return all(row.ended_at is not None or row.started_at is None for row in rows) and all(
                slurm_truth.key(row) in ours for row in rows if slurm_truth.has_ended(row)
            )

        await self.until(taken)
        return rows

    async def check_books(self, *, may_be_late: bool = False) -> list[Row]:
        """Row by row: what we metered is what sacct says, what was charged follows from it, and nothing is held.

        may_be_late: Slurm may have lengthened records after they were charged; that is the house's loss.
        """
        await self.until_settled()
        rows = await self.rows()
        told = slurm_truth.gpu_seconds(rows, self.cluster.shared)
        ours = await slurm_truth.metered_gpu_seconds(self.database, BACKEND)
        assert {attempt: ours.get(attempt, 0) for attempt in told} == told
        assert set(ours) <= set(told)
        assert set(slurm_truth.real_starts(self.cluster.shared).values()) <= {1}
        assert await imbalance_and_open_holds(self.database) == (0, 0)
        await self._check_charges(told, {None, "late_correction"} if may_be_late else {None})
        return rows

    async def _check_charges(self, told: dict[UUID, int], waivers: set[str | None]) -> None:
        """Priced is what ran. Charged is all of that when the end is charged, but for waivers, and else nothing."""
        found = await self.database.owner.fetch(
            "SELECT b.attempt_id, b.ending::text, coalesce(sum(line.price_micro_yen), 0)::bigint AS price, "
            "coalesce(sum(line.charged_micro_yen), 0)::bigint AS charged, array_agg(DISTINCT line.waiver) AS waivers "
            "FROM pricing.billable_attempt b LEFT JOIN pricing.rated_line line USING (attempt_id) GROUP BY 1, 2"
        )
        for row in found:
            story = await self._story(row["attempt_id"])
            assert row["price"] == told.get(row["attempt_id"], 0) * MICRO_YEN_PER_GPU_S, story
            if not Ending(row["ending"]).is_charged:
                assert row["charged"] == 0, story
                continue
            assert set(row["waivers"]) <= waivers, story
            assert row["charged"] <= row["price"], story
            assert row["charged"] == row["price"] or set(row["waivers"]) != {None}, story

    async def _story(self, attempt_id: UUID) -> str:
        """What was metered and charged of an attempt, for whoever looks why."""
        owner = self.database.owner
        metered = await owner.fetch("SELECT * FROM metering.accounting_row WHERE attempt_id = $1", attempt_id)
        rated = await owner.fetch("SELECT * FROM pricing.rated_line WHERE attempt_id = $1", attempt_id)
        return "\n".join(str(dict(row)) for row in (*metered, *rated))


@asynccontextmanager
async def open_world(
    database: Database, cluster: Cluster, slugs: Sequence[str], **more: object
) -> AsyncIterator[SlurmWorld]:
    """more: settings of the backend. The cluster was started with `slurm_house.site(slugs)`."""
    tenants = await slurm_house.open_market(database, slugs)
    clock = Clock()
    backend = SlurmBackend(settings_of(cluster, **more), clock=clock)
    deps = PortalDeps(pool=database.portal, backends={BACKEND: backend}, sessions=Sessions(key=b"k" * 32), clock=clock)
    scheduling = SchedulerDeps(pool=database.worker, lease=None, backends={BACKEND: backend}, new_id=new_id)
    world = SlurmWorld(database, cluster, tenants, clock, backend, create_app(deps), scheduling, [backend])
    try:
        yield world
    finally:
        deps.streams.stop()
        for each in world._closing:
            await each.close()
