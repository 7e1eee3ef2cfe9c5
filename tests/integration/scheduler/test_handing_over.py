"""Hand-overs side by side: so many at a time, none after an answer that did not come, and no needless question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from hpc_adapters.contract import Capacity, JobRequest, Ref, Resources
from hpc_adapters.errors import Unavailable
from scheduler.loops import dispatch
from scheduler.options import ArrayWish
from tests.support.database import Database
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

WIDE = Resources(gpus=64, cpus=640, memory_mb=64_000_000)


class Busy:
    """The simulated cluster, with something to do before it takes a job. Counts what it is asked."""

    def __init__(self, world: World, first: Callable[[int], Awaitable[None]]) -> None:
        self._backend, self._first = world.backend, first
        self.asked = self.under_way = self.most = self.sizes = 0
        world.backends = {CLUSTER: self}  # type: ignore[dict-item]  all of the port that is asked here

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)

    async def capacity(self) -> Capacity:
        self.sizes += 1
        return await self._backend.capacity()

    async def submit(self, request: JobRequest) -> Ref:
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self._first(self.asked)
            return await self._backend.submit(request)
        finally:
            self.under_way -= 1


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=WIDE)


async def _states(world: World) -> dict[str, int]:
    rows = await world.market.database.owner.fetch("SELECT state::text, count(*) FROM scheduler.attempt GROUP BY state")
    return {row["state"]: row["count"] for row in rows}


async def test_eight_are_on_their_way_at_a_time_and_never_more(world: World) -> None:
    together = asyncio.Barrier(8)  # opens only when eight have come

    async def all_eight(number: int) -> None:
        await asyncio.wait_for(together.wait(), 30)

    busy = Busy(world, all_eight)
    alice = await world.member("alice")
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(24))))
    assert await world.dispatch() == 24
    assert busy.most == 8
    assert await _states(world) == {"DISPATCHING": 24}


async def test_one_tick_hands_over_all_that_fits(world: World) -> None:
    async def at_once(number: int) -> None:
        return

    Busy(world, at_once)
    alice = await world.member("alice")
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(50))))  # more than one cycle starts
    assert await world.dispatch() == 50


@pytest.mark.parametrize("maybe_done", [False, True])
async def test_after_an_answer_that_did_not_come_nothing_more_is_sent(world: World, maybe_done: bool) -> None:  # noqa: FBT001  drawn
    async def third_fails(number: int) -> None:
        if number == 3:
            raise Unavailable("gone", maybe_done=maybe_done)
        if number > 3:
            await asyncio.sleep(0)

    busy = Busy(world, third_fails)
    alice = await world.member("alice")
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(40))))
    moved = await world.dispatch()
    assert busy.asked <= 3 + 8
    assert moved == busy.asked - 1
    states = await _states(world)
    lost_or_accepted = busy.asked if maybe_done else busy.asked - 1
    assert states == {"DISPATCHING": lost_or_accepted, "QUEUED": 40 - lost_or_accepted}


async def test_a_long_look_takes_no_time_from_the_hand_overs_after_it(world: World) -> None:
    passed_s = [0.0]

    class Slow(Busy):
        async def capacity(self) -> Capacity:
            passed_s[0] += 7.25  # more than the budget of a tick
            return await super().capacity()

    async def at_once(number: int) -> None:
        return

    busy = Slow(world, at_once)
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission())
    assert await dispatch.tick(world.deps(await world.leading()), world.now, lambda: passed_s[0]) == 1
    assert (busy.sizes, busy.asked) == (1, 1)
    sent_at = await world.market.database.owner.fetchval(
        "SELECT dispatched_at FROM scheduler.attempt WHERE job_id = $1", job.id
    )
    assert sent_at == world.now + timedelta(seconds=7)  # the sweep's patience counts from the hand-over


async def test_a_backends_size_is_asked_again_only_when_something_of_ours_has_changed_there(world: World) -> None:
    async def at_once(number: int) -> None:
        return

    busy = Busy(world, at_once)
    alice = await world.member("alice")
    before = await world.submit(alice)
    await world.dispatch()
    world.clock.advance(0.01)
    busy.sizes, deps = 0, world.deps(await world.leading())
    for _ in range(3):
        await world.submit(alice)
        world.clock.advance(0.01)
        assert await dispatch.tick(deps, world.now) == 1
    assert busy.sizes == 0  # it was told a moment ago, and nothing has started or ended since
    deps.memory.capacities.forget()
    await dispatch.tick(deps, world.now)
    assert busy.sizes == 1
    busy.sizes = 0
    while not (await world.job(before)).state.is_terminal:
        world.clock.advance(1)
        await world.observe()
    await world.submit(alice)
    await dispatch.tick(deps, world.now)
    assert busy.sizes == 1
