"""The portal's application and the worker's loops in this process, in real time, before a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI

from hpc_adapters.contract import Backend
from infra.clock import new_id, utc_now
from metering.loops import capacity, collect
from metering.loops.deps import Deps as MeteringDeps
from portal.app import create_app
from portal.auth.sessions import Sessions
from portal.data.service import DataStore
from portal.data.shelf import JobShelf
from portal.deps import PortalDeps
from scheduler.loops import cancel, dispatch, observe, staging, sweep
from scheduler.loops.deps import Deps as SchedulerDeps
from tests.support import slurm_truth
from tests.support.database import Database
from tests.support.slurm_house import Tenant
from tests.support.under_fire import imbalance_and_open_holds

JOBS = "/api/v1/jobs"
PATIENCE_S = 120


@dataclass(slots=True)
class Clock:
    """Real time, and by how much this machine's own is wrong."""

    skew: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.skew


@dataclass(slots=True)
class LiveWorld:
    """The house before its machines, and its tenants."""

    database: Database
    tenants: Sequence[Tenant]
    clock: Clock
    app: FastAPI
    scheduling: SchedulerDeps

    # -- as a tenant --------------------------------------------------------------------------------------------------

    def client(self, tenant: Tenant, language: str = "en") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {tenant.token}", "Accept-Language": language}
        transport = httpx2.ASGITransport(self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://portal.test", headers=headers, timeout=60)

    async def send(self, tenant: Tenant, body: Mapping[str, Any], *, language: str = "en") -> httpx2.Response:
        """A submission of any kind."""
        async with self.client(tenant, language) as http:
            return await http.post(JOBS, json=body, headers={"Idempotency-Key": str(new_id())})

    async def taken(self, tenant: Tenant, body: Mapping[str, Any]) -> str:
        """The id of a job that was sent and taken."""
        answer = await self.send(tenant, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def get(self, tenant: Tenant, path: str) -> dict[str, Any]:
        """What the portal tells there."""
        async with self.client(tenant) as http:
            answer = await http.get(f"/api/v1{path}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

    async def job(self, tenant: Tenant, job_id: str, language: str = "en") -> dict[str, Any]:
        async with self.client(tenant, language) as http:
            found: dict[str, Any] = (await http.get(f"{JOBS}/{job_id}")).json()
            return found

    async def cancel(self, tenant: Tenant, job_id: str) -> None:
        async with self.client(tenant) as http:
            answer = await http.post(f"{JOBS}/{job_id}/cancel")
            assert answer.is_success, answer.text

    async def output(self, tenant: Tenant, job_id: str) -> str:
        async with self.client(tenant) as http:
            return str((await http.get(f"{JOBS}/{job_id}/logs")).json()["text"])

    async def held_yen(self, tenant: Tenant) -> str:
        async with self.client(tenant) as http:
            return str((await http.get("/api/v1/balance")).json()["held_yen"])

    # -- as the worker ------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Every loop of the worker turns once."""
        for turn in (staging.tick, dispatch.tick, cancel.tick, observe.tick, sweep.tick):
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


def house(
    database: Database, backends: Mapping[str, Backend], *, clock: Clock, data: DataStore | None = None
) -> tuple[PortalDeps, FastAPI, SchedulerDeps]:
    """Portal and worker before these machines. data: where files of organisations are kept."""
    deps = PortalDeps(pool=database.portal, backends=backends, sessions=Sessions(key=b"k" * 32), data=data, clock=clock)
    shelf = None if data is None else JobShelf(data, database.worker, new_id=new_id)
    scheduling = SchedulerDeps(pool=database.worker, lease=None, backends=backends, new_id=new_id, shelf=shelf)
    return deps, create_app(deps), scheduling
