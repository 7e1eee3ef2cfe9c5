"""Unfolding a loop, and what follows a phase."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.model import State
from scheduler.core.phases import Asked, NoSuchPhase, Repeat, count_of, follows, left_after, unfolded

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@st.composite
def _specifications(draw: st.DrawFn) -> tuple[list[Asked], Repeat | None]:
    names = draw(NAMES)
    repeat = None
    if draw(st.booleans()):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(names) - 1)] * 2)))
        repeat = Repeat(names[first], names[last], draw(st.integers(1, 9)))
    looped = _looped(names, repeat)
    asked = []
    for place, name in enumerate(names):
        known = list(dict.fromkeys([*names[:place], *(looped if name in looped else [])]))
        takes = draw(st.none() | (st.lists(st.sampled_from(known), unique=True) if known else st.just([])))
        asked.append(Asked(name, takes))
    return asked, repeat


def _looped(names: Sequence[str], repeat: Repeat | None) -> Sequence[str]:
    return [] if repeat is None else names[names.index(repeat.first) : names.index(repeat.last) + 1]


@given(_specifications())
def test_each_phase_runs_as_often_as_was_asked_in_its_order(told: tuple[list[Asked], Repeat | None]) -> None:
    asked, repeat = told
    steps = unfolded(asked, repeat)
    names = [each.name for each in asked]
    looped = _looped(names, repeat)
    assert len(steps) == len({step.name for step in steps}) == count_of(asked, repeat)
    for name in names:
        rounds = [step.name for step in steps if step.base == name]
        times = repeat.times if repeat and name in looped else 1
        assert rounds == ([f"{name}-{number + 1}" for number in range(times)] if name in looped else [name])
    bases = [step.base for step in steps]
    before, after = (names[: names.index(looped[0])], names[names.index(looped[-1]) + 1 :]) if looped else (names, [])
    assert bases == [*before, *(list(looped) * (repeat.times if repeat else 0)), *after]


@given(_specifications())
def test_a_phase_takes_only_from_what_ran_before_and_from_each_phase_its_newest(
    told: tuple[list[Asked], Repeat | None],
) -> None:
    asked, repeat = told
    steps = unfolded(asked, repeat)
    wishes = {each.name: each.takes for each in asked}
    for place, step in enumerate(steps):
        earlier = steps[:place]
        newest = {each.base: each.name for each in earlier}
        assert set(step.takes) <= set(newest.values())
        order = [each.name for each in earlier]
        assert [order.index(name) for name in step.takes] == sorted(map(order.index, step.takes), reverse=True)
        wished = wishes[step.base]
        if wished is not None:
            assert set(step.takes) == {newest[base] for base in wished if base in newest}
        elif earlier:
            assert earlier[-1].name in step.takes


def test_a_loop_hands_its_state_on() -> None:
    steps = unfolded(
        [Asked("prepare"), Asked("propose"), Asked("measure"), Asked("tell")], Repeat("propose", "measure", 2)
    )
    assert {step.name: step.takes for step in steps} == {
        "prepare": (),
        "propose-1": ("prepare",),
        "measure-1": ("propose-1",),
        "propose-2": ("measure-1", "propose-1"),
        "measure-2": ("propose-2", "measure-1"),
        "tell": ("measure-2",),
    }


def test_within_a_loop_a_later_phase_means_that_of_the_round_before() -> None:
    steps = unfolded([Asked("a", ["b"]), Asked("b", ["a"])], Repeat("a", "b", 2))
    assert [step.takes for step in steps] == [(), ("a-1",), ("b-1",), ("a-2",)]


@pytest.mark.parametrize(
    ("asked", "repeat"),
    [
        ([Asked("a", ["b"]), Asked("b")], None),
        ([Asked("a", ["a"])], None),
        ([Asked("a", ["x"]), Asked("b")], Repeat("a", "b", 2)),
        ([Asked("a"), Asked("b")], Repeat("a", "x", 2)),
        ([Asked("a"), Asked("b")], Repeat("b", "a", 2)),
        ([Asked("a", ["c"]), Asked("b"), Asked("c")], Repeat("a", "b", 2)),
    ],
)
def test_a_name_that_is_no_earlier_phases_is_refused(asked: list[Asked], repeat: Repeat | None) -> None:
    with pytest.raises(NoSuchPhase):
        unfolded(asked, repeat)


@pytest.mark.parametrize("state", [state for state in State if state.is_terminal])
@pytest.mark.parametrize("skippable", [True, False])
def test_what_follows_an_end(state: State, skippable: bool) -> None:  # noqa: FBT001  drawn
    goes_on = state is State.SUCCEEDED or (skippable and state is not State.CANCELLED)
    assert follows(state, "next", skippable=skippable) == ("next" if goes_on else None)
    assert follows(state, None, skippable=skippable) is None


def test_what_a_failed_phase_leaves() -> None:
    assert left_after(["a", "b", "c", "d"], "b") == ["c", "d"]
    assert left_after(["a"], "a") == []
