"""A call that has waited for its device for long enough."""

from __future__ import annotations

import pytest

from hpc_adapters.contract import Seen
from pricing.model import Ending
from scheduler.core.effects import CancelOnBackend, SettleHold
from scheduler.core.events import DeviceAway, Ended, SeenMissing, Started
from scheduler.core.lifecycle import advance
from scheduler.core.model import EndReason, State
from tests.unit.scheduler.test_lifecycle import an_attempt, at


def test_a_call_that_its_device_does_not_take_ends_free_unless_it_is_handed_over_just_then() -> None:
    away = DeviceAway(at=at(10), wait_s=300)
    after, effects = advance(an_attempt(beside=True, ordinal=-1, max_attempts=1), away)
    assert (after.state, after.reason, after.started_at) == (State.FAILED, EndReason.DEVICE_AWAY, None)
    assert effects == (SettleHold(Ending.NEVER_RAN, last=False),)
    for state in set(State) - {State.QUEUED}:
        quicker = an_attempt(state, beside=True, ordinal=-1)
        assert advance(quicker, away) == (quicker, ())


@pytest.mark.parametrize(
    ("word", "state", "reason", "ending"),
    [
        (Ended(at=at(12), seen=Seen.CANCELLED), State.FAILED, EndReason.DEVICE_AWAY, Ending.NEVER_RAN),
        (
            Ended(at=at(12), seen=Seen.CANCELLED, started_at=at(11)),
            State.CANCELLED,
            EndReason.DEVICE_AWAY,
            Ending.CANCELLED,
        ),
        (Ended(at=at(12), seen=Seen.SUCCEEDED, started_at=at(11)), State.SUCCEEDED, None, Ending.SUCCEEDED),
        (Ended(at=at(12), seen=Seen.FAILED, started_at=at(11)), State.FAILED, EndReason.EXIT_CODE, Ending.FAILED),
        (Ended(at=at(12), seen=Seen.NODE_FAILED), State.LOST, EndReason.NODE_FAILED, Ending.NEVER_RAN),
    ],
)
def test_a_call_in_its_vendors_queue_is_dropped_there_and_settled_as_it_ended(
    word: Ended, state: State, reason: EndReason | None, ending: Ending
) -> None:
    waiting = an_attempt(State.DISPATCHING, beside=True, ordinal=-1, native_id="17")
    given_up, effects = advance(waiting, DeviceAway(at=at(10), wait_s=300))
    assert (given_up.state, effects) == (State.CANCELLING, (CancelOnBackend("17"),))
    assert advance(given_up, DeviceAway(at=at(11), wait_s=300)) == (given_up, ())
    over, effects = advance(given_up, word)
    assert (over.state, over.reason) == (state, reason)
    assert effects[0] == SettleHold(ending, last=False)
    started, _ = advance(given_up, Started(at=at(11)))
    assert (started.state, started.started_at) == (State.CANCELLING, at(11))


def test_a_call_that_its_vendor_has_forgotten_when_it_is_dropped_never_ran() -> None:
    waiting = an_attempt(State.DISPATCHING, beside=True, ordinal=-1, native_id="17")
    after, _ = advance(waiting, DeviceAway(at=at(10), wait_s=300))
    for moment in (20, 40, 60):
        after, effects = advance(after, SeenMissing(at=at(moment)))
    assert (after.state, after.reason) == (State.FAILED, EndReason.DEVICE_AWAY)
    assert effects == (SettleHold(Ending.NEVER_RAN, last=False),)
