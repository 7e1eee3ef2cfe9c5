"""When waiting jobs should start: foreseen from the books, told to their owners, and to nobody else."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

import asyncpg
import pytest

from accounts.scopes import Scope
from hpc_adapters.simulated.behaviour import Behaviour
from infra.db.connection import Lease
from scheduler import service
from scheduler.core.reasons import Why
from scheduler.loops.forecasting import Foresight, Settings
from scheduler.reservations.model import Closure
from scheduler.views import ForecastView, JobView
from tests.support.database import Database
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


def long(**changed: object):
    return a_submission(body=Behaviour(run_s=500).script().body, **changed)


async def queue(world: World) -> tuple[list[JobView], list[JobView]]:
    """A full machine, and behind it three jobs of each of two organisations."""
    alpha, beta = await world.member("alpha"), await world.member("beta")
    for _ in range(2):
        await world.submit(alpha, long(name="alpha-runs", gpus=4))
    await world.round()
    mine = [await world.submit(alpha, long(name="alpha-secret", gpus=2)) for _ in range(3)]
    theirs = [await world.submit(beta, long(name="beta-secret", gpus=2)) for _ in range(3)]
    await world.round()
    return mine, theirs


async def foresee(world: World, lease: Lease | None = None) -> int:
    return await Foresight().tick(world.deps(lease), world.now)


async def told(world: World, job: JobView) -> ForecastView | None:
    waiting = (await world.job(job)).waiting
    return None if waiting is None else waiting.forecast


async def test_each_waiting_job_has_a_place_a_time_and_who_is_ahead(world: World) -> None:
    mine, theirs = await queue(world)
    assert await told(world, mine[0]) is None
    assert await foresee(world) == 6
    found = [await told(world, job) for job in [*mine, *theirs]]
    forecasts = [each for each in found if each is not None]
    assert sorted(each.position for each in forecasts) == [1, 2, 3, 4, 5, 6]
    for each in forecasts:
        assert each.as_of == world.now
        assert each.p50_at is not None
        assert each.p90_at is not None
        assert world.now <= each.p50_at <= each.p90_at <= world.now + timedelta(seconds=1400)
        assert sum(each.ahead.values()) == each.position - 1
    last = max((each for each in found[:3] if each), key=lambda each: each.position)
    assert last.ahead["own"] == 2
    assert "先に開始" in last.ahead_sentence.ja
    assert found[3] is not None
    assert found[3].position == 1  # beta has used nothing


async def test_nothing_names_the_jobs_of_others(world: World) -> None:
    mine, theirs = await queue(world)
    await foresee(world)
    strangers = {theirs[0].organisation_id, theirs[0].person_id, theirs[0].project_id}
    strangers |= {job.id for job in theirs} | {job.attempt_id for job in theirs}
    for job in mine:
        forecast = await told(world, job)
        assert forecast is not None
        said = repr(asdict(forecast))
        assert "beta" not in said
        assert not [each for each in strangers if str(each) in said]


async def test_a_tenant_reads_only_its_own_and_writes_nothing(world: World) -> None:
    mine, _ = await queue(world)
    alpha, nobody = await world.member("gamma"), mine[0].organisation_id
    await foresee(world)
    async with world.as_tenant(alpha) as conn:
        assert await conn.fetchval("SELECT count(*) FROM scheduler.forecast") == 0
    async with world.as_tenant(replace(alpha, organisation_id=nobody)) as conn:
        assert await conn.fetchval("SELECT count(*) FROM scheduler.forecast") == 3
    for word in ("UPDATE scheduler.forecast SET position = 1", "DELETE FROM scheduler.forecast"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.as_tenant(replace(alpha, organisation_id=nobody)) as conn:
                await conn.execute(word)


async def test_only_what_has_changed_is_written_and_what_has_started_is_told_no_more(world: World) -> None:
    mine, _ = await queue(world)
    assert await foresee(world) == 6
    assert await foresee(world) == 0
    world.clock.advance(301)
    assert await foresee(world) == 6  # still so, as of now
    for _ in range(4):
        await world.round(300)
    assert await told(world, mine[0]) is None
    async with world.as_tenant(await world.member("delta")) as conn:
        assert (await service.jobs(conn, organisation_id=None, limit=9)).items == []


async def test_what_waits_for_more_than_its_turn_is_not_foreseen(world: World) -> None:
    alpha = await world.member("alpha")
    later = await world.submit(alpha, long(begin_at=world.now + timedelta(hours=1)))
    await world.round()
    assert await foresee(world) == 0
    assert await told(world, later) is None


async def test_what_a_closure_or_a_limit_holds_up_is_foreseen(world: World) -> None:
    alpha, opens_at = await world.member("alpha"), world.now + timedelta(hours=1)
    closure = Closure(
        id=world.new_id(), backend=CLUSTER, since=world.now + timedelta(minutes=1), until=opens_at, reason="cooling"
    )
    operator = replace(alpha, person_id=world.market.person, scopes=frozenset({Scope.OPERATE.value}))
    async with world.market.as_operator() as conn:
        await service.close_backend(conn, actor=operator, closure=closure, now=world.now)
    job = await world.submit(alpha, long())
    await world.round()
    seen = await world.job(job)
    assert seen.waiting is not None
    assert seen.waiting.reason is Why.DEVICE_WINDOW
    await foresee(world)
    forecast = await told(world, job)
    assert forecast is not None
    assert forecast.p50_at is not None
    assert opens_at <= forecast.p50_at <= opens_at + timedelta(minutes=5)


async def test_a_stale_leader_writes_nothing(world: World) -> None:
    mine, _ = await queue(world)
    await world.market.database.owner.execute(
        "INSERT INTO infra.leader VALUES ('forecasting', 2, 'newer', now(), now())"
    )
    with pytest.raises(asyncpg.PostgresError, match="stale leader"):
        await foresee(world, Lease(loop="forecasting", token=1))
    assert await told(world, mine[0]) is None


async def test_two_jobs_of_a_new_house_are_no_flood_to_come(world: World) -> None:
    """What was submitted in its first second is not thought to come again each second."""
    mine, _ = await queue(world)
    await foresee(world)
    first = min([await told(world, job) for job in mine], key=lambda each: each.position if each else 99)
    assert first is not None
    assert first.p90_at is not None
    assert first.p90_at <= world.now + timedelta(seconds=720)


async def test_of_a_long_queue_only_the_first_are_foreseen(world: World) -> None:
    mine, theirs = await queue(world)
    assert await Foresight(Settings(jobs=2)).tick(world.deps(None), world.now) == 2
    found = [await told(world, job) for job in [*mine, *theirs]]
    assert sorted(each.position for each in found if each is not None) == [1, 2]
