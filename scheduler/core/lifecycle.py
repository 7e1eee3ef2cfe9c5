"""The state machine of an attempt: the table of legal moves, and the one function that makes them.

Two kinds of event are told apart. Ours (Dispatched …) come once and in order: one that is not in the table is a bug and
raises. A backend's come late, twice and out of order, and answers to our calls may meet an attempt that somebody else
has moved on: those are in HARMLESS, and change nothing. The last word about an end is the backend's: a cancelled
attempt that had succeeded before the cancel arrived has SUCCEEDED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from hpc_adapters.contract import BY_OWNER, Seen
from pricing.model import Ending
from scheduler.core import fairshare
from scheduler.core.effects import (
    CancelOnBackend,
    ChargeFairShare,
    Effect,
    LeaveBackend,
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
)
from scheduler.core.model import Attempt, Doubt, EndReason, State
from scheduler.core.phases import follows

_NARRATED = frozenset({Started, Ended, SeenWaiting, SeenUnknown, SeenMissing})
_ANSWERS = frozenset({Accepted, NotSubmitted, Refused})
_LATE = _NARRATED | _ANSWERS | {CancelRequested, DeviceAway, PreemptRequested}

LEGAL: Mapping[State, frozenset[type[Event]]] = {
    State.QUEUED: frozenset(
        {Placed, Dispatched, Accepted, CancelRequested, NeverReady, ReservationOver, NotStaged, DeviceAway, DoneEarly}
    ),
    State.DISPATCHING: _NARRATED | _ANSWERS | {CancelRequested, DeviceAway},
    State.RUNNING: _NARRATED | {Accepted, CancelRequested, PreemptRequested},
    State.CANCELLING: _NARRATED | _ANSWERS,
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
    State.PREEMPTED: frozenset(),
    State.LOST: frozenset(),
}
"""The whole rule: which event may move (or inform) an attempt in which state."""

HARMLESS: Mapping[State, frozenset[type[Event]]] = {
    # It was handed over once and came back: what is still said of that is answered by the next hand-over.
    State.QUEUED: _NARRATED | {NotSubmitted, Refused},
    State.DISPATCHING: frozenset(),
    # A slow call's answer after the observation that it runs; and the wait of a call, for which the device was quicker.
    State.RUNNING: frozenset({NotSubmitted, Refused, DeviceAway}),
    State.CANCELLING: frozenset({CancelRequested, DeviceAway, PreemptRequested}),
    State.SUCCEEDED: _LATE,
    State.FAILED: _LATE,
    State.CANCELLED: _LATE,
    State.PREEMPTED: _LATE,
    State.LOST: _LATE,
}
"""Events that come too late to mean anything: no change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much uncertainty is borne before a conclusion."""

    answers: int = 3
    """So many answers in a row must have told nothing."""
    missing_for_s: float = 30
    """An absence must last so long. Not less than the backend's settle window."""
    unreadable_grace_s: float = 600
    """Unreadable answers must last so much longer than the walltime."""
    acceptances: int = 3
    """So often may a backend accept an attempt and forget it before it starts."""
    retry_base_s: float = 5
    retry_max_s: float = 300
    """Back-off after a hand-over that failed: doubled each time, within these."""


PATIENCE = Patience()

_FAILURES = {
    Seen.FAILED: EndReason.EXIT_CODE,
    Seen.TIMED_OUT: EndReason.TIMED_OUT,
    Seen.OUT_OF_MEMORY: EndReason.OUT_OF_MEMORY,
}


class InvalidTransition(Exception):
    """A bug of ours: the event can never meet an attempt in this state. Carries the attempt's story."""

    def __init__(self, attempt: Attempt, event: Event) -> None:
        self.attempt = attempt
        self.event = event
        super().__init__(
            f"{type(event).__name__} at {event.at.isoformat()} cannot meet attempt {attempt.id} in {attempt.state}"
            f" (attempt {attempt.ordinal} of job {attempt.job_id}); its story: {' → '.join(attempt.trail)}"
        )


def advance(attempt: Attempt, event: Event, patience: Patience = PATIENCE) -> tuple[Attempt, tuple[Effect, ...]]:
    """The attempt after an event, and what must be done because of it. The only writer of attempts.

    The event is worth noting when the version has grown; a counted doubt changes the attempt without that.
    InvalidTransition: the pair is neither legal nor harmless.
    """
    if type(event) in HARMLESS[attempt.state]:
        return attempt, _stray(attempt, event)
    if type(event) not in LEGAL[attempt.state]:
        raise InvalidTransition(attempt, event)
    return _applied(attempt, event, patience)


