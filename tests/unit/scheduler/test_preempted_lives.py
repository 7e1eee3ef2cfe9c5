"""A running attempt that is asked to make room: whatever comes first, late or twice, it ends once and as it should."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from hpc_adapters.contract import BY_OWNER, Seen
from pricing.model import Ending, ServiceClass
from scheduler.core.effects import ChargeFairShare, LeaveBackend, Requeue, SettleHold
from scheduler.core.events import CancelRequested, Ended, PreemptRequested, SeenMissing, facts_of
from scheduler.core.lifecycle import advance
from scheduler.core.model import Attempt, EndReason, JobKind, State

T0 = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


RUNNING = Attempt(
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
    dispatched_at=at(1),
    started_at=at(2),
    native_id="17",
    state=State.RUNNING,
    trail=("Queued", "Dispatched", "Started"),
)
WANTED = PreemptRequested(at=at(10), for_class=ServiceClass.STANDARD)
LEAVING = advance(RUNNING, WANTED)[0]


def test_it_is_asked_to_leave_and_runs_on_until_its_end_is_seen() -> None:
    after, effects = advance(RUNNING, WANTED)
    assert effects == (LeaveBackend("17"),)
    assert (after.state, after.preempt_wanted_at, after.preempt_for) == (State.RUNNING, at(10), ServiceClass.STANDARD)
    assert facts_of(WANTED) == {"for_class": "standard"}  # whose job it is, nobody is told


def test_its_end_by_our_cancel_is_a_preemption_costs_nothing_and_is_tried_again() -> None:
    for detail in ("", BY_OWNER):  # some backends know only as whom we cancelled
        after, effects = advance(LEAVING, Ended(at=at(20), seen=Seen.CANCELLED, detail=detail))
        assert (after.state, after.reason) == (State.PREEMPTED, EndReason.PREEMPTED_BY_US)
        assert effects == (SettleHold(Ending.PREEMPTED, last=False), Requeue(2))


def test_its_last_attempt_ends_its_job_as_the_table_says_of_any_preemption() -> None:
    _, effects = advance(replace(LEAVING, ordinal=2), Ended(at=at(20), seen=Seen.CANCELLED))
    assert effects == (SettleHold(Ending.PREEMPTED, last=True),)


@pytest.mark.parametrize(
    ("seen", "state", "ending"),
    [
        (Seen.SUCCEEDED, State.SUCCEEDED, Ending.SUCCEEDED),
        (Seen.FAILED, State.FAILED, Ending.FAILED),
        (Seen.TIMED_OUT, State.FAILED, Ending.FAILED),
        (Seen.NODE_FAILED, State.LOST, Ending.LOST),
        (Seen.PREEMPTED, State.PREEMPTED, Ending.PREEMPTED),
    ],
)
def test_what_ended_by_itself_meanwhile_stays_as_it_ended(seen: Seen, state: State, ending: Ending) -> None:
    after, effects = advance(LEAVING, Ended(at=at(11), seen=seen))
    assert (after.state, effects[0].ending) == (state, ending)  # type: ignore[union-attr]
    assert any(isinstance(each, ChargeFairShare) for each in effects) is ending.is_charged


def test_asked_twice_or_when_it_shall_end_anyway_nothing_happens() -> None:
    assert advance(LEAVING, PreemptRequested(at=at(12), for_class=ServiceClass.INTERACTIVE)) == (LEAVING, ())
    wanted = replace(RUNNING, cancel_wanted=True)
    assert advance(wanted, WANTED) == (wanted, ())
    for state in (State.CANCELLING, State.SUCCEEDED, State.PREEMPTED, State.LOST):
        over = replace(RUNNING, state=state)
        assert advance(over, WANTED) == (over, ())


def test_whoever_cancels_what_was_asked_to_leave_before_pays_nothing_and_is_not_run_again() -> None:
    cancelling, _ = advance(LEAVING, CancelRequested(at=at(12)))
    assert cancelling.state is State.CANCELLING
    after, effects = advance(cancelling, Ended(at=at(20), seen=Seen.CANCELLED))
    assert (after.state, after.reason) == (State.PREEMPTED, EndReason.PREEMPTED_BY_US)
    assert effects == (SettleHold(Ending.PREEMPTED, last=True),)


def test_whoever_cancelled_first_pays_for_what_ran() -> None:
    cancelling, _ = advance(RUNNING, CancelRequested(at=at(9)))
    after, effects = advance(advance(cancelling, WANTED)[0], Ended(at=at(20), seen=Seen.CANCELLED))
    assert after.reason == EndReason.CANCELLED_BY_USER
    assert effects[0] == SettleHold(Ending.CANCELLED, last=True)


def test_what_the_backend_forgot_while_it_left_is_lost_and_tried_again() -> None:
    attempt = LEAVING
    for second in (20, 40, 60):
        attempt, effects = advance(attempt, SeenMissing(at=at(second)))
    assert attempt.state is State.LOST
    assert effects == (SettleHold(Ending.LOST, last=False), Requeue(2))
