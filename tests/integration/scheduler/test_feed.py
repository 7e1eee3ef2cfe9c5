"""What the scheduler's leader is told of: enough to keep, from changes alone, what a reading of everything gives."""

from __future__ import annotations

import random  # noqa: TID251  one seeded instance
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from accounts import service as accounts
from accounts.model import Principal
from hpc_adapters.devices import DeviceState
from hpc_adapters.simulated.behaviour import Behaviour
from infra.db.connection import Conn, Lease, Role, transaction
from scheduler import service
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Wait
from scheduler.files import FrozenInput
from scheduler.options import ArrayWish, Dependency
from scheduler.reservations.model import Closure
from scheduler.store import attempts, columns, feed, files, planning
from scheduler.store import devices as device_store
from scheduler.store.feed import Topic
from scheduler.views import JobView
from tests.integration.scheduler.test_hybrid import a_hybrid, gpu, qpu
from tests.integration.scheduler.test_reservations import HOUR, book, booking, cancel, in_it, operator, reservable
from tests.integration.scheduler.test_sessions import a_session, a_world, inside
from tests.integration.scheduler.test_share_tree import set_of
from tests.support.callers import SIZE, a_caller
from tests.support.database import Database
from tests.support.devices import a_device
from tests.support.mailboxes import Mailboxes
from tests.support.market import an_id
from tests.support.scheduled import CLUSTER, World, a_submission, open_world
from tests.support.shadow import Picture, Shadow

pytestmark = pytest.mark.postgres

LEADER = (
    "INSERT INTO infra.leader VALUES ('dispatch', $1, 'test', now(), now()) ON CONFLICT (loop) DO UPDATE SET token = $1"
)


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=SIZE)


@pytest.fixture
async def alice(world: World) -> Principal:
    return await world.member("alice")


async def told(world: World) -> feed.Changes:
    """What the leader would be told: nobody leads while this is asked."""
    return await feed.changes(world.market.database.worker, lease=None)


# -- everything at once ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filed:
    id: UUID
    job_id: UUID
    organisation_id: UUID


@dataclass
class Walk:
    """Two organisations that do whatever comes to their minds, on a machine where jobs end, fail, call and are lost."""

    world: World
    who: list[Principal]
    post: Mailboxes
    chance: random.Random
    jobs: list[tuple[Principal, JobView]] = field(default_factory=list)

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[object]]] = [self.submit] * 4 + [self.world.round] * 6
        steps += [self.cancel, self.call, self.reserve, self.park, self.bring, self.observe]
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
        for each in await self.queued():
            async with self.world.market.as_worker() as conn:
                made = FrozenInput(name="a", key="a", object_id=each.id, size=1, checksum="c")
                if not await conn.fetchval("SELECT count(*) FROM scheduler.job_input WHERE job_id = $1", each.job_id):
                    await files.insert_inputs(conn, each.job_id, each.organisation_id, [made])
                if self.chance.random() < 0.5:
                    await files.set_staged(conn, each, now=self.world.now)
                else:
                    await files.retry_later(conn, each, problem="away", at=self.world.now)

    async def observe(self) -> None:
        self.world.clock.advance(self.chance.choice([1, 40]))
        await self.world.observe()

    async def queued(self) -> list[Filed]:
        rows = await self.world.market.database.owner.fetch(
            "SELECT id, job_id, organisation_id FROM scheduler.attempt WHERE state = 'QUEUED' ORDER BY seq LIMIT 1"
        )
        return [Filed(**row) for row in rows]


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
            assert await Picture.loaded(world.market.database.worker) == shadow.picture
        named += len(changes.live.waiting) + len(changes.live.held) + len(changes.live.gone)
    assert named > 100
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


# -- one by one --------------------------------------------------------------------------------------------------------