def _applied(  # noqa: C901, PLR0911, PLR0912  one case for each event is the point
    attempt: Attempt, event: Event, patience: Patience
) -> tuple[Attempt, tuple[Effect, ...]]:
    match event:
        case Queued():
            raise InvalidTransition(attempt, event)
        case Placed():
            return _place(attempt, event), ()
        case Dispatched(at=at):
            moved = replace(attempt, state=State.DISPATCHING, dispatched_at=at, not_before=None)
            return _noted(moved, event), (SubmitToBackend(),)
        case Accepted(native_id=native_id):
            return _accept(attempt, event, native_id)
        case NotSubmitted() | Refused():
            return _not_taken(attempt, event, patience)
        case Started(at=at):
            return _start(_sure(attempt), event, at)
        case CancelRequested():
            return _cancel(attempt, event)
        case PreemptRequested():
            return _preempt(attempt, event)
        case NeverReady():
            reason = EndReason.DEPENDENCY_NEVER_SATISFIED
            return _finish(attempt, event, State.CANCELLED, Ending.NEVER_RAN, reason)
        case ReservationOver():
            return _finish(attempt, event, State.CANCELLED, Ending.NEVER_RAN, EndReason.RESERVATION_OVER)
        case NotStaged(code=code):
            return _finish(attempt, event, State.FAILED, Ending.NEVER_RAN, f"not_staged:{code}")
        case DeviceAway():
            return _give_up(attempt, event)
        case DoneEarly():
            return _finish(attempt, event, State.SUCCEEDED, Ending.NEVER_RAN, EndReason.DONE_EARLY)
        case Ended():
            return _end(attempt, event)
        case SeenWaiting():
            return _sure(attempt), ()
        case SeenUnknown(at=at):
            return _unreadable(_doubted(attempt, Doubt.UNKNOWN, at), event, patience)
        case SeenMissing(at=at):
            return _missing(_doubted(attempt, Doubt.MISSING, at), event, patience)
        case _:
            assert_never(event)


def _noted(attempt: Attempt, event: Event) -> Attempt:
    return replace(attempt, trail=(*attempt.trail, type(event).__name__))


def _stray(attempt: Attempt, event: Event) -> tuple[Effect, ...]:
    """The backend has what we hold ended: it must not go on there."""
    if attempt.state.is_terminal and isinstance(event, Accepted):
        return (CancelOnBackend(event.native_id),)
    return ()


def _place(attempt: Attempt, event: Placed) -> Attempt:
    """What was handed over once stays where it is: a lost hand-over may still start it there."""
    if Dispatched.__name__ in attempt.trail or attempt.offering_id == event.offering:
        return attempt
    moved = replace(attempt, offering_id=event.offering, backend=event.backend, nu=event.nu, not_before=None)
    return _noted(moved, event)


def _accept(attempt: Attempt, event: Accepted, native_id: str) -> tuple[Attempt, tuple[Effect, ...]]:
    # A backend that has what we believed not handed over is believed: adopted, not sent again.
    state = State.DISPATCHING if attempt.state is State.QUEUED else attempt.state
    effects = (CancelOnBackend(native_id),) if state is State.CANCELLING else ()
    if attempt.native_id == native_id:
        return attempt, effects
    return _noted(_sure(replace(attempt, state=state, native_id=native_id, not_before=None)), event), effects


def _not_taken(
    attempt: Attempt, event: NotSubmitted | Refused, patience: Patience
) -> tuple[Attempt, tuple[Effect, ...]]:
    if attempt.native_id is not None or attempt.started_at is not None:
        return attempt, ()  # a slow call's answer: we know better by now
    if attempt.state is State.CANCELLING:
        return _finish(attempt, event, State.CANCELLED, Ending.NEVER_RAN, EndReason.NEVER_ACCEPTED)
    if isinstance(event, Refused):
        return _finish(attempt, event, State.FAILED, Ending.NEVER_RAN, f"refused:{event.code}")
    return _back_in_queue(attempt, event, patience), ()


