"""The table of legal moves, pair by pair, and the stories behind its corners."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import get_args
from uuid import UUID

import pytest

from hpc_adapters.contract import BY_OWNER, Observation, Ref, Seen
from hpc_adapters.errors import Forgotten
from pricing.model import Ending, ServiceClass
from scheduler.core.effects import (
    CancelOnBackend,
    ChargeFairShare,
    NextPhase,
    Requeue,
    SettleHold,
    SubmitToBackend,
)
from scheduler.core.events import (
    Accepted,
    CancelRequested,
    DeviceAway,
    Dispatched,
    DoneEarly,
    Ended,
    Event,
    NeverReady,
    NotStaged,
    NotSubmitted,
    Placed,
    PreemptRequested,
    Queued,
    Refused,
    ReservationOver,
    SeenMissing,
    SeenUnknown,
    SeenWaiting,
    Started,
    facts_of,
    told,
)
from scheduler.core.lifecycle import HARMLESS, LEGAL, InvalidTransition, Patience, advance
from scheduler.core.model import LIVE, Attempt, EndReason, JobKind, State

T0 = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
PATIENCE = Patience(answers=3, missing_for_s=30, unreadable_grace_s=100, acceptances=2)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def an_attempt(state: State = State.QUEUED, **changed: object) -> Attempt:
    plain = Attempt(
        id=UUID(int=1),
        job_id=UUID(int=2),
        organisation_id=UUID(int=3),
        backend="cluster",
        ordinal=1,
        kind=JobKind.BATCH,
        max_attempts=2,
        walltime_s=100,
        nu=4.0,
        queued_at=T0,
        trail=("Queued",),
    )
    known: dict[str, object] = {"state": state}
    if state in {State.RUNNING, State.CANCELLING}:
        known |= {"native_id": "17", "dispatched_at": at(1), "started_at": at(2), "trail": ("Queued", "Dispatched")}
    elif state is State.DISPATCHING:
        known |= {"dispatched_at": at(1), "trail": ("Queued", "Dispatched")}
    elif state.is_terminal:
        known |= {"ended_at": at(3)}
    return replace(plain, **{**known, **changed})


EVENTS: dict[type[Event], Event] = {
    Queued: Queued(at=at(10)),
    Placed: Placed(at=at(10), offering="gpu-b", backend="other", nu=2.0, rule="starts_now"),
    Dispatched: Dispatched(at=at(10)),
    Accepted: Accepted(at=at(10), native_id="18"),
    NotSubmitted: NotSubmitted(at=at(10), detail="no-room"),
    Refused: Refused(at=at(10), code="too-large"),
    Started: Started(at=at(10)),
    CancelRequested: CancelRequested(at=at(10)),
    PreemptRequested: PreemptRequested(at=at(10), for_class=ServiceClass.STANDARD),
    NeverReady: NeverReady(at=at(10), jobs=("7",)),
    ReservationOver: ReservationOver(at=at(10), reservation="R3"),
    NotStaged: NotStaged(at=at(10), code="input-gone"),
    DeviceAway: DeviceAway(at=at(10), wait_s=300),
    DoneEarly: DoneEarly(at=at(10), phase="propose-3"),
    Ended: Ended(at=at(10), seen=Seen.SUCCEEDED, exit_code=0),
    SeenWaiting: SeenWaiting(at=at(10)),
    SeenUnknown: SeenUnknown(at=at(10)),
    SeenMissing: SeenMissing(at=at(10)),
}
PAIRS = list(product(State, EVENTS))


def test_every_event_has_an_example_here() -> None:
    assert set(EVENTS) == set(get_args(Event))


@pytest.mark.parametrize(("state", "kind"), PAIRS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_each_pair_is_legal_or_harmless_or_a_bug(state: State, kind: type[Event]) -> None:
    before = an_attempt(state)
    legal, harmless = kind in LEGAL[state], kind in HARMLESS[state]
    assert not (legal and harmless)
    if not legal and not harmless:
        with pytest.raises(InvalidTransition):
            advance(before, EVENTS[kind])
        return
    after, effects = advance(before, EVENTS[kind])
    if harmless:
        assert after == before
        assert not any(isinstance(each, SettleHold | Requeue | ChargeFairShare) for each in effects)
    assert after.version - before.version in {0, 1}


@pytest.mark.parametrize(("state", "kind"), PAIRS, ids=lambda each: getattr(each, "__name__", str(each)))
@pytest.mark.parametrize("seen", [seen for seen in Seen if seen.is_end])
def test_the_hold_is_settled_exactly_when_an_attempt_becomes_terminal(
    state: State, kind: type[Event], seen: Seen
) -> None:
    event = replace(EVENTS[kind], seen=seen) if kind is Ended else EVENTS[kind]
    before = an_attempt(state)
    try:
        after, effects = advance(before, event)
    except InvalidTransition:
        return
    settled = [each for each in effects if isinstance(each, SettleHold)]
    assert len(settled) == (after.state.is_terminal and not before.state.is_terminal)
    for each in settled:
        assert each.last is not any(isinstance(effect, Requeue | NextPhase) for effect in effects)
        assert after.ended_at is not None
        assert after.ended_at >= (after.started_at or T0)


@pytest.mark.parametrize("state", [state for state in State if state.is_terminal])
def test_nothing_moves_a_terminal_attempt(state: State) -> None:
    for kind in HARMLESS[state]:
        assert advance(an_attempt(state), EVENTS[kind])[0] == an_attempt(state)


@pytest.mark.parametrize("kind", [Started, SeenWaiting, SeenUnknown, SeenMissing, CancelRequested, Accepted])
@pytest.mark.parametrize("state", sorted(LIVE - {State.QUEUED}))
def test_a_fact_told_twice_counts_once(state: State, kind: type[Event]) -> None:
    once, _ = advance(an_attempt(state, native_id="18"), EVENTS[kind])
    twice, effects = advance(once, EVENTS[kind])
    assert (twice.state, twice.trail) == (once.state, once.trail)
    assert not any(isinstance(each, SettleHold | Requeue) for each in effects)


def test_a_bug_tells_the_story_of_the_attempt() -> None:
    with pytest.raises(InvalidTransition, match=r"Dispatched at .* in RUNNING .* Queued → Dispatched"):
        advance(an_attempt(State.RUNNING), Dispatched(at=at(10)))


# -- the way through ---------------------------------------------------------------------------------------------------


def test_an_attempt_goes_its_way() -> None:
    attempt, effects = advance(an_attempt(), Dispatched(at=at(1)))
    assert (attempt.state, effects) == (State.DISPATCHING, (SubmitToBackend(),))
    attempt, effects = advance(attempt, Accepted(at=at(2), native_id="17"))
    assert (attempt.state, attempt.native_id, effects) == (State.DISPATCHING, "17", ())
    attempt, effects = advance(attempt, Started(at=at(3)))
    assert (attempt.state, attempt.started_at, effects) == (State.RUNNING, at(3), ())
    attempt, effects = advance(attempt, Ended(at=at(53), seen=Seen.SUCCEEDED, exit_code=0))
    assert (attempt.state, attempt.ended_at, attempt.exit_code) == (State.SUCCEEDED, at(53), 0)
    assert effects == (SettleHold(Ending.SUCCEEDED, last=True), ChargeFairShare(2.0))  # half of its walltime
    assert attempt.trail == ("Queued", "Dispatched", "Accepted", "Started", "Ended")


@pytest.mark.parametrize(
    ("seen", "state", "reason", "ending"),
    [
        (Seen.SUCCEEDED, State.SUCCEEDED, None, Ending.SUCCEEDED),
        (Seen.FAILED, State.FAILED, EndReason.EXIT_CODE, Ending.FAILED),
        (Seen.TIMED_OUT, State.FAILED, EndReason.TIMED_OUT, Ending.FAILED),
        (Seen.OUT_OF_MEMORY, State.FAILED, EndReason.OUT_OF_MEMORY, Ending.FAILED),
        (Seen.CANCELLED, State.CANCELLED, EndReason.CANCELLED_BY_SITE, Ending.LOST),
        (Seen.PREEMPTED, State.PREEMPTED, EndReason.PREEMPTED, Ending.PREEMPTED),
        (Seen.NODE_FAILED, State.LOST, EndReason.NODE_FAILED, Ending.LOST),
    ],
)
def test_what_an_end_means_for_the_attempt_and_for_money(
    seen: Seen, state: State, reason: str | None, ending: Ending
) -> None:
    after, effects = advance(an_attempt(State.RUNNING), Ended(at=at(10), seen=seen))
    assert (after.state, after.reason) == (state, reason)
    assert [each.ending for each in effects if isinstance(each, SettleHold)] == [ending]


def test_a_job_so_short_that_nobody_saw_it_start_has_run() -> None:
    ended = Ended(at=at(10), seen=Seen.SUCCEEDED, started_at=at(9), exit_code=0)
    after, effects = advance(an_attempt(State.DISPATCHING), ended)
    assert (after.state, after.started_at) == (State.SUCCEEDED, at(9))
    assert effects[0] == SettleHold(Ending.SUCCEEDED, last=True)


def test_what_ended_before_it_started_has_not_run() -> None:
    _, effects = advance(an_attempt(State.DISPATCHING), Ended(at=at(10), seen=Seen.NODE_FAILED))
    assert effects == (SettleHold(Ending.NEVER_RAN, last=False), Requeue(2))


def test_a_refusal_by_the_backend_ends_it_with_the_backends_word() -> None:
    after, effects = advance(an_attempt(State.DISPATCHING), Refused(at=at(2), code="too-many-qubits"))
    assert (after.state, after.reason) == (State.FAILED, "refused:too-many-qubits")
    assert effects == (SettleHold(Ending.NEVER_RAN, last=True),)


# -- requeue -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [Seen.NODE_FAILED, Seen.PREEMPTED])
def test_lost_and_preempted_attempts_are_tried_again_as_often_as_was_asked(seen: Seen) -> None:
    ended = Ended(at=at(10), seen=seen)
    assert Requeue(2) in advance(an_attempt(State.RUNNING), ended)[1]
    assert not _requeues(an_attempt(State.RUNNING, ordinal=2), ended)


@pytest.mark.parametrize("seen", [Seen.NODE_FAILED, Seen.PREEMPTED])
def test_what_shall_be_cancelled_is_not_tried_again(seen: Seen) -> None:
    ended = Ended(at=at(10), seen=seen)
    assert not _requeues(an_attempt(State.CANCELLING), ended)
    assert not _requeues(an_attempt(State.RUNNING, cancel_wanted=True), ended)


@pytest.mark.parametrize("seen", [Seen.SUCCEEDED, Seen.FAILED, Seen.TIMED_OUT, Seen.OUT_OF_MEMORY, Seen.CANCELLED])
def test_the_customers_own_ends_are_not_tried_again(seen: Seen) -> None:
    assert not _requeues(an_attempt(State.RUNNING), Ended(at=at(10), seen=seen))


def _requeues(attempt: Attempt, event: Event) -> bool:
    return any(isinstance(each, Requeue) for each in advance(attempt, event)[1])


# -- phases ------------------------------------------------------------------------------------------------------------


def test_a_phase_that_succeeded_is_followed_by_the_next_under_the_same_hold() -> None:
    before = an_attempt(State.RUNNING, phase="prepare", next_phase="measure", ordinal=2, earlier=1)
    _, effects = advance(before, Ended(at=at(10), seen=Seen.SUCCEEDED))
    assert SettleHold(Ending.SUCCEEDED, last=False) in effects
    assert NextPhase("measure", 3) in effects


def test_attempts_of_earlier_phases_do_not_count() -> None:
    before = an_attempt(State.RUNNING, phase="measure", ordinal=5, earlier=4, max_attempts=2)
    assert Requeue(6) in advance(before, Ended(at=at(10), seen=Seen.NODE_FAILED))[1]
    assert not _requeues(replace(before, ordinal=6), Ended(at=at(10), seen=Seen.NODE_FAILED))


@pytest.mark.parametrize("seen", [Seen.FAILED, Seen.TIMED_OUT, Seen.NODE_FAILED, Seen.PREEMPTED, Seen.CANCELLED])
def test_nothing_follows_a_phase_that_did_not_succeed(seen: Seen) -> None:
    before = an_attempt(State.RUNNING, next_phase="measure", max_attempts=1)
    effects = advance(before, Ended(at=at(10), seen=seen))[1]
    assert not any(isinstance(each, NextPhase) for each in effects)
    assert [each.last for each in effects if isinstance(each, SettleHold)] == [True]


def test_a_phase_that_may_be_passed_over_is_and_a_cancelled_one_is_not() -> None:
    before = an_attempt(State.RUNNING, next_phase="measure", max_attempts=1, skippable=True)
    assert NextPhase("measure", 2) in advance(before, Ended(at=at(10), seen=Seen.FAILED))[1]
    assert SettleHold(Ending.FAILED, last=False) in advance(before, Ended(at=at(10), seen=Seen.FAILED))[1]
    cancelled = advance(an_attempt(next_phase="measure", skippable=True), CancelRequested(at=at(10)))[1]
    assert cancelled == (SettleHold(Ending.NEVER_RAN, last=True),)


def test_a_phase_is_tried_again_before_it_is_passed_over() -> None:
    before = an_attempt(State.RUNNING, next_phase="measure", skippable=True)
    assert _requeues(before, Ended(at=at(10), seen=Seen.PREEMPTED))


def test_a_job_that_is_done_early_has_succeeded_and_pays_for_nothing_more() -> None:
    after, effects = advance(an_attempt(next_phase="analyse"), DoneEarly(at=at(10), phase="propose-3"))
    assert (after.state, after.reason, after.started_at) == (State.SUCCEEDED, EndReason.DONE_EARLY, None)
    assert effects == (SettleHold(Ending.NEVER_RAN, last=True),)


def test_a_cancel_that_came_too_late_for_a_phase_finds_the_next_one_waiting() -> None:
    before = an_attempt(State.CANCELLING, next_phase="measure")
    _, effects = advance(before, Ended(at=at(10), seen=Seen.SUCCEEDED))
    assert NextPhase("measure", 2) in effects


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_timeouts", "timeouts", "again"), [(0, 0, False), (1, 0, True), (1, 1, False), (2, 1, True)]
)
def test_what_ran_out_of_time_goes_on_as_often_as_was_quoted(max_timeouts: int, timeouts: int, again: bool) -> None:  # noqa: FBT001  drawn
    before = an_attempt(State.RUNNING, max_attempts=5, ordinal=3, max_timeouts=max_timeouts, timeouts=timeouts)
    after, effects = advance(before, Ended(at=at(10), seen=Seen.TIMED_OUT))
    assert (after.state, after.reason) == (State.FAILED, EndReason.TIMED_OUT)
    assert SettleHold(Ending.FAILED, last=not again) in effects
    assert (Requeue(4) in effects) is again


def test_no_time_out_is_continued_beyond_the_attempts_or_after_a_cancel() -> None:
    for changed in ({"ordinal": 2}, {"cancel_wanted": True}, {"state": State.CANCELLING}):
        before = replace(an_attempt(State.RUNNING, max_timeouts=1), **changed)
        _, effects = advance(before, Ended(at=at(10), seen=Seen.TIMED_OUT))
        assert SettleHold(Ending.FAILED, last=True) in effects


def test_what_its_owner_cancelled_past_us_is_charged_like_a_cancel() -> None:
    after, effects = advance(an_attempt(State.RUNNING), Ended(at=at(10), seen=Seen.CANCELLED, detail=BY_OWNER))
    assert (after.state, after.reason) == (State.CANCELLED, EndReason.CANCELLED_BY_OWNER)
    assert SettleHold(Ending.CANCELLED, last=True) in effects


def test_what_its_owner_cancelled_past_us_before_it_started_costs_nothing() -> None:
    after, effects = advance(an_attempt(State.DISPATCHING), Ended(at=at(10), seen=Seen.CANCELLED, detail=BY_OWNER))
    assert after.reason == EndReason.CANCELLED_BY_OWNER
    assert effects == (SettleHold(Ending.NEVER_RAN, last=True),)


def test_what_waits_in_vain_ends_in_the_queue_and_costs_nothing() -> None:
    after, effects = advance(an_attempt(), NeverReady(at=at(10), jobs=("7",)))
    assert (after.state, after.reason) == (State.CANCELLED, EndReason.DEPENDENCY_NEVER_SATISFIED)
    assert effects == (SettleHold(Ending.NEVER_RAN, last=True),)
    assert facts_of(NeverReady(at=at(10), jobs=("7", "8"))) == {"jobs": ["7", "8"]}


def test_what_missed_its_reservation_ends_in_the_queue_and_costs_nothing() -> None:
    after, effects = advance(an_attempt(), ReservationOver(at=at(10), reservation="R3"))
    assert (after.state, after.reason) == (State.CANCELLED, EndReason.RESERVATION_OVER)
    assert effects == (SettleHold(Ending.NEVER_RAN, last=True),)


def test_a_waiting_job_is_cancelled_at_once_and_costs_nothing() -> None:
    after, effects = advance(an_attempt(), CancelRequested(at=at(5)))
    assert (after.state, effects) == (State.CANCELLED, (SettleHold(Ending.NEVER_RAN, last=True),))


def test_a_cancelled_running_job_is_billed_until_the_backend_confirms() -> None:
    attempt, effects = advance(an_attempt(State.RUNNING), CancelRequested(at=at(10)))
    assert (attempt.state, effects) == (State.CANCELLING, (CancelOnBackend("17"),))
    attempt, effects = advance(attempt, Ended(at=at(12), seen=Seen.CANCELLED))
    assert (attempt.state, attempt.ended_at) == (State.CANCELLED, at(12))
    assert effects == (SettleHold(Ending.CANCELLED, last=True), ChargeFairShare(pytest.approx(0.4)))


def test_a_cancel_that_comes_too_late_changes_nothing_about_the_success() -> None:
    attempt, _ = advance(an_attempt(State.RUNNING), CancelRequested(at=at(10)))
    after, effects = advance(attempt, Ended(at=at(9), seen=Seen.SUCCEEDED, exit_code=0))
    assert (after.state, effects[0]) == (State.SUCCEEDED, SettleHold(Ending.SUCCEEDED, last=True))


def test_a_cancel_waits_for_the_answer_of_a_submission_under_way() -> None:
    attempt, effects = advance(an_attempt(State.DISPATCHING), CancelRequested(at=at(2)))
    assert (attempt.state, effects) == (State.CANCELLING, ())
    assert advance(attempt, Accepted(at=at(3), native_id="17"))[1] == (CancelOnBackend("17"),)
    for nothing_there in (NotSubmitted(at=at(3), detail="x"), Refused(at=at(3), code="x")):
        after, effects = advance(attempt, nothing_there)
        assert (after.state, effects) == (State.CANCELLED, (SettleHold(Ending.NEVER_RAN, last=True),))


def test_a_cancelled_job_that_had_started_unseen_is_billed() -> None:
    attempt, _ = advance(an_attempt(State.DISPATCHING, native_id="17"), CancelRequested(at=at(2)))
    attempt, _ = advance(attempt, Started(at=at(1)))
    assert (attempt.state, attempt.started_at) == (State.CANCELLING, at(1))
    _, effects = advance(attempt, Ended(at=at(4), seen=Seen.CANCELLED))
    assert effects[0] == SettleHold(Ending.CANCELLED, last=True)


# -- unknown outcomes --------------------------------------------------------------------------------------------------


def test_what_was_certainly_not_submitted_waits_again_with_a_growing_back_off() -> None:
    attempt, waits = an_attempt(), []
    for second in range(0, 4_000, 1_000):
        attempt, _ = advance(attempt, Dispatched(at=at(second)))
        attempt, _ = advance(attempt, NotSubmitted(at=at(second), detail="no-room"))
        assert attempt.state is State.QUEUED
        assert attempt.not_before is not None
        waits.append((attempt.not_before - at(second)).total_seconds())
    assert waits == [5, 10, 20, 40]


def test_the_answer_of_a_slow_call_does_not_overrule_what_was_found_meanwhile() -> None:
    found = an_attempt(State.DISPATCHING, native_id="17")
    for late in (NotSubmitted(at=at(9), detail="no-room"), Refused(at=at(9), code="x")):
        assert advance(found, late) == (found, ())


def test_a_backend_that_has_what_we_believed_not_submitted_is_believed() -> None:
    queued = an_attempt(State.QUEUED, dispatched_at=at(1), not_before=at(20))
    after, effects = advance(queued, Accepted(at=at(9), native_id="17"))
    assert (after.state, after.native_id, after.not_before, effects) == (State.DISPATCHING, "17", None, ())


def test_a_stray_of_an_ended_attempt_is_cancelled() -> None:
    lost = an_attempt(State.LOST)
    assert advance(lost, Accepted(at=at(9), native_id="99")) == (lost, (CancelOnBackend("99"),))


# -- doubt -------------------------------------------------------------------------------------------------------------


def test_an_absence_proves_something_only_after_several_answers_and_some_time() -> None:
    running = an_attempt(State.RUNNING)
    assert _after(running, SeenMissing, 0, 10).state is State.RUNNING  # too few
    assert _after(running, SeenMissing, 0, 1, 2, 3, 4).state is State.RUNNING  # too soon
    assert _after(running, SeenMissing, 0, 20, 30).state is State.LOST


def test_a_clear_answer_ends_a_doubt() -> None:
    doubted = _after(an_attempt(State.RUNNING), SeenMissing, 0, 20)
    sure, _ = advance(doubted, Started(at=at(25)))
    assert (sure.doubt, sure.doubt_since, sure.doubt_count) == (None, None, 0)
    assert _after(sure, SeenMissing, 30, 40).state is State.RUNNING


def test_a_counted_doubt_is_no_event_of_the_story() -> None:
    running = an_attempt(State.RUNNING)
    doubted = _after(running, SeenMissing, 0, 10)
    assert (doubted.doubt_count, doubted.trail) == (2, running.trail)


def test_another_kind_of_doubt_begins_anew() -> None:
    doubted = _after(an_attempt(State.RUNNING), SeenUnknown, 0, 10, 20)
    after, _ = advance(doubted, SeenMissing(at=at(40)), PATIENCE)
    assert (after.state, after.doubt_count, after.doubt_since) == (State.RUNNING, 1, at(40))


def test_what_was_forgotten_before_it_started_is_sent_again_and_lost_in_the_end() -> None:
    accepted = an_attempt(State.DISPATCHING, native_id="17", trail=("Queued", "Dispatched", "Accepted"))
    waiting = _after(accepted, SeenMissing, 0, 20, 30)
    assert (waiting.state, waiting.native_id, waiting.doubt) == (State.QUEUED, None, None)
    again = replace(accepted, trail=(*waiting.trail, "Dispatched", "Accepted"))
    assert _after(again, SeenMissing, 100, 120, 140).state is State.LOST


def test_what_was_forgotten_while_it_was_cancelled_costs_nothing() -> None:
    started = _after(an_attempt(State.CANCELLING), SeenMissing, 0, 20, 30)
    assert (started.state, started.reason) == (State.LOST, EndReason.VANISHED)
    waiting = _after(an_attempt(State.CANCELLING, started_at=None), SeenMissing, 0, 20, 30)
    assert (waiting.state, waiting.reason) == (State.CANCELLED, EndReason.VANISHED)


def test_riddles_are_borne_for_longer_than_the_job_may_run() -> None:
    running = an_attempt(State.RUNNING)
    assert _after(running, SeenUnknown, 0, 50, 100, 199).state is State.RUNNING
    last = _after(running, SeenUnknown, 0, 50, 100)
    after, effects = advance(last, SeenUnknown(at=at(200)), PATIENCE)
    assert (after.state, after.reason) == (State.LOST, EndReason.UNREADABLE)
    assert effects == (SettleHold(Ending.LOST, last=False), Requeue(2), CancelOnBackend("17"))


def _after(attempt: Attempt, kind: type[SeenMissing | SeenUnknown], *seconds: float) -> Attempt:
    for second in seconds:
        attempt, _ = advance(attempt, kind(at=at(second)), PATIENCE)
    return attempt


# -- what a backend says, as an event ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", Seen)
def test_every_word_of_a_backend_is_an_event(seen: Seen) -> None:
    ref = Ref("cluster", UUID(int=1), "17")
    said = Observation(ref=ref, seen=seen, observed_at=at(9), started_at=at(5), ended_at=at(8), exit_code=1)
    expected: dict[Seen, Event] = {
        Seen.WAITING: SeenWaiting(at=at(10)),
        Seen.RUNNING: Started(at=at(5)),
        Seen.UNKNOWN: SeenUnknown(at=at(10)),
    }
    ended = Ended(at=at(8), seen=seen, started_at=at(5), exit_code=1)
    assert told(said, now=at(10)) == expected.get(seen, ended)


@pytest.mark.parametrize("seen", [Seen.RUNNING, Seen.SUCCEEDED])
def test_nothing_has_happened_in_the_future(seen: Seen) -> None:
    far = at(10**6)
    ref = Ref("local", UUID(int=1), "1")
    said = Observation(ref=ref, seen=seen, observed_at=far, started_at=far, ended_at=far)
    event = told(said, now=at(10))
    assert event.at == at(10)
    assert not isinstance(event, Ended) or event.started_at == at(10)


def test_forgotten_is_an_event_too() -> None:
    assert told(Forgotten(UUID(int=1)), now=at(10)) == SeenMissing(at=at(10))


def test_facts_of_an_event_are_json() -> None:
    event = Ended(at=at(8), seen=Seen.FAILED, started_at=at(5), exit_code=1, detail="x")
    assert facts_of(event) == {"seen": "failed", "started_at": at(5).isoformat(), "exit_code": 1, "detail": "x"}
