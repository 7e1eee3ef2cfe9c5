"""Ended attempts are forgotten when nobody needs their folders any more, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from accounts.model import Principal
from hpc_adapters.keeping import Freed
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from pricing import service as pricing
from scheduler.core.model import State
from scheduler.loops import forgetting
from scheduler.store import forgettable
from scheduler.views import JobView
from tests.support.database import Database
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres
STRANGER = UUID(int=5)


@dataclass
class Shelves:
    """Stands before a backend as one that keeps folders; all else is the backend's."""

    inner: SimulatedBackend
    here: list[UUID] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        assert moment.tzinfo is not None
        return list(self.here)

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        self.here = [each for each in self.here if each not in attempt_ids]
        return Freed(len(attempt_ids), 1000 * len(attempt_ids))


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


@pytest.fixture
def shelves(world: World) -> Shelves:
    made = Shelves(world.backend, [STRANGER])
    world.backends = {CLUSTER: made}  # type: ignore[dict-item]  it stands for one
    return made


async def _settle(world: World, job: JobView) -> None:
    async with world.market.as_worker() as conn:
        recorded = await pricing.record_usage(conn, [], attempt_id=job.attempt_id, final=True, now=world.now)
    assert recorded.settled


async def _tick(world: World) -> int:
    return await forgetting.tick(world.deps(), world.now)


async def test_what_is_settled_and_read_goes_after_its_time_and_nothing_else(world: World, shelves: Shelves) -> None:
    alice: Principal = await world.member("alice")
    long = Behaviour(run_s=500 * 86_400).script().body
    running = await world.submit(alice, a_submission(body=long, walltime_s=600 * 86_400 // 100))
    ended, unsettled = await world.submit(alice), await world.submit(alice)
    shelves.here += [job.attempt_id for job in (running, ended, unsettled)]
    ended, unsettled = await world.until_ended(ended), await world.until_ended(unsettled)
    assert (ended.state, unsettled.state) == (State.SUCCEEDED, State.SUCCEEDED)
    await _settle(world, ended)
    assert await _tick(world) == 0
    world.clock.advance(89 * 86_400)
    assert await _tick(world) == 0
    world.clock.advance(2 * 86_400)
    world.settings = replace(world.settings, keep_runs_days=None)
    assert await _tick(world) == 0
    world.settings = replace(world.settings, keep_runs_days=90)
    before = _freed()
    assert await _tick(world) == 1
    assert set(shelves.here) == {STRANGER, running.attempt_id, unsettled.attempt_id}
    assert _freed() - before == 1000
    assert await _tick(world) == 0
    await _settle(world, unsettled)
    assert await _tick(world) == 1


async def test_what_nobody_has_fetched_stays(world: World, shelves: Shelves) -> None:
    job = await world.until_ended(await world.submit(await world.member("alice")))
    late = world.now + timedelta(days=1)
    asked = {"backend": CLUSTER, "before": late}
    async with world.market.as_worker() as conn:
        assert await forgettable.among(conn, [STRANGER, job.attempt_id], **asked, keeps_files=False) == [job.attempt_id]
        assert await forgettable.among(conn, [job.attempt_id], **asked, keeps_files=True) == []
        assert await forgettable.among(conn, [job.attempt_id], backend="else", before=late, keeps_files=False) == []
    owner = world.market.database.owner
    await owner.execute("ALTER TABLE scheduler.attempt_result DISABLE TRIGGER append_only")
    await owner.execute("DELETE FROM scheduler.attempt_result")
    async with world.market.as_worker() as conn:
        assert await forgettable.among(conn, [job.attempt_id], **asked, keeps_files=False) == []


def _freed() -> float:
    return REGISTRY.get_sample_value("kyoyo_scheduler_freed_bytes_total", {"backend": CLUSTER}) or 0.0
