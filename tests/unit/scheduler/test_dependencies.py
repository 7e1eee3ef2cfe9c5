"""What has become of the jobs that another waits for: every kind in every state, and that an answer is for good."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.dependencies import READY, DependencyKind, Fate, Outlook, Prerequisite, fate, outlook
from scheduler.core.model import State


@pytest.mark.parametrize(("kind", "state"), list(product(DependencyKind, State)))
def test_a_condition_is_open_as_long_as_it_can_still_go_either_way(kind: DependencyKind, state: State) -> None:
    ended, good = state.is_terminal, state is State.SUCCEEDED
    expected = {
        DependencyKind.AFTER: Fate.MET if ended else Fate.OPEN,
        DependencyKind.AFTERANY: Fate.MET if ended else Fate.OPEN,
        DependencyKind.AFTEROK: (Fate.MET if good else Fate.NEVER) if ended else Fate.OPEN,
        DependencyKind.AFTERNOTOK: (Fate.NEVER if good else Fate.MET) if ended else Fate.OPEN,
    }
    assert fate(Prerequisite(kind, "7", state, started=False)) is expected[kind]


def test_a_job_that_has_started_once_has_started_even_if_it_waits_again() -> None:
    assert fate(Prerequisite(DependencyKind.AFTER, "7", State.QUEUED, started=True)) is Fate.MET


def test_all_conditions_must_be_met_and_one_that_never_will_be_decides() -> None:
    met = Prerequisite(DependencyKind.AFTEROK, "1", State.SUCCEEDED, started=True)
    open_ = Prerequisite(DependencyKind.AFTERANY, "2", State.RUNNING, started=True)
    never = Prerequisite(DependencyKind.AFTEROK, "3", State.FAILED, started=True)
    assert outlook([]) == outlook([met]) == READY
    assert outlook([met, open_, open_]) == Outlook(Fate.OPEN, ("2",))
    assert outlook([open_, never, met]) == Outlook(Fate.NEVER, ("3",))


@given(kind=st.sampled_from(DependencyKind), first=st.sampled_from(State), then=st.sampled_from(State))
def test_what_is_met_or_lost_stays_so(kind: DependencyKind, first: State, then: State) -> None:
    before = fate(Prerequisite(kind, "7", first, started=first.is_terminal))
    after = fate(Prerequisite(kind, "7", first if first.is_terminal else then, started=True))
    if before is not Fate.OPEN:
        assert after is before