def _back_in_queue(attempt: Attempt, event: Event, patience: Patience) -> Attempt:
    """The same attempt waits again, a little: whatever a lost hand-over may still start, the start gate passes once."""
    tries = attempt.trail.count(Dispatched.__name__)
    wait_s = min(patience.retry_base_s * 2 ** min(tries - 1, 16), patience.retry_max_s)
    waiting = replace(
        _sure(attempt), state=State.QUEUED, native_id=None, not_before=event.at + timedelta(seconds=wait_s)
    )
    return _noted(waiting, event)


def _start(attempt: Attempt, event: Event, at: datetime) -> tuple[Attempt, tuple[Effect, ...]]:
    if attempt.started_at is not None:
        return attempt, ()
    state = State.CANCELLING if attempt.state is State.CANCELLING else State.RUNNING
    return _noted(replace(attempt, state=state, started_at=at), event), ()


def _cancel(attempt: Attempt, event: Event) -> tuple[Attempt, tuple[Effect, ...]]:
    wanted = replace(attempt, cancel_wanted=True)
    if attempt.state is State.QUEUED:
        return _finish(wanted, event, State.CANCELLED, Ending.NEVER_RAN, EndReason.CANCELLED_IN_QUEUE)
    told = () if attempt.native_id is None else (CancelOnBackend(attempt.native_id),)
    return _noted(replace(wanted, state=State.CANCELLING), event), told


def _preempt(attempt: Attempt, event: PreemptRequested) -> tuple[Attempt, tuple[Effect, ...]]:
    """It is asked to leave, once, and goes on until its end is seen; what its owner wants to end anyway is not."""
    if attempt.preempt_wanted_at is not None or attempt.cancel_wanted:
        return attempt, ()
    leaving = replace(attempt, preempt_wanted_at=event.at, preempt_for=event.for_class)
    return _noted(leaving, event), () if attempt.native_id is None else (LeaveBackend(attempt.native_id),)


def _give_up(attempt: Attempt, event: DeviceAway) -> tuple[Attempt, tuple[Effect, ...]]:
    """A call that has waited for long enough. One that is on its way goes on; the vendor's queue is asked to drop it.

    What becomes of it there is the vendor's word: it may have started just then.
    """
    if attempt.state is State.QUEUED:
        return _finish(attempt, event, State.FAILED, Ending.NEVER_RAN, EndReason.DEVICE_AWAY)
    if attempt.native_id is None or attempt.started_at is not None:
        return attempt, ()
    return _noted(replace(attempt, state=State.CANCELLING), event), (CancelOnBackend(attempt.native_id),)


def _was_given_up(attempt: Attempt) -> bool:
    """Whether it is CANCELLING because its wait is over."""
    return attempt.state is State.CANCELLING and DeviceAway.__name__ in attempt.trail


# -- ends --------------------------------------------------------------------------------------------------------------


def _end(attempt: Attempt, event: Ended) -> tuple[Attempt, tuple[Effect, ...]]:
    if not event.seen.is_end:
        raise InvalidTransition(attempt, event)
    started_at = attempt.started_at or event.started_at
    if event.seen is Seen.SUCCEEDED or event.seen in _FAILURES:
        started_at = started_at or event.at  # it ran; nobody saw when it began
    ran = replace(attempt, started_at=started_at, exit_code=event.exit_code)
    state, ending, reason = _meaning(attempt, event)
    if reason == EndReason.DEVICE_AWAY and not started_at:
        state = State.FAILED
    return _finish(ran, event, state, ending if started_at else Ending.NEVER_RAN, reason)


def _meaning(attempt: Attempt, event: Ended) -> tuple[State, Ending, str | None]:  # noqa: PLR0911  a table
    """What an end means for the attempt and for money. Who caused it decides who pays."""
    seen = event.seen
    if seen is Seen.SUCCEEDED:
        return State.SUCCEEDED, Ending.SUCCEEDED, None
    if seen in _FAILURES:
        return State.FAILED, Ending.FAILED, _FAILURES[seen]
    if seen is Seen.PREEMPTED:
        return State.PREEMPTED, Ending.PREEMPTED, EndReason.PREEMPTED
    if seen is Seen.NODE_FAILED:
        return State.LOST, Ending.LOST, EndReason.NODE_FAILED
    if attempt.preempt_wanted_at is not None:  # we were first, whoever asked for its end after us
        return State.PREEMPTED, Ending.PREEMPTED, EndReason.PREEMPTED_BY_US
    if attempt.state is State.CANCELLING:
        reason = EndReason.DEVICE_AWAY if _was_given_up(attempt) else EndReason.CANCELLED_BY_USER
        return State.CANCELLED, Ending.CANCELLED, reason
    if event.detail == BY_OWNER:
        return State.CANCELLED, Ending.CANCELLED, EndReason.CANCELLED_BY_OWNER
    return State.CANCELLED, Ending.LOST, EndReason.CANCELLED_BY_SITE


