from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from hpc_adapters.confined.model import Phase, RunState
from hpc_adapters.contract import Seen, Window
from hpc_adapters.local.translate import exact_s, seen, touches, usage_row

NOON = datetime(2026, 4, 1, 12, tzinfo=UTC)
ATTEMPT = UUID(int=7)
SECOND = timedelta(seconds=1)


def a_state(phase: Phase, **changes: object) -> RunState:
    stated: dict[str, object] = {
        "attempt_id": ATTEMPT,
        "tenant": "t",
        "phase": phase,
        "accepted_at": NOON - SECOND,
        "started_at": NOON,
        "facts": {"gpus": 3, "cpus": 2, "memory_mb": 64, "gpu_units": [0, 1, 2]},
    }
    return RunState(**{**stated, **changes})  # type: ignore[arg-type]  # a builder


def an_ended_state(ended_at: datetime, ending: Seen = Seen.SUCCEEDED) -> RunState:
    return a_state(Phase.ENDED, ended_at=ended_at, ending=ending)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (a_state(Phase.STARTING, started_at=None), Seen.WAITING),
        (a_state(Phase.RUNNING), Seen.RUNNING),
        (an_ended_state(NOON, Seen.TIMED_OUT), Seen.TIMED_OUT),
        (a_state(Phase.VANISHED, ended_at=NOON, ending=Seen.NODE_FAILED), Seen.NODE_FAILED),
    ],
)
def test_every_phase_has_its_word(state: RunState, word: Seen) -> None:
    assert seen(state) is word


def test_amounts_are_exact_to_the_microsecond() -> None:
    row = usage_row(an_ended_state(NOON + timedelta(microseconds=1_000_001)), now=NOON + 2 * SECOND)
    assert row.components == {"gpu_s": Decimal("3.000003"), "cpu_s": Decimal("2.000002")}
    assert exact_s(timedelta(days=10_000, microseconds=1)) == Decimal("864000000.000001")


def test_a_clock_that_stepped_back_makes_no_negative_amount() -> None:
    row = usage_row(a_state(Phase.RUNNING), now=NOON - SECOND)
    assert (row.final, row.components) == (False, {"gpu_s": 0, "cpu_s": 0})


@pytest.mark.parametrize(
    ("since", "until", "is_in"),
    [
        (NOON, NOON + SECOND, True),
        (NOON - SECOND, NOON, False),
        (NOON + 5 * SECOND, NOON + 6 * SECOND, True),
        (NOON + 10 * SECOND, NOON + 11 * SECOND, True),
        (NOON + 10.1 * SECOND, NOON + 11 * SECOND, False),
    ],
)
def test_a_window_is_half_open_and_an_end_on_its_first_instant_belongs_to_it(
    since: datetime, until: datetime, *, is_in: bool
) -> None:
    assert touches(an_ended_state(NOON + 10 * SECOND), Window(since, until)) is is_in


def test_what_never_started_touches_no_window() -> None:
    state = a_state(Phase.ENDED, started_at=None, ended_at=NOON, ending=Seen.CANCELLED)
    assert not touches(state, Window(NOON - SECOND, NOON + SECOND))
