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
from scheduler.core.effects import Requeue, SettleHold
from scheduler.core.events import (
    Accepted,
    CancelRequested,
    Dispatched,
    Ended,
    Event,
    NeverReady,
    NotSubmitted,
    Queued,
    Refused,
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

    @initialize(max_attempts=st.integers(1, 4), max_timeouts=st.integers(0, 3))
    def submit(self, max_attempts: int, max_timeouts: int) -> None:
        self.now = T0
        self.max_attempts, self.max_timeouts = max_attempts, min(max_timeouts, max_attempts - 1)
        self.attempts: list[Attempt] = []
        self.cancel_wanted = False
        self.attempts = [self._new(1)]
        self.settled: dict[int, list[SettleHold]] = {}

    def _new(self, ordinal: int) -> Attempt:
        return Attempt(
            id=UUID(int=ordinal),
            job_id=UUID(int=99),
            organisation_id=UUID(int=98),
            backend="cluster",
            ordinal=ordinal,
            kind=JobKind.BATCH,
            max_attempts=self.max_attempts,
            max_timeouts=self.max_timeouts,
            timeouts=sum(each.reason == EndReason.TIMED_OUT for each in self.attempts),
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
                self.attempts.append(self._new(effect.ordinal))
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

    @invariant()
    def at_most_one_attempt_lives_and_only_the_newest(self) -> None:
        assert all(each.state.is_terminal for each in self.attempts[:-1])

    @invariant()
    def no_more_attempts_than_asked_for(self) -> None:
        assert len(self.attempts) <= self.max_attempts

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
        charged = [
            each for each in self.attempts if (told := self.settled.get(each.ordinal)) and told[0].ending.is_charged
        ]
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
