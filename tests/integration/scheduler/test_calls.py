"""Running jobs that call a QPU: each call once, within what was quoted, and over when its job is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import FrameType
from typing import Any

import pytest

from accounts.model import Principal
from hpc_adapters.contract import Circuit, Resources, Script, Seen
from hpc_adapters.simulated.behaviour import Behaviour
from metering.audit.audit import audit
from metering.audit.model import Claims
from pricing.errors import InsufficientFunds
from scheduler import errors, service
from scheduler.core.calls import MAX_REFUSED
from scheduler.core.model import JobKind, State
from scheduler.cursor import word_cursor_of
from scheduler.loops import listening
from scheduler.store import calls as store
from scheduler.submission import QpuWish, Submission
from scheduler.views import JobView, QpuView
from tests.support.callers import NO_COLLECTOR_HERE, SIZE, WISH, a_caller, answered, made, started
from tests.support.database import Database
from tests.support.interposed import Killed
from tests.support.mailboxes import Mailboxes, a_call
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database, size=SIZE)


@pytest.fixture
def post(world: World) -> Mailboxes:
    made = Mailboxes(world.backend)
    world.backends = {CLUSTER: made}  # type: ignore[dict-item]  it stands for one
    return made


@pytest.fixture
async def alice(world: World, post: Mailboxes) -> Principal:
    assert post
    return await world.member("alice")


async def seen(world: World, job: JobView) -> QpuView:
    async with world.market.as_worker() as conn:
        found = await service.qpu(conn, job.id)
    assert found is not None
    return found


async def test_a_running_job_calls_its_qpu_under_its_own_hold(world: World, post: Mailboxes, alice: Principal) -> None:
    job = await started(world, alice)
    for number in range(1, 6):
        post.ask(job.attempt_id, number, a_call(200))
        assert sum((await answered(world, post, job, number))["counts"].values()) == 200
    world.clock.advance(500)
    ended = await world.until_ended(job)
    assert (ended.state, ended.attempt_count, ended.backend) == (State.SUCCEEDED, 1, CLUSTER)
    assert [(each.number, each.shots, each.state) for each in await made(world, job)] == [
        (number, 200, State.SUCCEEDED) for number in range(1, 6)
    ]
    assert sorted((await world.money(job))[1]) == [*[("succeeded", False)] * 5, ("succeeded", True)]
    own, *circuits = post.submitted
    assert isinstance(own.payload, Script)
    assert (own.number, own.has_calls) == (1, True)
    asked = Circuit(program=b"OPENQASM 3.0;", shots=200, max_qpu_us=2_050_000)
    assert {each.payload for each in circuits} == {asked}
    assert {(each.resources, each.ordinal, each.has_calls) for each in circuits} == {(Resources(qpus=1), 1, False)}
    async with world.market.as_worker() as conn:
        assert [each.ordinal for each in await service.attempts(conn, job.id)] == [1]
        assert {line.phase for line in await service.story(conn, job.id)} == {"main"}
        found = await audit(conn, [], Claims(), now=world.now)
    assert [each for each in found.differences if each.check not in NO_COLLECTOR_HERE] == []


async def test_a_call_has_the_base_time_of_as_many_elements_as_were_quoted(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice, a_caller(elements=40))
    post.ask(job.attempt_id, 1, a_call(200))
    await answered(world, post, job, 1)
    assert {each.payload.max_qpu_us for each in post.submitted if isinstance(each.payload, Circuit)} == {80_050_000}
    async with world.market.as_worker() as conn:
        lines = await conn.fetchval(
            "SELECT lines FROM pricing.quote_phase WHERE job_id = $1 AND phase = 'calls'", job.id
        )
    assert 5 * 80 < Decimal(lines["qpu_s"]["quantity"]) < 5 * 80 + 1


async def test_the_audit_notices_calls_that_nobody_made_or_quoted(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice)
    post.ask(job.attempt_id, 1)
    await answered(world, post, job, 1)
    owner = world.market.database.owner
    for corruption in (
        "UPDATE scheduler.attempt SET ordinal = -7 WHERE ordinal = -1",
        "ALTER TABLE scheduler.job_qpu DISABLE TRIGGER append_only",
        "UPDATE scheduler.job_qpu SET shots = 50",
    ):
        await owner.execute(corruption)
    async with world.market.as_worker() as conn:
        found = {each.check for each in (await audit(conn, [], Claims(), now=world.now)).differences}
    assert {"call-differs-from-its-attempt", "more-calls-than-quoted"} <= found


async def test_the_quote_is_the_jobs_and_that_of_all_calls(world: World, alice: Principal) -> None:
    async with world.as_tenant(alice) as conn:

        async def quoted(request: Submission) -> Any:
            ids = (world.new_id(), world.new_id())
            capabilities = {name: each.capabilities() for name, each in world.backends.items()}
            estimated = await service.estimate(
                conn, principal=alice, request=request, capabilities=capabilities, ids=ids, now=world.now
            )
            assert estimated.jobs == 1
            return estimated.quote

        both, alone = await quoted(a_caller()), await quoted(a_submission())
        # 5 calls of 2 s each and 250 ms for all 1,000 shots, at 150 yen a second, and 12.5 yen for 1,000 shots
        calls = 150 * (5 * 2_000_000 + 250_000 + 5) + 12_500_000
        assert both.ceiling_micro_yen == alone.ceiling_micro_yen + calls
        assert [(each.phase, each.offering_id) for each in both.phases] == [
            ("main", "gpu-demo"),
            ("calls", "qpu-local"),
        ]
    job = await world.submit(alice, a_caller())
    held = await world.market.database.owner.fetchval(
        "SELECT ceiling_micro_yen FROM pricing.hold WHERE job_id = $1", job.id
    )
    assert held == both.ceiling_micro_yen
    poor = await world.member("poor", yen="60")
    with pytest.raises(InsufficientFunds):
        await world.submit(poor, a_caller())


async def test_what_is_beyond_the_quote_or_no_call_at_all_is_refused_by_name(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice, a_caller(calls=2, shots=300))
    pubs = {"format": "kyoyo.pubs/1", "primitive": "sampler", "pubs": [{"circuit": 0, "shots": 250}]}
    pubs["circuits"] = [{"format": "openqasm3", "text": "OPENQASM 3.0;"}]
    told = [
        (b"{", "malformed-call"),
        (b"[1]", "malformed-call"),
        (b'{"format": "kyoyo.call/1"}', "malformed-call"),
        (a_call(0), "malformed-call"),
        (a_call(program="no program"), "unknown-format"),
        (b" " * (2**21 + 1), "call-too-large"),
        (b'{"format": "kyoyo.pubs/1"}', "malformed-document"),
        (a_call(301), "more-shots-than-quoted"),
        (json.dumps(pubs).encode(), None),
        (a_call(51), "more-shots-than-quoted"),
        (a_call(50), None),
        (a_call(1), "too-many-calls"),
    ]
    for number, (content, code) in enumerate(told, start=1):
        post.ask(job.attempt_id, number, content)
        answer = await answered(world, post, job, number)
        assert (answer.get("error") or {"code": None})["code"] == code, content[:40]
    assert [each.code for each in (await made(world, job))] == [code for _, code in told]


async def test_refusals_end_too(world: World, post: Mailboxes, alice: Principal) -> None:
    job = await started(world, alice)
    for number in range(1, MAX_REFUSED + 3):
        post.ask(job.attempt_id, number, b"{")
    for _ in range(MAX_REFUSED + 5):
        await world.listen()
    assert post.told(job.attempt_id, MAX_REFUSED + 1)["error"]["code"] == "too-many-refusals"  # type: ignore[index]
    assert post.told(job.attempt_id, MAX_REFUSED + 2) is None
    assert len(await made(world, job)) == MAX_REFUSED + 1
    shown = await seen(world, job)
    assert (shown.asked, [each.number for each in shown.calls]) == (101, list(range(101, 51, -1)))
    async with world.market.as_worker() as conn:
        older = await service.calls(conn, job.id, limit=200, cursor=shown.next_cursor)
        assert [each.number for each in older.items] == list(range(51, 0, -1))
        for wrong in ("", "x", word_cursor_of(world.now, "-1"), word_cursor_of(world.now, "9" * 12), "\u00e9"):
            with pytest.raises(errors.BadCursor):
                await service.calls(conn, job.id, cursor=wrong)
        for limit in (0, 201):
            with pytest.raises(errors.BadLimit):
                await service.calls(conn, job.id, limit=limit)


async def test_a_job_may_load_its_data_for_longer_than_it_may_be_silent_later(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice)
    world.clock.advance(WISH["idle_s"] + 100)
    await world.listen()
    assert not (await seen(world, job)).closed
    post.ask(job.attempt_id, 1)
    assert "counts" in await answered(world, post, job, 1)
    world.clock.advance(WISH["idle_s"] + 1)
    await world.listen()
    assert (await seen(world, job)).closed


async def test_a_session_that_is_idle_takes_no_call_any_more_and_its_job_goes_on(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice)
    post.ask(job.attempt_id, 1)
    await answered(world, post, job, 1)
    world.clock.advance(115)
    await world.listen()
    assert not (await seen(world, job)).closed
    world.clock.advance(10)
    await world.listen()
    assert (await seen(world, job)).closed
    post.ask(job.attempt_id, 2)
    assert (await answered(world, post, job, 2))["error"] == {"code": "session-idle", "facts": {"idle_s": 120}}
    assert (await world.job(job)).state is State.RUNNING


async def test_calls_end_with_their_job(world: World, post: Mailboxes, alice: Principal) -> None:
    blocker = a_submission(
        kind=JobKind.QUANTUM, offering_id="qpu-local", body=b"OPENQASM 3.0;", gpus=0, shots=90_000, walltime_s=3600
    )
    job = await started(world, alice, a_caller(run_s=10))
    await world.submit(alice, blocker)
    await world.dispatch()
    post.ask(job.attempt_id, 1)
    await world.listen()
    assert (await made(world, job))[0].state is State.QUEUED
    assert (await world.until_ended(job)).state is State.SUCCEEDED
    await world.carry_out_cancels()
    assert (await made(world, job))[0].state is State.CANCELLED
    assert sorted((await world.money(job))[1]) == [("never_ran", False), ("succeeded", True)]
    assert post.told(job.attempt_id, 1) is None


async def test_a_cancel_ends_the_job_and_its_running_call(world: World, post: Mailboxes, alice: Principal) -> None:
    job = await started(world, alice)
    post.ask(job.attempt_id, 1, a_call(1000))
    await world.listen()
    await world.dispatch()
    await world.cancel(alice, job)
    assert (await world.until_ended(job)).state is State.CANCELLED
    for _ in range(5):
        await world.round()
    (call,) = await made(world, job)
    assert call.state in {State.CANCELLED, State.SUCCEEDED}
    assert {last for _, last in (await world.money(job))[1]} == {False, True}


async def test_an_answer_that_cannot_be_written_comes_later(world: World, post: Mailboxes, alice: Principal) -> None:
    job = await started(world, alice)
    post.ask(job.attempt_id, 1)
    post.away = True
    for _ in range(8):
        await world.round()
    assert post.told(job.attempt_id, 1) is None
    world.clock.advance(WISH["idle_s"] + 1)
    post.away = False
    assert "counts" in await answered(world, post, job, 1)
    assert not (await seen(world, job)).closed  # the silence was ours
    post.ask(job.attempt_id, 2)
    assert "counts" in await answered(world, post, job, 2)


async def test_a_mailbox_that_is_broken_holds_up_no_other(world: World, post: Mailboxes, alice: Principal) -> None:
    broken, sound = await started(world, alice), await started(world, alice)
    post.broken.add(broken.attempt_id)
    post.ask(broken.attempt_id, 1, b"{")
    post.ask(sound.attempt_id, 1, b"{")
    await world.listen()
    await world.listen()
    assert post.told(broken.attempt_id, 1) is None
    assert post.told(sound.attempt_id, 1) is not None


async def test_another_attempt_begins_anew_within_what_is_left(world: World, post: Mailboxes, alice: Principal) -> None:
    lost = Behaviour(run_s=40, ending=Seen.NODE_FAILED).script().body
    request = a_submission(body=lost, qpu=QpuWish(**{**WISH, "calls": 2}), max_attempts=2)
    first = await started(world, alice, request)
    post.ask(first.attempt_id, 1)
    await answered(world, post, first, 1)
    second = await world.until(lambda told: told.attempt_count == 2 and told.state is State.RUNNING, first)
    post.ask(second.attempt_id, 1)
    assert "counts" in await answered(world, post, second, 1)
    post.ask(second.attempt_id, 2)
    assert (await answered(world, post, second, 2))["error"]["code"] == "too-many-calls"
    assert [(each.number, each.code) for each in await made(world, first)] == [
        (1, None),
        (2, None),
        (3, "too-many-calls"),
    ]


async def test_two_workers_that_read_the_same_file_make_one_call(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice)
    async with world.market.as_worker() as conn:
        (session,) = await store.sessions(conn, limit=10)
    post.ask(job.attempt_id, 1)
    assert await listening._take(world.deps(), session, a_call(), world.now)
    assert not await listening._take(world.deps(), session, a_call(), world.now)
    assert len(await made(world, job)) == 1


@contextmanager
def killed_at(line: int) -> Iterator[None]:
    """Nothing of the loop runs after so many lines of it."""
    passed = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal passed
        if frame.f_code.co_filename != listening.__file__:
            return None
        if event == "line":
            passed += 1
            if passed == line:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # calls that a kill leaves unawaited
async def test_killed_at_any_line_a_call_is_made_once_and_answered(
    world: World, post: Mailboxes, alice: Principal
) -> None:
    job = await started(world, alice, a_caller(run_s=590, calls=200, shots=2_000, idle_s=3600))
    line, number, killed = -2, 0, True
    while killed:
        number, line = number + 1, line + 3
        post.ask(job.attempt_id, number, a_call(10))
        killed = await _dying(world, line)  # as it is taken
        await world.listen()
        assert len(await made(world, job)) == number
        await world.dispatch()
        world.clock.advance(4)
        await world.observe()
        killed |= await _dying(world, line)  # as it is answered
        await world.listen()
        assert "counts" in (post.told(job.attempt_id, number) or {})
    calls = await made(world, job)
    assert number > 15
    assert [each.number for each in calls] == list(range(1, number + 1))
    assert len({each.attempt_id for each in calls}) == number
    started_once = [each.attempt_id for each in post.submitted]
    assert len(started_once) == len(set(started_once)) == number + 1
    rows = await world.market.database.owner.fetchval(
        "SELECT count(*) FROM scheduler.qpu_answer WHERE job_id = $1", job.id
    )
    assert rows == number


async def _dying(world: World, line: int) -> bool:
    """Whether it came that far."""
    try:
        with killed_at(line):
            await world.listen()
    except Killed:
        return True
    return False


async def test_what_cannot_be_is_refused_before_anything_is_written(world: World, alice: Principal) -> None:
    circuit = {"kind": JobKind.QUANTUM, "offering_id": "qpu-local", "body": b"OPENQASM 3.0;", "gpus": 0, "shots": 1}
    with pytest.raises(errors.BadSession, match="bad-session") as refused:
        await world.submit(alice, a_submission(**circuit, qpu=QpuWish(**WISH)))
    assert refused.value.facts["problem"] == "qpu_kind"
    for wrong in (
        {"wait_s": 0},
        {"wait_s": 86_401},
        {"elements": 0},
        {"elements": 1_001},
        {"calls": 0},
        {"shots": 4},
        {"idle_s": 0},
        {"call_s": 0},
        {"calls": 10_001},
    ):
        with pytest.raises(errors.OptionOutOfRange):
            await world.submit(alice, a_caller(**wrong))
    with pytest.raises(errors.KindMismatch) as mismatch:
        await world.submit(alice, a_caller(offering_id="gpu-demo"))
    assert mismatch.value.facts["phase"] == "calls"
    world.backends = {CLUSTER: world.backend}
    with pytest.raises(errors.UnsupportedFeature) as unsupported:
        await world.submit(alice, a_caller())
    assert unsupported.value.facts["feature"] == "calls"
