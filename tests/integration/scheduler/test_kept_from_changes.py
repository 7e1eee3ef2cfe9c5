"""State that is kept from changes alone, and state that is loaded as columns: both are what everything read gives."""

from __future__ import annotations

import random  # noqa: TID251  one seeded instance
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from accounts.model import Principal
from hpc_adapters.simulated.behaviour import Behaviour
from scheduler.core.dependencies import DependencyKind
from scheduler.core.reasons import Why
from scheduler.files import FrozenInput
from scheduler.options import ArrayWish, Dependency
from scheduler.store import attempts, columns, files
from scheduler.views import JobView
from tests.integration.scheduler.test_hybrid import a_hybrid, gpu, qpu
from tests.integration.scheduler.test_reservations import HOUR, book, booking, cancel, in_it, reservable
from tests.integration.scheduler.test_sessions import a_session, a_world, inside
from tests.support.callers import SIZE, a_caller
from tests.support.database import Database
from tests.support.mailboxes import Mailboxes
from tests.support.scheduled import CLUSTER, World, a_submission, open_world
from tests.support.shadow import Picture, Shadow

pytestmark = pytest.mark.postgres


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=SIZE)


@pytest.fixture
async def alice(world: World) -> Principal:
    return await world.member("alice")


@dataclass(frozen=True)
class Filed:
    id: UUID
    job_id: UUID
    organisation_id: UUID


@dataclass
class Walk:
    """Two organisations that do whatever comes to their minds, on a machine where jobs end, fail and call."""

    world: World
    who: list[Principal]
    post: Mailboxes
    chance: random.Random
    jobs: list[tuple[Principal, JobView]] = field(default_factory=list)

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[object]]] = [self.submit] * 4 + [self.world.round] * 6
        steps += [self.cancel, self.call, self.reserve, self.park, *[self.bring] * 3, self.observe]
        await self.chance.choice(steps)()

    async def submit(self) -> None:
        who, chance = self.chance.choice(self.who), self.chance
        body = Behaviour(run_s=chance.choice([1, 3, 30]), exit_code=chance.choice([0, 0, 1])).script().body
        wish = chance.choice(
            [
                lambda: a_submission(body=body, gpus=chance.choice([1, 2, 4]), walltime_s=chance.choice([10, 600])),
                lambda: a_submission(body=body, array=ArrayWish(indices=range(4), max_running=2), **self.after(who)),
                lambda: a_submission(body=body, max_attempts=3, max_timeouts=1, walltime_s=2, **self.after(who)),
                lambda: a_submission(body=body, begin_at=self.world.now + timedelta(seconds=chance.choice([5, 500]))),
                lambda: a_caller(run_s=20),
                lambda: a_hybrid(gpu("prepare"), qpu("measure", 10), gpu("tell")),
            ]
        )
        self.jobs.append((who, await self.world.submit(who, wish())))

    def after(self, who: Principal) -> dict[str, object]:
        own = [job for of, job in self.jobs if of == who and job.number is not None]
        if not own:
            return {}
        on = self.chance.choice(own)
        return {"dependencies": (Dependency(kind=self.chance.choice(list(DependencyKind)), job=str(on.number)),)}

    async def cancel(self) -> None:
        if self.jobs:
            who, job = self.chance.choice(self.jobs)
            await self.world.cancel(who, job)

    async def call(self) -> None:
        for _, job in self.jobs:
            self.post.ask(job.attempt_id, 1)
        await self.world.listen()

    async def reserve(self) -> None:
        who = self.chance.choice(self.who)
        made = await book(self.world, who, booking(10, 11, units=1))
        self.jobs.append((who, await self.world.submit(who, in_it(f"R{made.number}", walltime_s=600))))
        if self.chance.random() < 0.5:
            await cancel(self.world, who, f"R{made.number}")

    async def park(self) -> None:
        for each in await self.queued():
            async with self.world.market.as_worker() as conn:
                why, facts = self.chance.choice([(Why.PARKED, {"problem": "x"}), (Why.NOT_ELIGIBLE, {"code": "y"})])
                until = self.world.now + timedelta(seconds=self.chance.choice([1, 60]))
                await attempts.set_aside(conn, each.id, until=until, why=why, facts=facts)

    async def bring(self) -> None:
        """What one that waits is to read; the next time, how far that has come."""
        for each in await self.queued():
            async with self.world.market.as_worker() as conn:
                asked = FrozenInput(name="a", key="a", object_id=each.id, size=1, checksum="c")
                if not await conn.fetchval("SELECT count(*) FROM scheduler.job_input WHERE job_id = $1", each.job_id):
                    await files.insert_inputs(conn, each.job_id, each.organisation_id, [asked])
                elif self.chance.random() < 0.5:
                    await files.set_staged(conn, each, now=self.world.now)
                else:
                    await files.retry_later(conn, each, problem="away", at=self.world.now)

    async def observe(self) -> None:
        self.world.clock.advance(self.chance.choice([1, 40]))
        await self.world.observe()

    async def queued(self) -> list[Filed]:
        """One that waits, if any does."""
        rows = await self.world.market.database.owner.fetch(
            "SELECT id, job_id, organisation_id FROM scheduler.attempt WHERE state = 'QUEUED' ORDER BY seq"
        )
        return [Filed(**self.chance.choice(rows))] if rows else []


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_kept_from_changes_alone_is_what_everything_read_gives(world: World, seed: int) -> None:
    post = Mailboxes(world.backend)
    world.backends = {CLUSTER: post}  # type: ignore[dict-item]  it stands for one
    await reservable(world, units=4)
    walk = Walk(world, [await world.member("alice"), await world.member("bob")], post, random.Random(seed))
    shadow = await Shadow.beside(world.market.database)
    named = 0
    for step in range(90):
        await walk.step()
        changes = await shadow.follow()
        if step % 10 == 9:
            assert await Picture.loaded(world.market.database.worker, large=0) == shadow.picture
        named += len(changes.live.waiting) + len(changes.live.held) + len(changes.live.gone)
    assert named > 60
    assert not await shadow.follow()