def _finish(
    attempt: Attempt, event: Event, state: State, ending: Ending, reason: str | None
) -> tuple[Attempt, tuple[Effect, ...]]:
    """The one way into a terminal state."""
    ended_at = max(event.at, attempt.started_at or event.at)
    wanted = attempt.cancel_wanted or attempt.state is State.CANCELLING
    over = replace(_sure(attempt), cancel_wanted=wanted, state=state, ended_at=ended_at, reason=reason, not_before=None)
    after = _after(over)
    effects: list[Effect] = [SettleHold(ending, last=after is None and not over.beside)]
    if ending.is_charged:
        effects.append(ChargeFairShare(fairshare.used_nu(over)))
    if after is not None:
        effects.append(after)
    return _noted(over, event), tuple(effects)


def _after(over: Attempt) -> Requeue | NextPhase | None:
    """The attempt that follows an ended one. None: it was the last of its job.

    A phase follows also where a cancel came too late to stop the one before: it is then cancelled as it waits, and the
    job is told as what it is, cancelled.
    """
    if _may_run_again(over):
        return Requeue(over.ordinal + 1)
    name = (
        None if over.reason == EndReason.DONE_EARLY else follows(over.state, over.next_phase, skippable=over.skippable)
    )
    return None if name is None else NextPhase(name, over.ordinal + 1)


def _may_run_again(over: Attempt) -> bool:
    """What was lost or taken back costs nothing and goes on; what ran out of time goes on as often as was quoted."""
    if over.cancel_wanted or over.beside or over.tries >= over.max_attempts:
        return False
    ran_out = over.state is State.FAILED and over.reason == EndReason.TIMED_OUT
    return over.state in {State.LOST, State.PREEMPTED} or (ran_out and over.timeouts < over.max_timeouts)


# -- doubt -------------------------------------------------------------------------------------------------------------


def _sure(attempt: Attempt) -> Attempt:
    """A clear answer ends every doubt."""
    return replace(attempt, doubt=None, doubt_since=None, doubt_count=0)


def _doubted(attempt: Attempt, doubt: Doubt, at: datetime) -> Attempt:
    if attempt.doubt is not doubt or attempt.doubt_since is None:
        return replace(attempt, doubt=doubt, doubt_since=at, doubt_count=1)
    return replace(attempt, doubt_count=attempt.doubt_count + 1)


def _lasting(attempt: Attempt, at: datetime, seconds: float, patience: Patience) -> bool:
    since = attempt.doubt_since or at
    return attempt.doubt_count >= patience.answers and at - since >= timedelta(seconds=seconds)


def _missing(attempt: Attempt, event: SeenMissing, patience: Patience) -> tuple[Attempt, tuple[Effect, ...]]:
    """Accepted is not durable: a backend may forget what it took. One empty answer proves nothing."""
    if not _lasting(attempt, event.at, patience.missing_for_s, patience):
        return attempt, ()
    if attempt.started_at is not None:
        return _finish(attempt, event, State.LOST, Ending.LOST, EndReason.VANISHED)
    if _was_given_up(attempt):
        return _finish(attempt, event, State.FAILED, Ending.NEVER_RAN, EndReason.DEVICE_AWAY)
    if attempt.state is State.CANCELLING:
        return _finish(attempt, event, State.CANCELLED, Ending.NEVER_RAN, EndReason.VANISHED)
    if attempt.trail.count(Accepted.__name__) < patience.acceptances:
        return _back_in_queue(attempt, event, patience), ()
    return _finish(attempt, event, State.LOST, Ending.LOST, EndReason.VANISHED)


def _unreadable(attempt: Attempt, event: SeenUnknown, patience: Patience) -> tuple[Attempt, tuple[Effect, ...]]:
    """Riddles for longer than it may run: given up, and ended on the backend in case that it still runs."""
    if not _lasting(attempt, event.at, attempt.walltime_s + patience.unreadable_grace_s, patience):
        return attempt, ()
    over, effects = _finish(attempt, event, State.LOST, Ending.LOST, EndReason.UNREADABLE)
    stray = () if attempt.native_id is None else (CancelOnBackend(attempt.native_id),)
    return over, (*effects, *stray)
