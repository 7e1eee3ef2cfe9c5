"""Machines leave service and come back by the rules of the house; each step is logged before it is done."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from asyncpg import PostgresError

from accounts.errors import InvalidPeriod, ScopeMissing
from hpc_adapters.elastic import Elastic, NodeState
from hpc_adapters.errors import Rejected, Unavailable
from infra.db.connection import Lease
from infra.db.faults import is_stale_leader
from scheduler import errors, service
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.elastic.errors import DisruptionNotFound, ElasticRuleExists, InvalidElasticRule
from scheduler.elastic.model import Because, Disruption, Done, Kind, Purpose, Rule
from scheduler.loops import elastic
from scheduler.loops.deps import Settings
from scheduler.reservations.model import Booking, Reservable
from scheduler.store import elastic as store
from scheduler.store import reservations as store_reservations
from tests.support.database import Database
from tests.support.market import GPU, NOW, an_id
from tests.support.scheduled import CLUSTER, World, a_submission, open_world
from tests.support.switchable import Switchable, machines

pytestmark = pytest.mark.postgres

HOUR = timedelta(hours=1)
POWER = Rule(use=Purpose.POWER, idle_s=600, floor_units=4, wake_s=300)


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, settings=Settings(capacity_reuse_s=0, capacity_renew_s=0))


@pytest.fixture
def nodes(world: World) -> Switchable:
    made = Switchable(world.backend, machines(["n1", "n2"], units=4, idle_since=world.now - HOUR))
    assert isinstance(made, Elastic)
    world.backends = {CLUSTER: made}  # type: ignore[dict-item]  it stands for one
    return made


async def rule_of(world: World, rule: Rule = POWER, *, at: datetime | None = None, **more: object) -> int:
    told: dict[str, object] = {"actor": None, "backend": CLUSTER, "reason": " summer ", **more}
    async with world.market.as_operator() as conn:
        return await service.set_elastic_rule(
            conn,
            rule=rule,
            effective_at=at or world.now,
            now=world.now,
            **told,  # type: ignore[arg-type]
        )


async def declare(world: World, *, until: datetime | None = None, **more: object) -> Disruption:
    told: dict[str, object] = {"backend": None, "since": world.now, "reason": "a site is down", **more}
    wish = Disruption(id=world.new_id(), until=until, **told)  # type: ignore[arg-type]
    async with world.market.as_operator() as conn:
        return await service.declare_disruption(conn, actor=None, disruption=wish, now=world.now)


async def log(world: World) -> list[Done]:
    async with world.market.as_operator() as conn:
        return list(reversed(await service.elastic_actions(conn)))


async def steps(world: World) -> list[tuple[Kind, str, Because, str | None]]:
    return [(each.action.kind, each.action.node, each.action.because, each.problem) for each in await log(world)]


async def tick(world: World, *, lease: Lease | None = None) -> int:
    return await elastic.tick(world.deps(lease), world.now)


async def test_idle_machines_lose_their_power_and_a_job_brings_them_back(world: World, nodes: Switchable) -> None:
    number = await rule_of(world)
    assert [await tick(world) for _ in range(3)] == [1, 1, 0]
    assert [each.state for each in await nodes.nodes()] == [NodeState.OFF, NodeState.SERVING]
    job = await world.submit(await world.member("alpha"), a_submission(gpus=8))
    await world.dispatch()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert waiting.reason == Why.EXCEEDS_MACHINE
    assert await tick(world) == 0  # it has only just left
    world.clock.advance(POWER.min_down_s)
    assert await tick(world) == 1
    await world.dispatch()
    assert (await world.job(job)).state is not State.QUEUED
    assert nodes.told == [("withdraw", "n1"), ("power_down", "n1"), ("restore", "n1")]
    assert await steps(world) == [
        (Kind.WITHDRAW, "n1", Because.IDLE, ""),
        (Kind.POWER_DOWN, "n1", Because.EMPTY, ""),
        (Kind.RESTORE, "n1", Because.WAITING_JOBS, ""),
    ]
    assert {each.rule_id for each in await log(world)} == {number}
    assert (await log(world))[0].action.facts == {"idle_s": 3600}


async def test_only_jobs_that_lack_room_want_machines(world: World, nodes: Switchable) -> None:
    job = await world.submit(await world.member("alpha"), a_submission(gpus=3))
    wanted = {
        ("NO_CAPACITY", "{}"): 3,
        ("BACKEND_OFFLINE", "{}"): 3,
        ("WALL", '{"kind": "reservation"}'): 3,
        ("WALL", '{"kind": "fiscal_year"}'): 0,
        ("RUNNING_QUOTA", "{}"): 0,
        ("DEPENDENCY", "{}"): 0,
    }
    for (why, facts), units in wanted.items():
        async with world.market.as_worker() as conn:
            await conn.execute(
                "UPDATE scheduler.attempt SET wait_reason = $2, wait_facts = $3 WHERE job_id = $1",
                job.id,
                why,
                json.loads(facts),
            )
            found = await store.demand(conn, CLUSTER, now=world.now, horizon=HOUR)
        assert (why, found.waiting_units) == (why, units)


async def test_a_disruption_opens_everything_and_its_end_lets_the_rules_hold_again(
    world: World, nodes: Switchable
) -> None:
    await rule_of(world, replace(POWER, surge_nodes=frozenset({"n2"})))
    for _ in range(3):
        await tick(world)
    assert nodes.seen["n2"].state is NodeState.OFF
    told = await declare(world, backend=CLUSTER)
    assert await tick(world) == 1
    assert {each.state for each in nodes.seen.values()} == {NodeState.SERVING}
    last = (await log(world))[-1]
    assert (last.action.because, last.disruption_id) == (Because.DISRUPTION, told.id)
    world.clock.advance(POWER.min_up_s)
    assert await tick(world) == 0
    async with world.market.as_operator() as conn:
        await service.end_disruption(conn, actor=None, disruption_id=told.id, reason="over", now=world.now)
        assert await service.disruptions(conn, now=world.now) == []
        assert [each.ended_at for each in await service.disruptions(conn, now=world.now, ended=True)] == [world.now]
    assert await tick(world) == 1
    assert nodes.told[-1] == ("withdraw", "n2")


async def test_what_is_reserved_is_back_before_it_is_needed(world: World, nodes: Switchable) -> None:
    await rule_of(world, replace(POWER, floor_units=0))
    for _ in range(2):
        await tick(world)
    assert {each.state for each in nodes.seen.values()} == {NodeState.OFF}
    who = await world.member("alpha")
    begins = (world.now + 2 * HOUR).replace(minute=0, second=0, microsecond=0)
    async with world.market.as_operator() as conn:
        offer = Reservable(backend=CLUSTER, first_day=NOW.date(), last_day=None, units=8, cancel_before_s=0)
        await store_reservations.add_reservable(conn, offer, by=None, now=world.now)
    async with world.as_tenant(who) as conn:
        wish = Booking(offering_id=GPU, units=6, since=begins, until=begins + HOUR)
        await service.book(
            conn, principal=who, wish=wish, idempotency_key="k", reservation_id=world.new_id(), now=world.now
        )
    assert await tick(world) == 0
    world.clock.advance((begins - world.now).total_seconds() - POWER.wake_s - 299)
    assert await tick(world) == 2
    assert {each.state for each in nodes.seen.values()} == {NodeState.SERVING}
    assert [each[2] for each in (await steps(world))[-2:]] == [Because.RESERVATION] * 2


async def test_what_the_backend_refuses_is_logged_and_not_repeated_at_once(world: World, nodes: Switchable) -> None:
    await rule_of(world)
    nodes.problem = Rejected("no-power-saving")
    assert [await tick(world) for _ in range(3)] == [0, 0, 0]
    nodes.problem = Unavailable("away", maybe_done=True)
    world.clock.advance(elastic.AFTER_REFUSAL.total_seconds() + POWER.min_up_s)
    assert [await tick(world) for _ in range(3)] == [0, 0, 0]
    refused = [(node, problem) for _, node, _, problem in await steps(world)]
    away = "unavailable: away"
    assert refused == [("n1", "no-power-saving"), ("n2", "no-power-saving"), ("n1", away), ("n2", away)]


async def test_a_leader_of_yesterday_switches_nothing(world: World, nodes: Switchable) -> None:
    await rule_of(world)
    owner = world.market.database.owner
    await owner.execute("INSERT INTO infra.leader VALUES ('elastic', 2, 'new', now(), now())")
    with pytest.raises(PostgresError) as refused:
        await tick(world, lease=Lease("elastic", 1))
    assert is_stale_leader(refused.value)
    assert nodes.told == []
    assert await tick(world, lease=Lease("elastic", 2)) == 1


async def test_the_log_can_neither_be_changed_nor_written_by_an_operator(world: World, nodes: Switchable) -> None:
    await rule_of(world)
    await tick(world)
    for change in ("UPDATE scheduler.elastic_action SET node = 'x'", "DELETE FROM scheduler.elastic_outcome"):
        with pytest.raises(PostgresError):
            await world.market.database.owner.execute(change)
    with pytest.raises(PostgresError):
        async with world.market.as_operator() as conn:
            await conn.execute("INSERT INTO scheduler.elastic_outcome VALUES (1, '', now())")


IMPOSSIBLE = [
    (Rule(use=Purpose.LEND), "no_borrower"),
    (Rule(lend_to="partner"), "no_lending"),
    (Rule(use=Purpose.SURGE), "no_use"),
    (Rule(idle_s=-1), "out_of_range"),
    (Rule(floor_units=10**9), "out_of_range"),
    (Rule(use=Purpose.LEND, lend_to="x" * 101), "out_of_range"),
    (Rule(surge_nodes=frozenset({"n1; reboot"})), "not_a_node"),
    (Rule(surge_nodes=frozenset(f"n{number}" for number in range(1001))), "too_many_nodes"),
]


async def test_a_rule_that_cannot_be_is_refused_by_name(world: World) -> None:
    for rule, problem in IMPOSSIBLE:
        with pytest.raises(InvalidElasticRule) as refused:
            await rule_of(world, rule)
        assert refused.value.facts["problem"] == problem


async def test_what_is_set_or_declared_badly_is_refused(world: World) -> None:
    await rule_of(world)
    tenant = await world.member("alpha")
    wrong: list[tuple[type[Exception], dict[str, object]]] = [
        (ElasticRuleExists, {}),
        (errors.UnknownBackend, {"backend": "moon"}),
        (errors.ReasonMissing, {"reason": " "}),
        (errors.NotRetroactive, {"at": world.now - HOUR}),
        (errors.TooFarAhead, {"at": world.now + timedelta(days=5000)}),
        (ScopeMissing, {"actor": tenant}),
    ]
    for refusal, told in wrong:
        with pytest.raises(refusal):
            await rule_of(world, **told)  # type: ignore[arg-type]
    with pytest.raises(InvalidPeriod):
        await declare(world, until=world.now)
    with pytest.raises(errors.UnknownBackend):
        await declare(world, backend="moon")
    with pytest.raises(DisruptionNotFound):
        async with world.market.as_operator() as conn:
            await service.end_disruption(conn, actor=None, disruption_id=an_id("x"), reason="x", now=world.now)


async def test_a_rule_of_later_holds_later_and_all_of_them_stay(world: World, nodes: Switchable) -> None:
    await rule_of(world, at=world.now + HOUR)
    assert await tick(world) == 0
    world.clock.advance(3600)
    assert await tick(world) == 1
    world.clock.advance(1)
    await rule_of(world, Rule())
    assert await tick(world) == 1
    assert (await steps(world))[-1][:3] == (Kind.RESTORE, "n1", Because.RULE_ENDED)
    async with world.market.as_operator() as conn:
        versions = await service.elastic_rules(conn)
    assert [(each.rule.use, each.reason) for each in versions] == [(Purpose.POWER, "summer"), (None, "summer")]
