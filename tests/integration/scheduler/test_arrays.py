"""Arrays: as many jobs as tasks, all or none, numbered, limited, cancelled in one go."""

from __future__ import annotations

from time import perf_counter

import pytest

from pricing import service as pricing
from pricing.errors import InsufficientFunds
from scheduler import errors, service
from scheduler.core.model import State
from scheduler.core.quotas import Share
from scheduler.core.reasons import Why
from scheduler.options import ArrayWish
from tests.support.database import Database
from tests.support.scheduled import World, a_submission, open_world


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


async def _counts(world: World) -> tuple[int, ...]:
    row = await world.market.database.owner.fetchrow(
        "SELECT (SELECT count(*) FROM scheduler.job), (SELECT count(*) FROM scheduler.job_payload), "
        "(SELECT count(*) FROM pricing.hold WHERE closed_at IS NULL), (SELECT count(*) FROM scheduler.attempt), "
        "(SELECT count(*) FROM pricing.ledger_transaction WHERE template = 'hold')"
    )
    assert row is not None
    return tuple(row)


async def test_each_task_is_a_job_of_its_own_with_its_number_and_its_hold(world: World) -> None:
    alice = await world.member("alice")
    await world.submit(alice)
    first = await world.submit(alice, a_submission(array=ArrayWish(indices=[7, 1, 3])))
    tasks = await world.tasks(alice, first)
    assert [(task.number, task.array.number, task.array.index, task.array.tasks) for task in tasks if task.array] == [
        (2, 2, 1, 3),
        (3, 2, 3, 3),
        (4, 2, 7, 3),
    ]
    assert first == tasks[0]
    assert await _counts(world) == (4, 2, 4, 4, 4)
    async with world.market.as_worker() as conn:
        money = await pricing.charges_by_job(conn, [task.id for task in tasks])
    assert len({each.held_micro_yen for each in money.values()}) == 1


async def test_an_array_is_all_or_nothing(world: World) -> None:
    poor = await world.member("poor", yen="200")  # 55 yen a task
    with pytest.raises(InsufficientFunds) as refused:
        await world.submit(poor, a_submission(array=ArrayWish(indices=range(4))))
    assert refused.value.facts["available_yen"] == "200"
    assert await _counts(world) == (0, 0, 0, 0, 0)
    await world.submit(poor, a_submission(array=ArrayWish(indices=range(3))))
    assert await _counts(world) == (3, 1, 3, 3, 3)


async def test_every_task_counts_in_the_queue(world: World) -> None:
    alice = await world.member("alice")
    async with world.market.as_operator() as conn:
        await service.set_share(
            conn,
            actor=None,
            organisation_id=alice.organisation_id,
            share=Share(max_queued_jobs=3),
            reason="a small one",
            now=world.now,
        )
    with pytest.raises(errors.QueueFull) as refused:
        await world.submit(alice, a_submission(array=ArrayWish(indices=range(4))))
    assert refused.value.facts == {"level": "organisation", "on": "*", "queued": 0, "max": 3, "asked": 4}
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(3))))


async def test_one_key_covers_the_whole_array(world: World) -> None:
    alice = await world.member("alice")
    wish = a_submission(array=ArrayWish(indices=[1, 2]))
    first, created = await world.submit_again(alice, wish, key="k")
    again, created_again = await world.submit_again(alice, wish, key="k")
    assert (again.id, created, created_again) == (first.id, True, False)
    with pytest.raises(errors.IdempotencyKeyReused):
        await world.submit_again(alice, a_submission(array=ArrayWish(indices=[1, 2, 3])), key="k")
    assert (await _counts(world))[0] == 2


async def test_no_more_tasks_run_than_may_and_each_is_told_which_it_is(world: World) -> None:
    alice = await world.member("alice")
    first = await world.submit(alice, a_submission(array=ArrayWish(indices=[2, 4, 6, 8], max_running=2)))
    for _ in range(12):
        await world.round()
        tasks = await world.tasks(alice, first)
        assert sum(task.state in {State.DISPATCHING, State.RUNNING} for task in tasks) <= 2
        if tasks[-1].waiting:
            assert tasks[-1].waiting.reason is Why.ARRAY_THROTTLE
    assert {task.state for task in tasks} == {State.SUCCEEDED}


async def test_a_whole_array_is_cancelled_in_one_go_and_what_had_ended_stays(world: World) -> None:
    alice = await world.member("alice")
    first = await world.submit(alice, a_submission(array=ArrayWish(indices=range(4), max_running=1)))
    await world.until_ended(first)
    async with world.as_tenant(alice) as conn:
        number = first.number or 0
        assert (await service.request_cancel_array(conn, principal=alice, number=number, now=world.now)).id == first.id
    for _ in range(3):
        await world.round()
    states = [task.state for task in await world.tasks(alice, first)]
    assert states == [State.SUCCEEDED, State.CANCELLED, State.CANCELLED, State.CANCELLED]


async def test_numbers_and_arrays_are_an_organisations_own(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    mine = await world.submit(alice, a_submission(array=ArrayWish(indices=[5])))
    theirs = await world.submit(bob)
    assert (mine.number, theirs.number) == (1, 1)
    async with world.as_tenant(bob) as conn:
        assert await service.job_id_of(conn, organisation_id=bob.organisation_id, name="1") == theirs.id
        for name in ("1_5", "2", "0", "-1", "1_", "١", "9" * 40, "1; --", ""):
            with pytest.raises(errors.JobNotFound):
                await service.job_id_of(conn, organisation_id=bob.organisation_id, name=name)
        with pytest.raises(errors.ArrayNotFound):
            await service.request_cancel_array(conn, principal=bob, number=1, now=world.now)
    async with world.as_tenant(alice) as conn:
        assert await service.job_id_of(conn, organisation_id=alice.organisation_id, name="1_5") == mine.id


async def test_a_thousand_tasks_take_seconds(world: World) -> None:
    alice = await world.member("alice")
    began = perf_counter()
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(1_000))))
    assert perf_counter() - began < 30  # one statement for each of a thousand would be a minute on a busy machine
    assert await _counts(world) == (1_000, 1, 1_000, 1_000, 1_000)
    async with world.market.as_worker() as conn:
        assert (await pricing.books(conn)).imbalance_micro_yen == 0
