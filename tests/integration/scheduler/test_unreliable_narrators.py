"""Each fault by itself: lost answers, deaths between two steps, forgetful and unreadable backends, bad items."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import asyncpg
import pytest

from hpc_adapters.contract import JobRequest, Observation, Ref, Seen
from hpc_adapters.errors import Unavailable
from hpc_adapters.simulated.behaviour import Behaviour
from hpc_adapters.simulated.faults import Answer, Faults
from infra.db.connection import Lease
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.loops import dispatch
from scheduler.loops.deps import Settings
from tests.support.database import Database
from tests.support.interposed import Interposed, Killed, interpose, raising
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

LONG = Behaviour(run_s=120).script().body


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


# -- the answer to a submission ----------------------------------------------------------------------------------------


async def test_a_lost_answer_is_found_out_and_nothing_is_sent_twice(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.LOST_ANSWER)
    job = await world.submit(alice)
    await world.dispatch()
    assert (await world.job(job)).state is State.DISPATCHING
    assert await world.dispatch() == 0
    world.clock.advance(3)
    assert await world.sweep() == 1
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 1)
    assert world.backend.cluster.truth.submissions[job.attempt_id] == 1


async def test_a_lost_request_is_sent_again_only_after_the_settle_window(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.LOST_REQUEST)
    job = await world.submit(alice)
    await world.dispatch()
    for _ in range(39):  # 5 s budget + 15 s for the call + 20 s settle window
        await world.round()
        assert (await world.job(job)).state is State.DISPATCHING
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 1)
    kinds = [kind for kind, _ in await world.story(job)]
    assert kinds[:4] == ["Queued", "Dispatched", "NotSubmitted", "Dispatched"]


async def test_an_effect_that_is_delayed_beyond_every_window_still_starts_once(world: World) -> None:
    # The backend breaks its own promise: the first request appears when the second has been sent.
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.DELAYED_EFFECT, appears_after_s=60.0, starts_after_s=1.0)
    job = await world.submit(alice, a_submission(body=LONG))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    ended = await world.until_ended(job)
    assert ended.state is State.SUCCEEDED
    assert world.backend.cluster.truth.starts == {job.attempt_id: 1}


async def test_a_full_machine_is_not_an_error_and_the_job_waits_again(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice)
    interpose(world, submit=raising(Unavailable("no-room", maybe_done=False)))
    assert await world.dispatch() == 0
    seen = await world.job(job)
    assert seen.waiting is not None
    assert (seen.state, seen.waiting.reason) == (State.QUEUED, Why.RETRY_LATER)
    assert await world.dispatch() == 0
    world.backends = {CLUSTER: world.backend}
    assert (await world.until_ended(job)).attempt_count == 1


async def test_an_unreachable_backend_is_offline_and_its_jobs_wait(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice)
    world.backend.cluster.reachable = False
    assert await world.dispatch() == 0
    seen = await world.job(job)
    assert seen.waiting is not None
    assert seen.waiting.reason is Why.BACKEND_OFFLINE
    world.backend.cluster.reachable = True
    assert (await world.until_ended(job)).state is State.SUCCEEDED


async def test_a_backend_that_never_answers_is_given_up_after_its_time(database: Database) -> None:
    world = await open_world(database, settings=Settings(call_timeout_s=0.05))
    alice = await world.member("alice")
    job = await world.submit(alice)

    class Silent(Interposed):
        async def submit(self, request: JobRequest) -> Ref:
            await asyncio.Event().wait()
            raise AssertionError(request)

    world.backends = {CLUSTER: Silent(world)}
    assert await world.dispatch() == 0
    assert (await world.job(job)).state is State.DISPATCHING


# -- deaths of the worker ----------------------------------------------------------------------------------------------


async def test_killed_between_the_note_and_the_submission(world: World) -> None:
    # 1. 'Dispatched' is committed; 2. the worker dies; 3. nothing was sent, which nobody knows; 4. it is sent once.
    alice = await world.member("alice")
    job = await world.submit(alice)
    interpose(world, submit=raising(Killed()))
    with pytest.raises(Killed):
        await world.dispatch()
    assert (await world.job(job)).state is State.DISPATCHING
    world.backends = {CLUSTER: world.backend}
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    assert world.backend.cluster.truth.starts == {job.attempt_id: 1}


async def test_killed_between_the_submission_and_its_note(world: World) -> None:
    # 1. the backend has accepted; 2. the worker dies before it notes so; 3. the sweep finds it by attempt id.
    alice = await world.member("alice")
    job = await world.submit(alice)

    class Dying(Interposed):
        async def submit(self, request: JobRequest) -> Ref:
            await self._inner.submit(request)
            raise Killed

    world.backends = {CLUSTER: Dying(world)}
    with pytest.raises(Killed):
        await world.dispatch()
    world.backends = {CLUSTER: world.backend}
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    assert world.backend.cluster.truth.submissions == {job.attempt_id: 1}


async def test_a_cancel_during_an_unknown_submission_ends_what_turns_up(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.DELAYED_EFFECT, appears_after_s=10.0)
    job = await world.submit(alice, a_submission(body=LONG))
    await world.dispatch()
    await world.cancel(alice, job)
    await world.carry_out_cancels()
    assert (await world.job(job)).state is State.CANCELLING
    ended = await world.until_ended(job)
    assert ended.state is State.CANCELLED
    assert not list(world.backend.cluster.live())


async def test_a_cancel_of_what_never_arrived_costs_nothing(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.LOST_REQUEST)
    job = await world.submit(alice)
    await world.dispatch()
    await world.cancel(alice, job)
    ended = await world.until_ended(job)
    assert (ended.state, ended.reason) == (State.CANCELLED, "never_accepted")
    assert (await world.money(job))[1] == [("never_ran", True)]


async def test_a_stray_that_turns_up_after_the_end_is_cancelled(world: World) -> None:
    # 1. sent, lost on its way; 2. cancelled, and concluded absent; 3. it appears after all, and runs.
    alice = await world.member("alice")
    world.backend.cluster.force_next(answer=Answer.DELAYED_EFFECT, appears_after_s=90.0)
    job = await world.submit(alice, a_submission(body=LONG))
    await world.dispatch()
    await world.cancel(alice, job)
    assert (await world.until_ended(job)).reason == "never_accepted"
    for _ in range(60):
        await world.round()
    assert not list(world.backend.cluster.live())
    assert (await world.job(job)).state is State.CANCELLED


# -- what is said of a running job -------------------------------------------------------------------------------------


async def test_a_job_that_the_cluster_forgot_is_lost_after_a_while_and_tried_again(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(vanishes_at_share=0.1, orphaned=False)
    job = await world.submit(alice, a_submission(body=LONG, max_attempts=2))
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 2)
    assert (await world.money(job))[1] == [("lost", False), ("succeeded", True)]


async def test_accepted_and_forgotten_before_it_started_is_sent_again_as_the_same_attempt(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(starts_after_s=50.0)
    job = await world.submit(alice)
    await world.dispatch()
    assert world.backend.cluster.crash(world.now) == [job.attempt_id]
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 1)
    assert "SeenMissing" in [kind for kind, _ in await world.story(job)]


async def test_unreadable_states_are_borne(database: Database) -> None:
    world = await open_world(database, faults=Faults(unknown_state=0.7, stale_status=0.3))
    alice = await world.member("alice")
    ended = await world.until_ended(await world.submit(alice, a_submission(body=LONG)))
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 1)


async def test_nothing_but_riddles_ends_as_lost_and_is_ended_on_the_cluster(database: Database) -> None:
    world = await open_world(database, faults=Faults(unknown_state=1))
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(body=Behaviour(run_s=10**6).script().body, walltime_s=60))
    for _ in range(80):
        await world.round(10)
    ended = await world.job(job)
    assert (ended.state, ended.reason) == (State.LOST, "unreadable")
    assert not list(world.backend.cluster.live())


async def test_while_nothing_can_be_told_of_an_attempt_nothing_is_concluded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an accounting that is away for long would end it, free of charge, and its program would run again."""
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(walltime_s=60))
    await world.round()
    backend = world.backends[CLUSTER]
    honest = backend.observe

    async def away(refs: Sequence[Ref]) -> Sequence[Observation]:
        return [
            Observation(ref=ref, seen=Seen.UNKNOWN, observed_at=world.now, detail="accounting-away", not_now=True)
            for ref in refs
        ]

    monkeypatch.setattr(backend, "observe", away)
    for _ in range(80):
        await world.round(60)
    assert (await world.job(job)).state is State.DISPATCHING
    monkeypatch.setattr(backend, "observe", honest)
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count) == (State.SUCCEEDED, 1)