async def test_an_end_tells_those_that_wait_for_it_and_what_it_was_charged(world: World, alice: Principal) -> None:
    first = await world.submit(alice, a_submission(gpus=4))
    array = await world.submit(
        alice,
        a_submission(
            array=ArrayWish(indices=range(3)),
            dependencies=(Dependency(kind=DependencyKind.AFTEROK, job=str(first.number)),),
        ),
    )
    tasks = {task.attempt_id for task in await world.tasks(alice, array)}
    await world.until(lambda seen: seen.state is State.RUNNING, first)
    await told(world)
    world.clock.advance(5)
    await world.observe()
    live = (await told(world)).live
    assert {each.attempt_id for each in live.waiting} == tasks
    (gone,) = live.gone.items()
    assert gone[0] == first.attempt_id
    assert gone[1].micro_nu == await world.market.database.owner.fetchval(
        "SELECT round(nu * 1000000)::integer FROM scheduler.fairshare_charge"
    )
    assert gone[1].charged_at is not None


async def test_a_wish_to_cancel_a_reservations_end_and_files_name_whom_they_concern(
    world: World, alice: Principal
) -> None:
    await reservable(world, units=4)
    made = await book(world, alice, booking(10, 11, units=1))
    job = await world.submit(alice, in_it("R1", walltime_s=600))
    first = await told(world)
    assert first.topics == {Topic.BOOKINGS}
    (waiting,) = first.live.waiting
    assert waiting.attempt_id == job.attempt_id
    assert waiting.inside is not None
    assert (waiting.inside.reservation_id, waiting.inside.is_cancelled) == (made.id, False)
    await cancel(world, alice, "R1")
    second = await told(world)
    assert [each.inside and each.inside.is_cancelled for each in second.live.waiting] == [True]
    await world.cancel(alice, job)
    assert [each.cancel_wanted for each in (await told(world)).live.waiting] == [True]
    assert not await told(world)


async def test_what_planning_does_not_read_is_no_news(world: World, alice: Principal) -> None:
    job = await world.submit(alice)
    await told(world)
    async with world.market.as_worker() as conn:
        await planning.write_reasons(conn, [Wait(attempt_id=job.attempt_id, why=Why.NO_CAPACITY, facts={"gpus": 1})])
        await conn.execute("UPDATE scheduler.attempt SET version = version")
    assert not await told(world)


async def test_what_is_set_aside_is_news_until_another_reason_is_left(world: World, alice: Principal) -> None:
    job = await world.submit(alice)
    async with world.market.as_worker() as conn:
        await attempts.set_aside(conn, job.attempt_id, until=world.now, why=Why.PARKED, facts={"problem": "broken"})
    assert [each.parked for each in (await told(world)).live.waiting] == ["broken"]
    async with world.market.as_worker() as conn:
        await planning.write_reasons(conn, [Wait(attempt_id=job.attempt_id, why=Why.NO_CAPACITY, facts={})])
    assert [each.parked for each in (await told(world)).live.waiting] == [None]


async def test_shares_rates_closures_devices_and_standings_are_told_as_such(world: World, alice: Principal) -> None:
    actor = operator(world)
    await told(world)
    await set_of(world, alice, weight=2)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.TREE}))
    async with world.market.as_operator() as conn:
        await service.close_backend(conn, actor=actor, closure=_closure(world), now=world.now)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.BOOKINGS}))
    async with world.market.as_operator() as conn:
        await service.lift_closure(conn, actor=actor, closure_id=an_id("closure"), now=world.now)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.BOOKINGS}))
    async with world.market.as_operator() as conn:
        await accounts.set_suspended(
            conn, actor=None, organisation_id=alice.organisation_id, suspended=True, reason="why", now=world.now
        )
    assert await told(world) == feed.Changes(organisations=frozenset({alice.organisation_id}))


async def test_a_device_is_told_when_it_changed_not_when_it_was_heard_of(world: World) -> None:
    await told(world)
    online, news = DeviceState.ONLINE, {Topic.DEVICES}
    for state, topics in ((online, news), (online, set()), (DeviceState.MAINTENANCE, news)):
        world.clock.advance(1)
        async with world.market.as_worker() as conn:
            await device_store.keep(conn, CLUSTER, a_device(state=state), now=world.now)
        assert (await told(world)).topics == topics


