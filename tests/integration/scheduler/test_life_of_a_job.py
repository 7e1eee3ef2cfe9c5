"""From submission to the end, through the real ticks, on a real PostgreSQL and a simulated cluster."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from hpc_adapters.contract import Resources, Seen
from hpc_adapters.simulated.behaviour import Behaviour
from scheduler.core import fairshare
from scheduler.core.explain import Sentence
from scheduler.core.model import JobKind, State
from scheduler.core.reasons import Why
from scheduler.store import planning
from tests.support.database import Database
from tests.support.scheduled import NOW, SIZE, World, a_submission, open_world


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


def runs(seconds: float, **known: object) -> bytes:
    return Behaviour(run_s=seconds, **known).script().body  # type: ignore[arg-type]  any subset of the fields


async def test_a_job_is_queued_dispatched_run_and_settled(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(body=runs(5, result={"accuracy": 0.97})))
    assert job.waiting is not None
    assert (job.state, job.waiting.reason) == (State.QUEUED, Why.NOT_PLANNED_YET)
    ended = await world.until_ended(job)
    assert (ended.state, ended.exit_code, ended.reason, ended.waiting) == (State.SUCCEEDED, 0, None, None)
    assert [kind for kind, _ in await world.story(job)] == ["Queued", "Dispatched", "Accepted", "Started", "Ended"]
    assert json.loads(await world.result(job) or b"") == {"accuracy": 0.97}
    assert (await world.money(job))[1] == [("succeeded", True)]


async def test_a_circuit_runs_on_a_qpu(database: Database) -> None:
    world = await open_world(database, size=Resources(gpus=1, cpus=2, memory_mb=8_000, qpus=1))
    alice = await world.member("alice")
    request = a_submission(kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=4000)
    ended = await world.until_ended(await world.submit(alice, request))
    assert ended.state is State.SUCCEEDED
    assert json.loads(await world.result(ended) or b"") == {"counts": {"0": 2000, "1": 2000}}


async def test_a_failed_program_is_charged_and_says_its_exit_code(world: World) -> None:
    alice = await world.member("alice")
    body = runs(2, ending=Seen.FAILED, exit_code=3)
    ended = await world.until_ended(await world.submit(alice, a_submission(body=body)))
    assert (ended.state, ended.exit_code, ended.reason) == (State.FAILED, 3, "exit_code")
    assert (await world.money(ended))[1] == [("failed", True)]
    assert await world.result(ended) is None


async def test_a_job_that_runs_too_long_is_ended_at_its_limit(world: World) -> None:
    alice = await world.member("alice")
    ended = await world.until_ended(await world.submit(alice, a_submission(body=runs(100), walltime_s=20)))
    assert (ended.state, ended.reason) == (State.FAILED, "timed_out")


async def test_what_does_not_fit_waits_and_says_why_in_both_languages(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await world.submit(alice, a_submission(gpus=8, body=runs(60)))
    waiting = await world.submit(bob, a_submission(gpus=2))
    await world.dispatch()
    seen = (await world.job(waiting)).waiting
    assert seen is not None
    assert seen.reason is Why.NO_CAPACITY
    assert isinstance(seen.sentence, Sentence)
    assert seen.sentence.ja.endswith("空き: GPU 0基、CPU 0コア、メモリ 31232 MB(順番: 1番目)")
    assert seen.sentence.en.endswith("free: 0 GPU, 0 CPU, 31232 MB of memory. (position 1 in line)")
    assert (await world.until_ended(waiting)).state is State.SUCCEEDED


async def test_only_changed_reasons_are_written(world: World) -> None:
    alice = await world.member("alice")
    await world.submit(alice, a_submission(gpus=8, body=runs(60)))
    await world.dispatch()
    waiting = await world.submit(alice, a_submission(gpus=8))
    await world.dispatch()
    version = "SELECT xmin::text FROM scheduler.attempt WHERE job_id = $1"
    before = await world.market.database.owner.fetchval(version, waiting.id)
    await world.dispatch()
    assert await world.market.database.owner.fetchval(version, waiting.id) == before


async def test_two_organisations_with_equal_weights_share_the_machine(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    first = [await world.submit(alice, a_submission(body=runs(60))) for _ in range(8)]
    second = [await world.submit(bob, a_submission(body=runs(60))) for _ in range(8)]
    await world.dispatch()
    running = [[(await world.job(job)).state for job in jobs].count(State.DISPATCHING) for jobs in (first, second)]
    assert running == [4, 4]


async def test_what_was_used_counts_against_the_next_turn(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    before = await world.submit(alice, a_submission(gpus=8, body=runs(60)))
    await world.until(lambda job: job.state is State.RUNNING, before)
    first = await world.submit(alice, a_submission(gpus=8))
    world.clock.advance(1)
    second = await world.submit(bob, a_submission(gpus=8))  # meanwhile alice has what bob lacks
    await world.until_ended(before)
    await world.dispatch()
    assert [(await world.job(job)).state for job in (first, second)] == [State.QUEUED, State.DISPATCHING]


async def test_the_database_decays_use_as_the_core_does(world: World) -> None:
    alice = await world.member("alice")
    job = await world.until_ended(await world.submit(alice, a_submission(gpus=8, body=runs(60))))
    nu, charged_at = await world.market.database.owner.fetchrow(
        "SELECT nu, charged_at FROM scheduler.fairshare_charge WHERE attempt_id = $1", job.attempt_id
    )  # type: ignore[misc]  it is there
    assert nu == pytest.approx(8 * 60 / 3600)
    for days in (0, 3, 30, 400):
        at, half_life = NOW + timedelta(days=days), timedelta(days=7)
        async with world.market.as_worker() as conn:
            claims = await planning.claims(conn, at=at, half_life=half_life)
        expected = fairshare.decayed(nu, age=at - charged_at, half_life=half_life)
        assert claims.get(job.organisation_id, planning.Claim()).used_micro_nu == pytest.approx(
            expected * fairshare.MICRO, abs=1
        )


async def test_a_lost_attempt_is_tried_again_on_the_same_hold_and_costs_nothing(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(cut_short=Seen.NODE_FAILED)
    job = await world.submit(alice, a_submission(body=runs(20), max_attempts=2))
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 2)
    assert (await world.money(job))[1] == [("lost", False), ("succeeded", True)]
    assert await world.market.database.owner.fetchval("SELECT count(*) FROM pricing.hold") == 1


async def test_a_preempted_job_without_attempts_left_is_over(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(cut_short=Seen.PREEMPTED)
    ended = await world.until_ended(await world.submit(alice, a_submission(body=runs(20))))
    assert (ended.state, ended.attempt_count) == (State.PREEMPTED, 1)
    closed_at, told = await world.money(ended)
    assert told == [("preempted", True)]
    assert closed_at is not None


async def test_what_the_machine_refuses_for_ever_fails_and_is_not_charged(database: Database) -> None:
    world = await open_world(database, size=SIZE)
    alice = await world.member("alice")
    request = a_submission(kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=10)
    job = await world.submit(alice, request)
    await world.dispatch()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert waiting.reason is Why.EXCEEDS_MACHINE


async def test_a_waiting_job_is_cancelled_at_once(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice)
    await world.cancel(alice, job)
    assert await world.dispatch() == 0
    await world.carry_out_cancels()
    ended = await world.job(job)
    assert (ended.state, ended.reason) == (State.CANCELLED, "cancelled_in_queue")
    closed_at, told = await world.money(job)
    assert told == [("never_ran", True)]
    assert closed_at is not None


async def test_a_running_job_is_billed_until_the_cluster_confirms_the_cancel(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(body=runs(300)))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    await world.cancel(alice, job)
    await world.cancel(alice, job)
    await world.carry_out_cancels()
    assert (await world.job(job)).state is State.CANCELLING
    ended = await world.until_ended(job)
    assert (ended.state, ended.reason) == (State.CANCELLED, "cancelled_by_user")
    assert (await world.money(job))[1] == [("cancelled", True)]
    kinds = [kind for kind, _ in await world.story(job)]
    assert kinds == ["Queued", "Dispatched", "Accepted", "Started", "CancelRequested", "Ended"]


async def test_a_cancel_after_the_end_changes_nothing(world: World) -> None:
    alice = await world.member("alice")
    job = await world.until_ended(await world.submit(alice))
    await world.cancel(alice, job)
    await world.round()
    assert (await world.job(job)).cancel_requested_at is None


async def test_a_cancel_that_meets_the_success_under_way_loses(world: World) -> None:
    # 1. it runs; 2. it has succeeded on the cluster, which nobody has observed; 3. the cancel is carried out.
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(body=runs(5)))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    world.clock.advance(10)
    await world.cancel(alice, job)
    await world.carry_out_cancels()
    ended = await world.until_ended(job)
    assert (ended.state, (await world.money(job))[1]) == (State.SUCCEEDED, [("succeeded", True)])
