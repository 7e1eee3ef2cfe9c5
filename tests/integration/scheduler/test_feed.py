"""What the scheduler's leader is told of: enough to keep, from changes alone, what a reading of everything gives."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from accounts import service as accounts
from accounts.model import CustomerClass, Principal
from hpc_adapters.devices import DeviceState
from infra.db.connection import Conn, Lease, Role, transaction
from scheduler import service
from scheduler.core.calls import Allowance
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Wait
from scheduler.files import FrozenInput
from scheduler.options import ArrayWish, Dependency
from scheduler.reservations.model import Closure
from scheduler.store import attempts, calls, exchange, feed, files, planning, reservations
from scheduler.store import devices as device_store
from scheduler.store.calls import NewQpu
from scheduler.store.exchange import Rate
from scheduler.store.feed import Topic
from scheduler.views import JobView
from tests.integration.scheduler.test_hybrid import a_hybrid, gpu, qpu
from tests.integration.scheduler.test_reservations import HOUR, book, booking, cancel, in_it, operator, reservable
from tests.integration.scheduler.test_share_tree import set_of
from tests.support.callers import SIZE
from tests.support.database import Database
from tests.support.devices import a_device
from tests.support.market import NEXT_YEAR, an_id
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

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


@dataclass(frozen=True)
class Filed:
    id: UUID
    organisation_id: UUID


async def told(world: World) -> feed.Changes:
    """What the leader would be told: nobody leads while this is asked."""
    return await feed.changes(world.market.database.worker, lease=None)


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


async def test_what_is_added_to_a_job_after_its_submission_names_its_attempt(world: World, alice: Principal) -> None:
    """No service does so. Whoever will needs no trigger for it."""
    await reservable(world, units=4)
    made = await book(world, alice, booking(10, 11, units=1))
    job, other, phased = [
        await world.submit(alice, wish) for wish in (None, None, a_hybrid(gpu("prepare"), qpu("measure", 10)))
    ]
    allowed = Allowance(calls=1, shots=1, max_shots=1, idle_s=1, base_us=1, per_kshot_us=1, nu_per_hour=1.0)
    asked = FrozenInput(name="a", key="a", object_id=job.id, size=1, checksum="c")
    wishes: list[tuple[JobView, Callable[[Conn], Awaitable[object]]]] = [
        (job, lambda conn: conn.execute(_DEPENDENCY, job.id, other.id, alice.organisation_id)),
        (job, lambda conn: calls.insert(conn, job.id, alice.organisation_id, NewQpu(**_QPU, allowed=allowed))),
        (job, lambda conn: files.insert_inputs(conn, job.id, alice.organisation_id, [asked])),
        (other, lambda conn: reservations.add_jobs(conn, made, [other.id], shorten=False)),
        (other, lambda conn: conn.execute(_CHARGE, other.attempt_id)),
        (phased, lambda conn: conn.execute(_PHASE_START, phased.id, alice.organisation_id, world.now)),
        (phased, lambda conn: conn.execute(_PHASE_INPUT, phased.id, alice.organisation_id)),
    ]
    await told(world)
    for changed, write in wishes:
        async with world.market.as_worker() as conn:
            await write(conn)
        assert [each.attempt_id for each in (await told(world)).live.waiting] == [changed.attempt_id]


_DEPENDENCY = "INSERT INTO scheduler.dependency VALUES ($1, $2, $3, 'afterok')"
_CHARGE = """INSERT INTO scheduler.fairshare_charge SELECT a.id, a.organisation_id, 1, now(), j.project_id, j.person_id,
    a.backend FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id WHERE a.id = $1"""
_PHASE_START = "INSERT INTO scheduler.phase_start VALUES ($1, 'prepare', $2, NULL, NULL, $3)"
_PHASE_INPUT = "INSERT INTO scheduler.phase_input VALUES ($1, 'prepare', $2, 'a', $1, 'a', 1, 'c')"
_QPU: dict[str, Any] = {"offering_id": "qpu-local", "backend": CLUSTER, "call_s": 1, "wait_s": 1}


async def test_how_far_its_files_have_come_is_news(world: World, alice: Principal) -> None:
    job = await world.submit(alice)
    asked = FrozenInput(name="a", key="a", object_id=job.id, size=1, checksum="c")
    one = Filed(job.attempt_id, alice.organisation_id)
    steps: list[tuple[Callable[[Conn], Awaitable[object]], list[str | None]]] = [
        (lambda conn: files.insert_inputs(conn, job.id, alice.organisation_id, [asked]), [""]),
        (lambda conn: files.retry_later(conn, one, problem="away", at=world.now), ["away"]),
        (lambda conn: files.retry_later(conn, one, problem="away", at=world.now), []),
        (lambda conn: files.retry_later(conn, one, problem="lost", at=world.now), ["lost"]),
        (lambda conn: files.set_staged(conn, one, now=world.now), [None]),  # type: ignore[arg-type]
    ]
    await told(world)
    for write, staging in steps:
        async with world.market.as_worker() as conn:
            await write(conn)
        assert [each.staging for each in (await told(world)).live.waiting] == staging


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


async def test_shares_rates_reservations_and_closures_are_told_as_such(world: World, alice: Principal) -> None:
    actor = operator(world)
    await reservable(world, units=4)
    await told(world)
    await set_of(world, alice, weight=2)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.TREE}))
    async with world.market.as_worker() as conn:
        await exchange.add(conn, Rate(resource_type="gpu", nu_per_hour=2.0, effective_at=world.now, reason="new"))
    assert await told(world) == feed.Changes(topics=frozenset({Topic.TREE}))
    await book(world, alice, booking(10, 11, units=1))
    assert await told(world) == feed.Changes(topics=frozenset({Topic.BOOKINGS}))
    async with world.market.as_operator() as conn:
        await service.close_backend(conn, actor=actor, closure=_closure(world), now=world.now)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.BOOKINGS}))
    async with world.market.as_operator() as conn:
        await service.lift_closure(conn, actor=actor, closure_id=an_id("closure"), now=world.now)
    assert await told(world) == feed.Changes(topics=frozenset({Topic.BOOKINGS}))


async def test_organisations_are_told_when_they_come_declare_and_are_suspended(world: World, alice: Principal) -> None:
    await told(world)
    bob = await world.market.add_organisation("bob")
    assert await told(world) == feed.Changes(organisations=frozenset({bob}))
    async with world.market.as_operator() as conn:
        await accounts.declare(
            conn,
            actor=None,
            declaration_id=an_id("declaration", "again"),
            organisation_id=alice.organisation_id,
            customer_class=CustomerClass.SME,
            valid_from=world.now,
            valid_until=NEXT_YEAR,
            now=world.now,
        )
    assert await told(world) == feed.Changes(organisations=frozenset({alice.organisation_id}))
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
        read = await _columns_read(conn)
        tell = await conn.fetch(f"SELECT DISTINCT tgrelid::regclass::text AS name {_TELLING}")
    tables = {table for table, _ in read}
    assert len(tables) >= 12
    assert tables - {row["name"] for row in tell} == _BEFORE_ITS_ATTEMPTS


async def test_every_column_that_planning_reads_and_the_worker_may_change_is_watched(database: Database) -> None:
    async with database.owner.acquire() as conn:
        read = await _columns_read(conn)
        words = await conn.fetch(f"SELECT tgrelid::regclass::text AS name, pg_get_triggerdef(oid) AS told {_TELLING}")
        may_change = {
            (table, column)
            for table, column in read
            if await conn.fetchval("SELECT has_column_privilege('kyoyo_worker', $1, $2, 'UPDATE')", table, column)
        }
    assert ("scheduler.attempt", "not_before") in may_change
    watched = {(row["name"], word) for row in words for word in re.findall(r"\bnew\.(\w+)", row["told"])}
    assert may_change - watched == {("scheduler.attempt_files", "attempt_id")}  # its key


_TELLING = "FROM pg_trigger WHERE tgfoid::regproc::text LIKE 'scheduler.tell\\_%' AND tgenabled = 'O'"


async def _columns_read(conn: Conn) -> set[tuple[str, str]]:
    """All that planning reads of attempts, as the database itself understands the queries: table and column."""
    found: set[tuple[str, str]] = set()
    for query in (planning.ALL, planning.OUTLOOKS):
        await conn.execute(f"CREATE TEMP VIEW asked AS {query.replace('$1', 'NULL::uuid[]')}")
        rows = await conn.fetch(
            "SELECT DISTINCT d.refobjid::regclass::text AS table, a.attname AS column FROM pg_rewrite r "
            "JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass "
            "JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
            "WHERE d.refclassid = 'pg_class'::regclass AND r.ev_class = 'asked'::regclass AND d.refobjid <> r.ev_class"
        )
        found |= {(row["table"], row["column"]) for row in rows}
        await conn.execute("DROP VIEW asked")
    return found
