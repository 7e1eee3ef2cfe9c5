"""Jobs that may run on one of several offerings, on two clusters and two QPUs: where they start, and at which price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.model import Principal
from hpc_adapters.contract import JobRequest, Ref, Resources, Seen
from hpc_adapters.errors import Unavailable
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from metering.auditing import run_audit
from metering.loops import collect
from metering.loops.deps import Deps as MeteringDeps
from pricing import service as pricing
from scheduler import service
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import JobKind, State
from scheduler.errors import BadPlacement, NoPlaceFits, NotDomestic
from scheduler.options import ArrayWish, Dependency
from scheduler.store import placing as store
from scheduler.submission import Submission
from scheduler.views import JobView
from tests.support import market
from tests.support.database import Database
from tests.support.market import GPU, GPU_OFFERING, NOW, QPU, QPU_OFFERING
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

DEAR, QPU_B = "gpu-dear", "qpu-b"
OTHER, AER, AER_B = "other", "aer", "aer-b"
CIRCUIT = b"OPENQASM 3.0;\nqubit[2] q;\n"


@pytest.fixture
async def world(database: Database) -> World:
    """The dear cluster stands in Japan, the cheap one nobody knows where."""
    world = await open_world(database)
    async with world.market.as_operator() as conn:
        await pricing.create_offering(conn, replace(GPU_OFFERING, id=DEAR, backend=OTHER), now=NOW)
        await market.publish(conn, DEAR, [market.gpu_price("390")])
        await pricing.create_offering(conn, replace(QPU_OFFERING, id=QPU_B, backend=AER_B), now=NOW)
        await market.publish(conn, QPU_B, market.QPU_PRICES)
    gpus, qpu = Resources(gpus=8, cpus=16, memory_mb=64_000), Resources(qpus=1)
    more = {
        name: SimulatedBackend(name=name, total=size, seed=2, clock=world.clock, domestic=name == OTHER)
        for name, size in ((OTHER, gpus), (AER, qpu), (AER_B, qpu))
    }
    world.backends = {CLUSTER: world.backend, **more}
    return world


def either(run_s: float = 60, **changed: object) -> Submission:
    """On the cheap cluster or on the dear one."""
    body = Behaviour(run_s=run_s).script().body
    usual = {"alternatives": (DEAR,), "gpus": 4, "body": body, "walltime_s": 600}
    return a_submission(**{**usual, **changed})


def anywhere(**changed: object) -> Submission:
    """On whatever there is in Japan."""
    return either(**{"data_location": "jp", "offering_id": "", "alternatives": (), "anywhere": True, **changed})


async def fill(world: World, who: Principal, offering: str, run_s: float = 300) -> JobView:
    body = Behaviour(run_s=run_s).script().body
    job = await world.submit(who, a_submission(offering_id=offering, gpus=8, body=body, walltime_s=600))
    await world.dispatch()
    return await world.job(job)


async def placed_of(world: World, job: JobView) -> list[tuple[str, object, object]]:
    """Of each event of being placed: where to, why, and instead of what."""
    async with world.market.as_worker() as conn:
        told = await service.story(conn, job.id)
    return [
        (str(line.facts["offering"]), line.facts["rule"], line.facts["instead_of"])
        for line in told
        if line.kind == "Placed"
    ]


async def test_a_job_runs_where_it_starts_and_costs_what_that_costs(world: World) -> None:
    alice, bob = await world.member("alpha"), await world.member("beta")
    full = await fill(world, alice, GPU)
    quick = await world.submit(bob, either())
    assert (quick.offering_id, quick.backend) == (GPU, CLUSTER)  # the cheapest, for nothing is known yet
    await world.dispatch()
    moved = await world.job(quick)
    assert (moved.offering_id, moved.backend, moved.state) == (DEAR, OTHER, State.DISPATCHING)
    assert await placed_of(world, quick) == [(DEAR, "starts_now", GPU)]
    async with world.market.as_worker() as conn:
        quote = await pricing.quote_of(conn, quick.id)
        started = next(line for line in await service.story(conn, quick.id) if line.kind == "Dispatched")
    assert quote is not None
    assert quote.offering_id == GPU
    assert started.decision is not None
    assert started.decision["placed"] == {"offering": DEAR, "rule": "starts_now", "others": 1}
    prices = {each.offering_id: each.ceiling_micro_yen for each in quote.candidates}
    assert quote.ceiling_micro_yen == max(prices.values()) == prices[DEAR] > prices[GPU]
    await world.until_ended(quick)
    assert (await world.job(full)).state is State.RUNNING  # nobody was in its way
    await _paid(world, quick, prices[DEAR])
    async with world.as_tenant(alice) as conn:
        assert await service.candidates(conn, quick.id) == []  # another tenant's
    async with world.as_tenant(bob) as conn:
        assert [each.offering_id for each in await service.candidates(conn, quick.id)] == [GPU, DEAR]


async def _paid(world: World, quick: JobView, ceiling_micro_yen: int) -> None:
    """A tenth of its walltime, at the price of where it ran."""
    deps = MeteringDeps(pool=world.market.database.worker, backends=world.backends)
    for _ in range(3):
        world.clock.advance(60)
        await collect.tick(deps, world.now)
    async with world.market.as_worker() as conn:
        charged = (await pricing.charges_by_job(conn, [quick.id]))[quick.id].charged_micro_yen
    assert 0 < charged <= ceiling_micro_yen
    told = await run_audit(world.market.database.worker, world.backends, now=world.now)
    assert [each for each in told.differences if each.explanation is None] == []
    assert charged * 10 == pytest.approx(ceiling_micro_yen, rel=0.2)


async def test_it_waits_where_it_is_until_another_machine_has_room(world: World) -> None:
    alice, bob = await world.member("alpha"), await world.member("beta")
    for offering in (GPU, DEAR):
        await fill(world, alice, offering, run_s=90 if offering == DEAR else 400)
    first = await world.submit(bob, either(gpus=8))
    second = await world.submit(bob, either(gpus=8))
    await world.dispatch()
    waiting = (await world.job(first)).waiting
    assert waiting is not None
    elsewhere = waiting.facts["elsewhere"]
    assert isinstance(elsewhere, Mapping)
    assert elsewhere[DEAR]["why"] == "NO_CAPACITY"
    assert DEAR in waiting.sentence.ja
    assert DEAR in waiting.sentence.en
    assert await placed_of(world, first) == []
    await world.until(lambda seen: seen.backend == OTHER, first)
    assert (await world.job(second)).offering_id == GPU  # the older one went: they are served in their order
    assert (await world.job(first)).state is not State.QUEUED


async def test_a_machine_that_takes_nothing_is_left_for_another_queue(world: World) -> None:
    alice, bob = await world.member("alpha"), await world.member("beta")
    await fill(world, alice, DEAR, run_s=120)
    world.backend.cluster.reachable = False
    world.memory.capacities.forget()
    job = await world.submit(bob, either(gpus=8))
    await world.dispatch()
    assert await placed_of(world, job) == []  # for a moment nobody leaves its queue
    world.clock.advance(61)
    await world.dispatch()
    assert await placed_of(world, job) == [(DEAR, "only", GPU)]
    done = await world.until_ended(job)
    assert (done.state, done.backend) == (State.SUCCEEDED, OTHER)


async def test_circuits_go_to_the_qpu_that_is_free(world: World) -> None:
    """In the same plan as GPU jobs, each kind on its own machines."""
    alice = await world.member("alpha")
    circuit = {"kind": JobKind.QUANTUM, "gpus": 0, "shots": 1000, "body": CIRCUIT, "walltime_s": 60}
    await fill(world, alice, GPU)
    first = await world.submit(alice, a_submission(offering_id=QPU, **circuit))
    await world.dispatch()
    second = await world.submit(alice, a_submission(offering_id=QPU, alternatives=(QPU_B,), **circuit))
    third = await world.submit(alice, either())
    await world.dispatch()
    seen = [await world.job(each) for each in (first, second, third)]
    assert [each.backend for each in seen] == [AER, AER_B, OTHER]
    assert State.QUEUED not in {each.state for each in seen}
    assert (await world.until_ended(second)).state is State.SUCCEEDED


async def test_a_silent_device_is_not_asked_again_in_the_tick_for_what_is_placed_elsewhere(world: World) -> None:
    alice, asked = await world.member("alpha"), list[object]()

    class Silent:
        def __getattr__(self, name: str) -> object:
            return getattr(aer, name)

        async def submit(self, request: JobRequest) -> Ref:
            asked.append(request)
            raise Unavailable("gone", maybe_done=False)

    aer = world.backends[AER]
    world.backends[AER] = Silent()  # type: ignore[assignment]  all of the port that is asked here
    await fill(world, alice, GPU)
    for _ in range(2):
        circuit = {"kind": JobKind.QUANTUM, "gpus": 0, "shots": 1000, "body": CIRCUIT, "walltime_s": 60}
        await world.submit(alice, a_submission(offering_id=QPU, **circuit))
    quick = await world.submit(alice, either())
    await world.dispatch()
    assert len(await placed_of(world, quick)) == 1
    assert (await world.job(quick)).state is not State.QUEUED
    assert len(asked) == 1


async def test_what_cannot_move_now_and_what_others_have_too_many_of_keeps_nobody_from_being_looked_at(
    world: World,
) -> None:
    alice, bob = await world.member("alpha"), await world.member("beta")
    first = await fill(world, alice, GPU)
    after = Dependency(kind=DependencyKind.AFTEROK, job=str(first.number))
    later = await world.submit(alice, either(begin_at=world.now + timedelta(days=10)))
    chained = await world.submit(alice, either(gpus=8, dependencies=(after,)))
    throttled = await world.submit(alice, either(gpus=8, array=ArrayWish(indices=(1, 2), max_running=1)))
    await fill(world, alice, DEAR)
    cancelled, backing_off, *free = [await world.submit(alice, either()) for _ in range(5)]
    await world.cancel(alice, cancelled)
    await world.dispatch()
    await world.market.database.owner.execute(
        "UPDATE scheduler.attempt SET not_before = $2 WHERE job_id = $1", backing_off.id, world.now + timedelta(hours=1)
    )
    quick = await world.submit(bob, either())

    async def seen(most: int, of_one: int, days: int = 0) -> list[object]:
        async with world.market.as_worker() as conn:
            rows = await store.waiting(conn, now=world.now + timedelta(days=days), most=most, of_one=of_one)
        return [row.job_id for row in rows]

    one, two, three = (job.id for job in free)
    all_now = await seen(100, 100)
    assert {one, two, three, quick.id} <= {*all_now}
    assert not {later.id, chained.id, cancelled.id, backing_off.id} & {*all_now}
    assert len({task.id for task in await world.tasks(alice, throttled)} & {*all_now}) <= 1
    mine = [job_id for job_id in all_now if job_id != quick.id]
    assert await seen(3, 2) == [*mine[:2], quick.id]
    assert await seen(3, 3) == mine[:3]
    assert await seen(4, 2) == [*mine[:2], quick.id, mine[2]]  # nobody else waits
    assert {later.id, backing_off.id} <= {*await seen(100, 100, days=11)}


async def test_a_crash_before_the_commit_is_no_move(world: World) -> None:
    alice = await world.member("alpha")
    await fill(world, alice, GPU)
    job = await world.submit(alice, either())
    owner = world.market.database.owner
    await owner.execute(
        "CREATE FUNCTION pricing.dies() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'power cut'; END $$; "
        "CREATE TRIGGER dies BEFORE UPDATE OF offering_id ON pricing.billable_attempt "
        "FOR EACH ROW EXECUTE FUNCTION pricing.dies()"
    )
    await world.dispatch()
    assert ((await world.job(job)).offering_id, await placed_of(world, job)) == (GPU, [])
    await owner.execute("DROP TRIGGER dies ON pricing.billable_attempt; DROP FUNCTION pricing.dies()")
    await world.dispatch()
    charged_as = await owner.fetchval("SELECT offering_id FROM pricing.billable_attempt WHERE job_id = $1", job.id)
    assert ((await world.job(job)).offering_id, charged_as) == (DEAR, DEAR)
    assert (await world.job(job)).state is State.DISPATCHING
    with pytest.raises(Exception, match="cannot be placed"):  # not even by hand
        await owner.execute("UPDATE scheduler.attempt SET offering_id = $2 WHERE job_id = $1", job.id, GPU)


async def test_what_must_stay_in_japan_never_leaves_it(world: World) -> None:
    alice = await world.member("alpha")
    with pytest.raises(NotDomestic) as refused:
        await world.submit(alice, a_submission(data_location="jp"))
    assert refused.value.facts == {"machine": GPU}
    with pytest.raises(NotDomestic):  # named, and not left out in silence
        await world.submit(alice, either(data_location="jp"))
    with pytest.raises(NoPlaceFits) as none:  # the one is too dear, nobody knows where the other stands
        await world.submit(alice, anywhere(gpus=8, max_cost_micro_yen=500_000_000))
    assert none.value.facts == {"offerings": f"{DEAR}: cost-cap-too-small, {GPU}: not-domestic"}
    with pytest.raises(BadPlacement):
        await world.submit(alice, either(data_location="us"))
    found = await world.submit(alice, anywhere(run_s=5))
    assert (found.offering_id, found.data_location) == (DEAR, "jp")
    await world.until_ended(found)


async def test_a_rule_holds_for_all_jobs_and_a_machine_that_goes_abroad_gets_none(world: World) -> None:
    alice = await world.member("alpha")
    async with world.as_tenant(alice) as conn:
        await service.set_data_rule(conn, principal=alice, project=None, location="jp", now=world.now)
        assert await service.data_rules(conn, organisation_id=alice.organisation_id) == {None: "jp"}
    with pytest.raises(NotDomestic):
        await world.submit(alice)
    waiting = await world.submit(alice, a_submission(offering_id=DEAR))
    assert waiting.data_location == "jp"
    other = world.backends[OTHER]
    assert isinstance(other, SimulatedBackend)
    other.domestic = False  # it is moved abroad
    for _ in range(3):
        await world.round(61)
    held = await world.job(waiting)
    assert held.waiting is not None
    assert (held.state, held.waiting.facts["code"]) == (State.QUEUED, "not-domestic")
    other.domestic = True
    assert (await world.until_ended(waiting)).state is State.SUCCEEDED


async def test_arrays_and_bounds(world: World) -> None:
    """Every task by itself; and what cannot be asked for is refused by name."""
    alice = await world.member("alpha")
    array = await world.submit(alice, either(gpus=8, array=ArrayWish(indices=(1, 2))))
    await world.dispatch()
    tasks = await world.tasks(alice, array)
    assert sorted(task.backend for task in tasks) == [CLUSTER, OTHER]
    cheap = await world.submit(alice, either(max_cost_micro_yen=500_000_000, gpus=8))  # the dearer is left out
    async with world.as_tenant(alice) as conn:
        assert await service.candidates(conn, cheap.id) == []
    with pytest.raises(BadPlacement):
        await world.submit(alice, either(alternatives=tuple(f"gpu-{n}" for n in range(8))))


async def test_another_attempt_waits_where_the_one_before_ran_and_may_be_placed_anew(world: World) -> None:
    alice, bob = await world.member("alpha"), await world.member("beta")
    full = await fill(world, alice, GPU)
    body = Behaviour(run_s=30, ending=Seen.NODE_FAILED).script().body
    job = await world.submit(bob, either(body=body, max_attempts=3, gpus=8))
    await world.until(lambda seen: seen.attempt_count == 2, job)
    assert (await world.job(job)).offering_id == DEAR
    taken = await fill(world, alice, DEAR)  # it waits: the second attempt has begun there by now
    await world.until(lambda seen: seen.attempt_count == 3, job)
    await world.cancel(alice, full)
    await world.until_ended(job)
    rows = await world.market.database.owner.fetch(
        "SELECT a.ordinal, a.offering_id, b.offering_id AS charged_as, a.flexible FROM scheduler.attempt a "
        "JOIN pricing.billable_attempt b ON b.attempt_id = a.id WHERE a.job_id = $1 ORDER BY a.ordinal",
        job.id,
    )
    assert [row["offering_id"] for row in rows[:2]] == [DEAR, DEAR]
    assert all(row["offering_id"] == row["charged_as"] and row["flexible"] for row in rows)
    assert (await world.job(job)).attempt_count == len(rows) == 3
    assert taken.offering_id == DEAR
    async with world.market.as_worker() as conn:
        starts = [line.decision for line in await service.story(conn, job.id) if line.kind == "Dispatched"]
    assert [start["placed"]["offering"] for start in starts if start] == [row["offering_id"] for row in rows]  # type: ignore[index]
    assert starts[1] is not None
    assert starts[1]["placed"] == {"offering": DEAR, "rule": "as_before"}
