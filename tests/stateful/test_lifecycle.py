"""The lifecycle against any narrator: whatever comes, in whatever order, the books of a job stay right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hpc_adapters.contract import BY_OWNER, Seen
from pricing.model import ServiceClass
from scheduler.core.effects import NextPhase, Requeue, SettleHold
from scheduler.core.events import (
    Accepted,
    CancelRequested,
    Dispatched,
    DoneEarly,
    Ended,
    Event,
    NeverReady,
    NotSubmitted,
    PreemptRequested,
    Queued,
    Refused,
    ReservationOver,
    SeenMissing,
    SeenUnknown,
    SeenWaiting,
    Started,
)
from scheduler.core.lifecycle import Patience, advance
from scheduler.core.model import LIVE, Attempt, EndReason, JobKind, State

T0 = datetime(2026, 4, 1, tzinfo=UTC)
PATIENCE = Patience(answers=2, missing_for_s=10, unreadable_grace_s=10)
ENDS = st.sampled_from([seen for seen in Seen if seen.is_end])


class Lifecycle(RuleBasedStateMachine):
    """One job with its attempts. Old answers are kept and told again, also to attempts that have ended."""

    answers = Bundle("answers")

    @initialize(
        max_attempts=st.integers(1, 4),
        max_timeouts=st.integers(0, 3),
        skippable=st.lists(st.booleans(), min_size=1, max_size=4),
    )
    def submit(self, max_attempts: int, max_timeouts: int, skippable: list[bool]) -> None:
        """skippable: of each of its phases, whether it may be passed over. Most jobs have one phase."""
        self.now = T0
        self.skippable = skippable
        self.max_attempts, self.max_timeouts = max_attempts, min(max_timeouts, max_attempts - 1)
        self.attempts: list[Attempt] = []
        self.cancel_wanted = False
        self.attempts = [self._new(1, 0)]
        self.settled: dict[int, list[SettleHold]] = {}

    def _new(self, ordinal: int, phase: int) -> Attempt:
        of_phase = [each for each in self.attempts if each.phase == str(phase)]
        return Attempt(
            id=UUID(int=ordinal),
            job_id=UUID(int=99),
            organisation_id=UUID(int=98),
            backend="cluster",
            ordinal=ordinal,
            kind=JobKind.BATCH,
            max_attempts=self.max_attempts,
            max_timeouts=self.max_timeouts,
            phase=str(phase),
            earlier=len(self.attempts) - len(of_phase),
            next_phase=str(phase + 1) if phase + 1 < len(self.skippable) else None,
            skippable=self.skippable[phase],
            timeouts=sum(each.reason == EndReason.TIMED_OUT for each in of_phase),
            walltime_s=30,
            nu=1.0,
            queued_at=self.now,
            trail=(Queued.__name__,),
        )

    def _tell(self, ordinal: int, event: Event) -> None:
        before = self.attempts[ordinal - 1]
        after, effects = advance(before, event, PATIENCE)
        self.attempts[ordinal - 1] = after
        for effect in effects:
            if isinstance(effect, SettleHold):
                self.settled.setdefault(ordinal, []).append(effect)
            if isinstance(effect, Requeue):
                assert effect.ordinal == len(self.attempts) + 1
                self.attempts.append(self._new(effect.ordinal, int(after.phase)))
            if isinstance(effect, NextPhase):
                assert effect.ordinal == len(self.attempts) + 1
                assert int(effect.name) == int(after.phase) + 1
                self.attempts.append(self._new(effect.ordinal, int(effect.name)))
                if self.cancel_wanted:  # as the canceller does with whatever waits
                    self._tell(effect.ordinal, CancelRequested(at=self.now))
        if before.state.is_terminal:
            assert after == before

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.attempts[-1].state is State.QUEUED)
    @rule()
    def dispatch(self) -> None:
        self._tell(len(self.attempts), Dispatched(at=self.now))

    @precondition(lambda self: self.attempts[-1].state is State.QUEUED)
    @rule()
    def what_it_waits_for_can_no_longer_happen(self) -> None:
        self._tell(len(self.attempts), NeverReady(at=self.now, jobs=("7",)))

    @precondition(lambda self: self.attempts[-1].state is State.QUEUED)
    @rule()
    def its_reservation_is_over(self) -> None:
        self._tell(len(self.attempts), ReservationOver(at=self.now, reservation="R3"))

    @precondition(lambda self: self.attempts[-1].state is State.QUEUED and self.attempts[-1].phase != "0")
    @rule()
    def the_phase_before_has_found_it(self) -> None:
        self._tell(len(self.attempts), DoneEarly(at=self.now, phase=str(int(self.attempts[-1].phase) - 1)))

    @rule(target=answers, native_id=st.sampled_from(["17", "18"]))
    def the_backend_accepts(self, native_id: str) -> Event:
        return Accepted(at=self.now, native_id=native_id)

    @rule(target=answers)
    def the_backend_has_nothing(self) -> Event:
        return NotSubmitted(at=self.now, detail="no-room")

    @rule(target=answers)
    def the_backend_refuses(self) -> Event:
        return Refused(at=self.now, code="too-large")

    @rule(target=answers, kind=st.sampled_from([Started, SeenWaiting, SeenUnknown, SeenMissing]))
    def the_backend_says(self, kind: type[Started | SeenWaiting | SeenUnknown | SeenMissing]) -> Event:
        return kind(at=self.now)

    @rule(target=answers, seen=ENDS, started=st.booleans(), detail=st.sampled_from(["", BY_OWNER]))
    def the_backend_says_it_ended(self, seen: Seen, started: bool, detail: str) -> Event:  # noqa: FBT001  drawn
        return Ended(at=self.now, seen=seen, started_at=self.now if started else None, detail=detail)

    @rule(event=answers, which=st.integers(0, 2))
    def an_answer_arrives(self, event: Event, which: int) -> None:
        if self.attempts[-1].state is not State.QUEUED or isinstance(event, Accepted):
            self._tell(min(which + 1, len(self.attempts)), event)

    @rule(event=consumes(answers))
    def an_answer_arrives_for_the_newest(self, event: Event) -> None:
        self._tell(len(self.attempts), event)

    @rule()
    def cancel(self) -> None:
        self.cancel_wanted = True
        self._tell(len(self.attempts), CancelRequested(at=self.now))

    @rule(which=st.integers(1, 3))
    def the_plan_asks_it_to_make_room(self, which: int) -> None:
        ordinal = min(which, len(self.attempts))  # also one that has ended since the plan was made
        if self.attempts[ordinal - 1].state not in {State.QUEUED, State.DISPATCHING}:
            self._tell(ordinal, PreemptRequested(at=self.now, for_class=ServiceClass.STANDARD))

    @invariant()
    def what_was_asked_to_make_room_is_never_taken_for_cancelled(self) -> None:
        for each in self.attempts:
            if each.preempt_wanted_at is not None:
                assert each.state is not State.CANCELLED
                assert each.trail.count(PreemptRequested.__name__) == 1

    @invariant()
    def at_most_one_attempt_lives_and_only_the_newest(self) -> None:
        assert all(each.state.is_terminal for each in self.attempts[:-1])

    def _phases(self) -> list[list[Attempt]]:
        return [
            [each for each in self.attempts if each.phase == str(phase)]
            for phase in range(int(self.attempts[-1].phase) + 1)
        ]

    @invariant()
    def no_more_attempts_of_a_phase_than_asked_for(self) -> None:
        assert all(1 <= len(each) <= self.max_attempts for each in self._phases())

    @invariant()
    def a_phase_begins_when_the_one_before_is_over_and_has_succeeded_or_may_be_passed_over(self) -> None:
        assert [int(each.phase) for each in self.attempts] == sorted(int(each.phase) for each in self.attempts)
        for before in self._phases()[:-1]:
            assert before[-1].state is State.SUCCEEDED or before[-1].skippable
            assert before[-1].state is not State.CANCELLED

    @invariant()
    def a_job_that_succeeded_has_run_its_last_phase_or_was_done_early(self) -> None:
        newest = self.attempts[-1]
        if newest.state is State.SUCCEEDED:
            assert newest.next_phase is None or newest.reason == EndReason.DONE_EARLY

    @invariant()
    def an_attempt_is_settled_once_and_exactly_when_it_is_over(self) -> None:
        for each in self.attempts:
            assert len(self.settled.get(each.ordinal, [])) == (each.state not in LIVE)

    @invariant()
    def the_hold_is_closed_exactly_with_the_last_attempt(self) -> None:
        lasts = [told[0].last for _, told in sorted(self.settled.items())]
        assert lasts.count(True) == self.attempts[-1].state.is_terminal
        assert True not in lasts[:-1]

    @invariant()
    def no_more_runs_are_charged_than_were_quoted(self) -> None:
        for phase in self._phases():
            charged = [each for each in phase if (told := self.settled.get(each.ordinal)) and told[0].ending.is_charged]
            assert len(charged) <= 1 + self.max_timeouts
            assert all(each.reason == EndReason.TIMED_OUT for each in charged[:-1])

    @invariant()
    def what_was_taken_back_or_lost_costs_nothing(self) -> None:
        for each in self.attempts:
            if each.state in {State.PREEMPTED, State.LOST}:
                assert not self.settled[each.ordinal][0].ending.is_charged

    @invariant()
    def nothing_starts_after_a_cancel(self) -> None:
        if self.cancel_wanted:
            assert self.attempts[-1].state not in {State.QUEUED, State.DISPATCHING, State.RUNNING}

    @invariant()
    def times_are_in_order(self) -> None:
        for each in self.attempts:
            if each.started_at and each.ended_at:
                assert each.started_at <= each.ended_at


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=200, stateful_step_count=30)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_long_lives() -> None:
    run_state_machine_as_test(Lifecycle, settings=settings(max_examples=5_000, stateful_step_count=100))
