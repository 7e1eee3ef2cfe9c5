"""The portal's application and the worker's loops in this process, before a real database and a real Slurm cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import httpx2

from hpc_adapters.slurm.adapter import SlurmBackend
from infra.slurm.cluster import Cluster
from infra.slurm.records import Row
from pricing.model import Ending
from tests.support import slurm_house, slurm_truth
from tests.support.database import Database
from tests.support.live_world import Clock, LiveWorld, house
from tests.support.slurm_house import BACKEND, OFFERING, Tenant
from tests.support.slurm_site import settings_of
from tests.support.under_fire import imbalance_and_open_holds

MICRO_YEN_PER_GPU_S = 100_000
"""360 yen an hour, as slurm_house sells it."""
SCRIPT = '#!/bin/bash\necho "ran $KYOYO_ATTEMPT_ID by $(id -un)"\n'


@dataclass(slots=True)
class SlurmWorld(LiveWorld):
    """One cluster, the house before it, and its tenants, each called like its Unix user."""

    cluster: Cluster
    backend: SlurmBackend
    _closing: list[SlurmBackend] = field(default_factory=list)

    # -- as a tenant --------------------------------------------------------------------------------------------------

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
        return await self.send(tenant, body, language=language)

    async def submit(self, tenant: Tenant, **changes: Any) -> str:
        """The id of a job that was taken."""
        answer = await self.post(tenant, **changes)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    # -- as the worker ------------------------------------------------------------------------------------------------

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
    deps, app, scheduling = house(database, {BACKEND: backend}, clock=clock)
    world = SlurmWorld(database, tenants, clock, app, scheduling, cluster, backend, [backend])
    try:
        yield world
    finally:
        deps.streams.stop()
        for each in world._closing:
            await each.close()
