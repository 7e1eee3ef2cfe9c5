"""Calls of running jobs that wait for too long: in our queue, and in their vendor's."""

from __future__ import annotations

import pytest

from accounts.model import Principal
from metering.audit.audit import audit
from metering.audit.model import Claims
from scheduler.core.events import DeviceAway
from scheduler.core.model import JobKind, State
from scheduler.loops.apply import note
from scheduler.store import callwaits
from scheduler.views import JobView
from tests.support.callers import NO_COLLECTOR_HERE, SIZE, a_caller, answered, made, started
from tests.support.database import Database
from tests.support.mailboxes import Mailboxes
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=SIZE)


@pytest.fixture
def post(world: World) -> Mailboxes:
    made_here = Mailboxes(world.backend)
    world.backends = {CLUSTER: made_here}  # type: ignore[dict-item]  it stands for one
    return made_here


@pytest.fixture
async def alice(world: World, post: Mailboxes) -> Principal:
    assert post
    return await world.member("alice")


async def test_a_call_that_its_device_does_not_take_ends_free_and_the_job_goes_on(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    blocker = a_submission(
        kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=90_000, walltime_s=3600
    )
    job = await started(world, alice, a_caller(wait_s=30))
    await world.submit(alice, blocker)
    await world.dispatch()
    post.ask(job.attempt_id, 1)
    await world.listen()
    world.clock.advance(30)
    await world.listen()
    assert (await made(world, job))[0].state is State.QUEUED
    world.clock.advance(1)
    await world.listen()
    assert post.told(job.attempt_id, 1) == {"error": {"code": "device-away", "facts": {}}}
    (call,) = await made(world, job)
    assert (call.state, call.reason, call.started_at) == (State.FAILED, "device_away", None)
    assert ("never_ran", False) in (await world.money(job))[1]
    assert (await world.job(job)).state is State.RUNNING


async def test_a_call_that_is_handed_over_as_its_wait_ends_is_carried_out(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice, a_caller(wait_s=30))
    post.ask(job.attempt_id, 1)
    await world.listen()
    world.clock.advance(31)
    async with world.market.as_worker() as conn:
        (overdue,) = await callwaits.overdue(conn, now=world.now, limit=10)
    await world.dispatch()
    away = DeviceAway(at=world.now, wait_s=overdue.wait_s)
    assert overdue.wait_s == 30
    async with world.market.as_worker() as conn:
        assert await callwaits.overdue(conn, now=world.now, limit=10) == []
    world.clock.advance(3)
    await world.observe()
    assert not (await note(world.deps(), overdue.id, away, now=world.now)).changed
    assert "counts" in await answered(world, post, job, 1)


async def _at_the_vendor(world: World, post: Mailboxes, who: Principal, starts_after_s: float = 10**6) -> JobView:
    """A job whose first call is in its vendor's queue, and has waited there for longer than was agreed."""
    job = await started(world, who, a_caller(wait_s=30))
    world.backend.cluster.force_next(starts_after_s=starts_after_s)
    post.ask(job.attempt_id, 1)
    await world.listen()
    await world.dispatch()
    world.clock.advance(25)
    await world.observe()
    await world.listen()
    assert (await made(world, job))[0].state is State.DISPATCHING
    world.clock.advance(6)
    return job


async def test_a_call_that_waits_in_its_vendors_queue_is_dropped_there_and_costs_nothing(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await _at_the_vendor(world, post, alice)
    await world.listen()
    (call,) = await made(world, job)
    assert (call.state, call.started_at) == (State.CANCELLING, None)
    assert await answered(world, post, job, 1) == {"error": {"code": "device-away", "facts": {}}}
    (call,) = await made(world, job)
    assert (call.state, call.reason, call.started_at) == (State.FAILED, "device_away", None)
    assert ("never_ran", False) in (await world.money(job))[1]
    assert (await world.job(job)).state is State.RUNNING
    async with world.market.as_worker() as conn:
        found = await audit(conn, [], Claims(), now=world.now)
    assert [each for each in found.differences if each.check not in NO_COLLECTOR_HERE] == []


async def test_a_call_that_began_as_its_vendor_was_asked_to_drop_it_is_settled_as_it_ended(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await _at_the_vendor(world, post, alice, starts_after_s=32)
    post.deaf = True
    await world.listen()
    assert (await made(world, job))[0].state is State.CANCELLING
    assert "counts" in await answered(world, post, job, 1)
    (call,) = await made(world, job)
    assert (call.state, call.reason) == (State.SUCCEEDED, None)
    assert call.started_at is not None
    assert ("succeeded", False) in (await world.money(job))[1]


async def test_a_wish_to_drop_a_call_that_was_lost_is_repeated(world: World, post: Mailboxes, alice: Principal) -> None:
    job = await _at_the_vendor(world, post, alice)
    post.deaf = True
    for _ in range(3):
        await world.round()
    assert (await made(world, job))[0].state is State.CANCELLING
    post.deaf = False
    assert (await answered(world, post, job, 1))["error"]["code"] == "device-away"