def _closure(world: World) -> Closure:
    return Closure(id=an_id("closure"), backend=CLUSTER, since=world.now, until=world.now + HOUR, reason="cleaning")


# -- who takes, and when -----------------------------------------------------------------------------------------------


async def test_a_change_is_told_when_it_is_committed_and_not_before(world: World, alice: Principal) -> None:
    job = await world.submit(alice)
    await told(world)
    async with world.as_tenant(alice) as conn:
        await service.request_cancel(conn, principal=alice, job_id=job.id, now=world.now)
        assert not await told(world)
    assert [each.cancel_wanted for each in (await told(world)).live.waiting] == [True]


async def test_whoever_dies_before_the_commit_leaves_everything_to_the_next(world: World, alice: Principal) -> None:
    job = await world.submit(alice)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with world.market.as_worker() as conn:
            assert [each.attempt_id for each in (await feed.taken(conn)).live.waiting] == [job.attempt_id]
            await conn.execute("SELECT 1 / 0")
    assert [each.attempt_id for each in (await told(world)).live.waiting] == [job.attempt_id]
    assert not await told(world)


async def test_a_leader_that_was_replaced_takes_nothing(world: World, alice: Principal) -> None:
    pool = world.market.database.worker
    await world.market.database.owner.execute(LEADER, 2)
    job = await world.submit(alice)
    with pytest.raises(asyncpg.PostgresError, match="stale leader"):
        await feed.changes(pool, lease=Lease("dispatch", 1))
    changes = await feed.changes(pool, lease=Lease("dispatch", 2))
    assert [each.attempt_id for each in changes.live.waiting] == [job.attempt_id]


async def test_one_that_is_replaced_while_it_takes_is_waited_for(world: World, alice: Principal) -> None:
    """So what it took, it has; and the next reads everything after."""
    owner, pool = world.market.database.owner, world.market.database.worker
    await owner.execute(LEADER, 1)
    await world.submit(alice)
    async with transaction(pool, lease=Lease("dispatch", 1)) as conn:
        assert await feed.taken(conn)
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with transaction(owner) as other:
                await other.execute("SET LOCAL lock_timeout = '50ms'")
                await other.execute(LEADER, 2)


async def test_nobody_outside_reads_or_writes_what_has_changed(world: World, alice: Principal) -> None:
    for role in (None, Role.TENANT, Role.OFFICER):
        for wish in (
            "SELECT * FROM scheduler.changed",
            "DELETE FROM scheduler.changed",
            "INSERT INTO scheduler.changed (topic) VALUES ('tree')",
            "SELECT scheduler.tell_attempt()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with transaction(
                    world.market.database.portal, role=role, organisation_id=alice.organisation_id
                ) as conn:
                    await conn.execute(wish)


# -- nothing forgotten -------------------------------------------------------------------------------------------------

_BEFORE_ITS_ATTEMPTS = {"scheduler.job", "scheduler.job_array"}
"""Append-only, and an attempt refers to them: who reads the attempt for the first time reads them."""


async def test_every_table_that_planning_reads_tells_of_its_changes(database: Database) -> None:
    async with database.owner.acquire() as conn:
        read = await _tables_of(conn, planning.ALL) | await _tables_of(conn, planning.OUTLOOKS)
        tell = await conn.fetch(
            "SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger "
            "WHERE tgfoid::regproc::text LIKE 'scheduler.tell\\_%' AND tgenabled = 'O'"
        )
    assert len(read) >= 12
    assert read - {row["name"] for row in tell} == _BEFORE_ITS_ATTEMPTS


async def _tables_of(conn: Conn, query: str) -> set[str]:
    """All that a query reads, as the database understands it."""
    await conn.execute(f"CREATE TEMP VIEW asked AS {query.replace('$1', 'NULL::uuid[]')}")
    rows = await conn.fetch(
        "SELECT DISTINCT d.refobjid::regclass::text AS name FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid "
        "AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass "
        "WHERE r.ev_class = 'asked'::regclass AND d.refobjid <> r.ev_class"
    )
    await conn.execute("DROP VIEW asked")
    return {row["name"] for row in rows}