async def test_a_second_start_by_the_cluster_is_no_second_run(world: World) -> None:
    alice = await world.member("alice")
    world.backend.cluster.force_next(starts_again_after_s=2.0)
    job = await world.submit(alice, a_submission(body=LONG))
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    assert world.backend.cluster.truth.starts == {job.attempt_id: 1}
    assert world.backend.cluster.truth.refused_at_gate == {job.attempt_id: 1}


async def test_a_result_that_could_not_be_read_at_the_end_is_read_later(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(body=Behaviour(result={"x": 1}).script().body))
    interpose(world, logs=raising(Unavailable("busy", maybe_done=False)))
    ended = await world.until_ended(job)
    assert (ended.state, await world.result(job)) == (State.SUCCEEDED, None)
    world.backends = {CLUSTER: world.backend}
    await world.sweep()
    assert await world.result(job) == b'{"x": 1}'
    assert await world.sweep() == 0


# -- bad items and stale leaders ---------------------------------------------------------------------------------------


async def test_a_job_with_a_fault_of_ours_steps_aside_and_the_others_go_on(world: World) -> None:
    alice = await world.member("alice")
    bad, good = await world.submit(alice, a_submission(gpus=8)), await world.submit(alice, a_submission(gpus=8))
    owner = world.market.database.owner
    await owner.execute("ALTER TABLE scheduler.job_payload DISABLE TRIGGER append_only")
    await owner.execute("DELETE FROM scheduler.job_payload WHERE job_id = $1", bad.id)
    await world.dispatch()
    await world.dispatch()
    assert (await world.job(good)).state is State.DISPATCHING
    waiting = (await world.job(bad)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts["problem"]) == (Why.PARKED, "LookupError")