async def test_a_session_tells_the_circuits_that_wait_for_it(database: Database) -> None:
    world, _, who = await a_world(database)
    shadow = await Shadow.beside(database)
    session = await a_session(world, who)
    circuits = [await inside(world, who, session) for _ in range(3)]
    for _ in range(4):
        await world.round()
        await shadow.follow()
    await world.cancel(who, session)
    while not (await world.job(circuits[-1])).state.is_terminal:
        await world.round()
        await shadow.follow()


async def test_what_needs_no_more_comes_as_columns_and_the_rest_as_objects(world: World, alice: Principal) -> None:
    first = await world.submit(alice, a_submission(gpus=1, walltime_s=77))
    array = await world.submit(alice, a_submission(array=ArrayWish(indices=[3, 5], max_running=1)))
    later = await world.submit(alice, a_submission(begin_at=world.now + HOUR))
    waits = await world.submit(
        alice, a_submission(dependencies=(Dependency(kind=DependencyKind.AFTEROK, job=str(first.number)),))
    )
    pool = world.market.database.worker
    queued, live = await columns.load(pool)
    assert [queued.id_of(index) for index in range(3)] == [
        first.attempt_id,
        *(task.attempt_id for task in await world.tasks(alice, array)),
    ]
    assert {each.attempt_id for each in live.waiting} == {later.attempt_id, waits.attempt_id}
    assert (len(queued), len(queued.leaves), len(queued.shapes)) == (3, 1, 1)
    assert queued.walltime_s.tolist() == [77, 600, 600]
    assert await Picture.loaded(pool) == await Picture.read(pool)


async def test_an_empty_queue_is_loaded_as_one(database: Database) -> None:
    queued, live = await columns.load(database.worker)
    assert (len(queued), live.waiting, live.held) == (0, [], [])
