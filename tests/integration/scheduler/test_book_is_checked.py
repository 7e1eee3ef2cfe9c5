"""The dispatcher's book is compared with the database now and then: where they differ, another one is opened."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from scheduler.core.model import State
from tests.support.database import Database
from tests.support.scheduled import World, a_submission, open_world

pytestmark = pytest.mark.postgres
DIFFERENCES = "kyoyo_scheduler_book_differences_total"


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


def differences() -> float:
    return REGISTRY.get_sample_value(DIFFERENCES) or 0.0


async def test_a_job_that_the_book_has_lost_is_found_again(world: World) -> None:
    alice = await world.member("alice")
    first = await world.submit(alice, a_submission(gpus=8))
    lost = await world.submit(alice, a_submission(gpus=8))
    await world.dispatch()
    assert (await world.job(lost)).state is State.QUEUED
    kept = world.memory.kept
    assert kept is not None
    row = await world.market.database.owner.fetchrow("SELECT id, seq FROM scheduler.attempt WHERE job_id = $1", lost.id)
    kept.book.gone(row["id"], world.now, seq=row["seq"])  # as if a change had been missed
    await world.until_ended(first)
    await world.dispatch()
    assert (await world.job(lost)).state is State.QUEUED
    before = differences()
    world.clock.advance(world.settings.check_every_s)
    await world.dispatch()
    assert (await world.job(lost)).state is State.DISPATCHING
    assert differences() == before + 1


async def test_a_book_that_says_the_same_is_kept(world: World) -> None:
    alice = await world.member("alice")
    for _ in range(4):
        await world.submit(alice, a_submission(gpus=4))
    await world.dispatch()
    kept, before = world.memory.kept, differences()
    world.clock.advance(world.settings.check_every_s)
    await world.dispatch()
    assert world.memory.kept is kept
    assert differences() == before
