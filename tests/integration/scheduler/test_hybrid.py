"""Jobs with phases on a simulated machine: one hold, one attempt after the other, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from accounts.model import Principal
from hpc_adapters.contract import Resources, Seen
from hpc_adapters.simulated.behaviour import Behaviour
from pricing import service as pricing
from scheduler import errors, service
from scheduler.core.model import JobKind, State
from scheduler.core.phases import Repeat
from scheduler.core.reasons import Why
from scheduler.hybrid import Hybrid, PhaseWish
from scheduler.views import JobView, PhaseView
from tests.support.database import Database
from tests.support.scheduled import World, a_submission, open_world

SIZE = Resources(gpus=4, cpus=8, memory_mb=32_000, qpus=1)


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=SIZE)


@pytest.fixture
async def alice(world: World) -> Principal:
    return await world.member("alice")


def gpu(name: str, behaviour: Behaviour | None = None, **more: object) -> PhaseWish:
    wish = {each: more.pop(each) for each in ("takes", "skippable") if each in more}
    body = (behaviour or Behaviour()).script().body
    request = a_submission(name=name, body=body, walltime_s=60, **more)
    return PhaseWish(request=request, **{"takes": (), **wish})  # type: ignore[arg-type]  by their names


def qpu(name: str, shots: int = 1000) -> PhaseWish:
    request = a_submission(
        name=name, kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=shots
    )
    return PhaseWish(request=request, takes=())


def a_hybrid(*phases: PhaseWish, repeat: Repeat | None = None, **more: object) -> Hybrid:
    usual = {"name": "vqe", "kind": JobKind.HYBRID, "offering_id": "", "body": b"", "walltime_s": 1}
    return Hybrid(**{**usual, "phases": phases, "repeat": repeat, **more})  # type: ignore[arg-type]  by their names


async def phases_of(world: World, job: JobView) -> Sequence[PhaseView]:
    async with world.market.as_worker() as conn:
        return await service.phases(conn, job.id)


async def states(world: World, job: JobView) -> list[tuple[str, State | None, int]]:
    return [(each.name, each.state, len(each.attempts)) for each in await phases_of(world, job)]


async def test_phases_run_one_after_the_other_under_one_hold(world: World, alice: Principal) -> None:
    job = await world.submit(alice, a_hybrid(gpu("prepare"), qpu("measure"), gpu("tell", gpus=2)))
    assert (job.kind, job.state, job.phase) == (JobKind.HYBRID, State.QUEUED, "prepare")
    assert (job.gpus, job.shots, job.backend) == (2, 1000, "local")
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count, ended.phase) == (State.SUCCEEDED, 3, "tell")
    done = State.SUCCEEDED
    assert await states(world, job) == [("prepare", done, 1), ("measure", done, 1), ("tell", done, 1)]
    assert (await world.money(job))[1] == [("succeeded", False), ("succeeded", False), ("succeeded", True)]


async def test_no_gpu_is_held_while_a_phase_waits_for_the_qpu(world: World, alice: Principal) -> None:
    blocker = await world.submit(
        alice, a_submission(kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=90_000)
    )
    job = await world.submit(alice, a_hybrid(gpu("prepare", gpus=4), qpu("measure")))
    waiting = await world.until(lambda seen: seen.phase == "measure", job)
    await world.dispatch()
    waiting = await world.job(job)
    assert (await world.job(blocker)).state is State.RUNNING
    assert (waiting.state, waiting.waiting and waiting.waiting.reason) == (State.QUEUED, Why.NO_CAPACITY)
    other = await world.submit(alice, a_submission(gpus=4))
    assert (await world.until_ended(other)).state is State.SUCCEEDED
    assert (await world.job(job)).state is State.QUEUED
    assert (await world.until_ended(job)).state is State.SUCCEEDED


async def test_the_quote_is_the_sum_of_the_phases_and_of_two_offerings(world: World, alice: Principal) -> None:
    request = a_hybrid(gpu("a"), qpu("b"), repeat=Repeat("a", "b", 3))
    job = await world.submit(alice, request)
    async with world.as_tenant(alice) as conn:
        alone = []
        for wish in request.phases:
            ids = (world.new_id(), world.new_id())
            one = await service.estimate(
                conn, principal=alice, request=wish.request, capabilities={}, ids=ids, now=world.now
            )
            alone.append(one.quote.ceiling_micro_yen)
        whole = await service.estimate(
            conn, principal=alice, request=request, capabilities={}, ids=(world.new_id(), world.new_id()), now=world.now
        )
        money = (await pricing.charges_by_job(conn, [job.id]))[job.id]
    quote = whole.quote
    assert (whole.jobs, quote.ceiling_micro_yen, money.ceiling_micro_yen) == (1, 3 * sum(alone), 3 * sum(alone))
    assert money.held_micro_yen == 3 * sum(alone)
    assert [(each.phase, each.offering_id, each.ceiling_micro_yen) for each in quote.phases] == [
        (f"{name}-{number}", offering, ceiling)
        for number in (1, 2, 3)
        for name, offering, ceiling in (("a", "gpu-demo", alone[0]), ("b", "qpu-local", alone[1]))
    ]


async def test_a_phase_has_the_base_time_of_as_many_elements_as_were_asked_for(world: World, alice: Principal) -> None:
    many = replace(qpu("b"), request=replace(qpu("b").request, elements=40))
    job = await world.submit(alice, a_hybrid(qpu("a"), many))
    found = await world.market.database.owner.fetch(
        "SELECT name, max_qpu_us FROM scheduler.job_phase WHERE job_id = $1 ORDER BY name", job.id
    )
    assert [tuple(each) for each in found] == [("a", 2_250_000), ("b", 80_250_000)]
    with pytest.raises(errors.OptionOutOfRange):
        await world.submit(alice, a_hybrid(gpu("a", elements=2)))


async def test_what_follows_a_failed_phase_never_runs(world: World, alice: Principal) -> None:
    broken = Behaviour(run_s=2, ending=Seen.FAILED, exit_code=3)
    job = await world.submit(alice, a_hybrid(gpu("a"), gpu("b", broken), qpu("c"), gpu("d")))
    ended = await world.until_ended(job)
    assert (ended.state, ended.reason, ended.exit_code) == (State.FAILED, "exit_code", 3)
    assert await states(world, job) == [
        ("a", State.SUCCEEDED, 1),
        ("b", State.FAILED, 1),
        ("c", None, 0),
        ("d", None, 0),
    ]
    assert (await world.money(job))[1] == [("succeeded", False), ("failed", True)]


async def test_a_phase_that_may_be_passed_over_is(world: World, alice: Principal) -> None:
    broken = Behaviour(run_s=2, ending=Seen.FAILED, exit_code=3)
    job = await world.submit(alice, a_hybrid(gpu("a", broken, skippable=True), gpu("b")))
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    assert await states(world, job) == [("a", State.FAILED, 1), ("b", State.SUCCEEDED, 1)]


async def test_a_lost_phase_is_tried_again_and_the_job_goes_on(world: World, alice: Principal) -> None:
    lost = Behaviour(run_s=2, ending=Seen.NODE_FAILED)
    job = await world.submit(alice, a_hybrid(gpu("a"), gpu("b", lost, max_attempts=2), gpu("c")))
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.LOST, 3)
    assert await states(world, job) == [("a", State.SUCCEEDED, 1), ("b", State.LOST, 2), ("c", None, 0)]
    assert sorted((await world.money(job))[1]) == [("lost", False), ("lost", True), ("succeeded", False)]


async def test_a_cancel_between_two_phases_ends_the_job(world: World, alice: Principal) -> None:
    job = await world.submit(alice, a_hybrid(gpu("a"), qpu("b")))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    world.clock.advance(60)
    await world.observe()
    assert (await world.job(job)).phase == "b"
    await world.cancel(alice, job)
    await world.stage()
    ended = await world.until_ended(job)
    assert (ended.state, ended.reason) == (State.CANCELLED, "cancelled_in_queue")
    assert sorted((await world.money(job))[1]) == [("never_ran", True), ("succeeded", False)]


async def test_a_cancel_that_finds_a_phase_just_done_still_ends_the_job(world: World, alice: Principal) -> None:
    job = await world.submit(alice, a_hybrid(gpu("a"), qpu("b")))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    world.clock.advance(60)  # it has succeeded, and nobody has seen it
    await world.cancel(alice, job)
    await world.carry_out_cancels()
    ended = await world.until_ended(job)
    assert ended.state is State.CANCELLED
    assert (await world.money(job))[1][-1][1] is True


async def test_whatever_is_wrong_with_a_phase_is_refused_by_its_name(world: World, alice: Principal) -> None:
    wrong = {
        "no_phases": a_hybrid(),
        "name": a_hybrid(gpu("Prepare")),
        "twice": a_hybrid(gpu("a"), gpu("a")),
        "no_such_phase": a_hybrid(gpu("a", takes=("b",)), gpu("b")),
        "nothing_to_take": a_hybrid(PhaseWish(request=_no_program("a"), program_from="c.json")),
        "two_programs": a_hybrid(gpu("a"), PhaseWish(request=qpu("b").request, program_from="c.json")),
        "program_from": a_hybrid(gpu("a"), PhaseWish(request=_no_program("b"), program_from="../c.json")),
        "kind": a_hybrid(PhaseWish(request=a_submission(name="a", kind=JobKind.HYBRID))),
    }
    for problem, request in wrong.items():
        with pytest.raises(errors.BadPhase) as refused:
            await world.submit(alice, request)
        assert refused.value.facts["problem"] == problem
    with pytest.raises(errors.TooManyPhases):
        await world.submit(alice, a_hybrid(gpu("a"), gpu("b"), repeat=Repeat("a", "b", 101)))
    with pytest.raises(errors.MissingShebang) as refused_phase:
        await world.submit(alice, a_hybrid(gpu("a"), PhaseWish(request=a_submission(name="b", body=b"echo"))))
    assert refused_phase.value.facts["phase"] == "b"
    with pytest.raises(errors.UnsupportedFeature):
        await world.submit(alice, a_hybrid(gpu("a"), gpu("b", takes=("a",))))


def _no_program(name: str) -> object:
    return a_submission(name=name, kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"", gpus=0, shots=10)


async def test_the_same_request_is_the_same_job_and_another_loop_is_not(world: World, alice: Principal) -> None:
    first = await world.submit(alice, a_hybrid(gpu("a"), repeat=Repeat("a", "a", 2)), key="k")
    again, created = await world.submit_again(alice, a_hybrid(gpu("a"), repeat=Repeat("a", "a", 2)), key="k")
    assert (again.id, created) == (first.id, False)
    with pytest.raises(errors.IdempotencyKeyReused):
        await world.submit(alice, a_hybrid(gpu("a"), repeat=Repeat("a", "a", 3)), key="k")