async def test_an_adapter_with_a_bug_stops_nobody_elses_observation(world: World) -> None:
    alice = await world.member("alice")
    jobs = [await world.submit(alice) for _ in range(3)]
    world.settings = replace(world.settings, observe_batch=1)
    bad = jobs[0].attempt_id

    def fail_for_one(refs: Sequence[Ref]) -> None:
        if refs[0].attempt_id == bad:
            raise KeyError("a bug in an adapter")

    interpose(world, observe=fail_for_one)
    for _ in range(10):
        await world.round()
    assert [(await world.job(job)).state for job in jobs] == [State.DISPATCHING, State.SUCCEEDED, State.SUCCEEDED]


async def test_a_stale_leader_writes_nothing(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice)
    await world.market.database.owner.execute(
        "INSERT INTO infra.leader SELECT loop, 2, 'newer', now(), now() "
        "FROM unnest(ARRAY['dispatch', 'observe', 'cancel', 'sweep']) AS loop"
    )
    await world.cancel(alice, await world.submit(alice))
    for tick in (world.dispatch, world.observe, world.carry_out_cancels, world.sweep):
        with pytest.raises(asyncpg.PostgresError, match="stale leader"):
            await tick(Lease(loop=tick.__name__.replace("carry_out_cancels", "cancel"), token=1))
    assert (await world.job(job)).state is State.QUEUED
    assert not world.backend.cluster.truth.submissions


async def test_a_leader_that_became_stale_during_the_call_leaves_its_answer_to_the_next(world: World) -> None:
    # 1. the old leader notes 'Dispatched' and stalls in the call; 2. a new leader takes over; 3. the answer comes.
    alice = await world.member("alice")
    owner = world.market.database.owner
    await owner.execute("INSERT INTO infra.leader VALUES ('dispatch', 1, 'old', now(), now())")
    job = await world.submit(alice)

    class Stalling(Interposed):
        async def submit(self, request: JobRequest) -> Ref:
            ref = await self._inner.submit(request)
            await owner.execute("UPDATE infra.leader SET token = 2, holder = 'new'")
            return ref

    world.backends = {CLUSTER: Stalling(world)}
    with pytest.raises(asyncpg.PostgresError, match="stale leader"):
        await dispatch.tick(world.deps(Lease(loop="dispatch", token=1)), world.now)
    assert [kind for kind, _ in await world.story(job)] == ["Queued", "Dispatched"]
    world.backends = {CLUSTER: world.backend}
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    assert world.backend.cluster.truth.starts == {job.attempt_id: 1}


async def test_ticks_of_two_workers_at_the_same_moment_do_no_harm(world: World) -> None:
    alice = await world.member("alice")
    jobs = [await world.submit(alice) for _ in range(8)]
    for _ in range(12):
        world.clock.advance(1)
        await asyncio.gather(
            *(tick() for tick in (world.dispatch, world.observe, world.sweep, world.carry_out_cancels) for _ in "ab")
        )
    assert {(await world.job(job)).state for job in jobs} == {State.SUCCEEDED}
    assert set(world.backend.cluster.truth.starts.values()) == {1}
