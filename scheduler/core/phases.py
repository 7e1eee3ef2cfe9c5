"""The phases of a hybrid job: how its loop is unfolded, what each phase takes, and what follows its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scheduler.core.model import State

MAX_PHASES = 200
DONE_FILE = "kyoyo-done"
"""An output of this name ends the job: what it was to find is found."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A phase by its name in the specification. takes: whose outputs it reads; None: as is usual (see `unfolded`)."""

    name: str
    takes: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """From the phase `first` to the phase `last`, all of them, so many times."""

    first: str
    last: str
    times: int


@dataclass(frozen=True, slots=True)
class Step:
    """A phase that may run. base: its name in the specification; takes: names of earlier steps, the newest first."""

    name: str
    base: str
    takes: tuple[str, ...]


class NoSuchPhase(ValueError):
    """A name that is none of an earlier phase's, or of the loop's. phase: who named it ('' for the loop)."""

    def __init__(self, name: str, *, phase: str = "") -> None:
        super().__init__(name)
        self.name, self.phase = name, phase


def count_of(asked: Sequence[Asked], repeat: Repeat | None) -> int:
    """How many steps there will be, without making them. NoSuchPhase."""
    return len(asked) + (0 if repeat is None else len(_body(asked, repeat)) * (repeat.times - 1))


def unfolded(asked: Sequence[Asked], repeat: Repeat | None = None) -> tuple[Step, ...]:
    """Every phase in its order; those of a loop as `name-1`, `name-2`, …

    Without a word a phase takes from the one before it and, within a loop, from itself a round ago: so state is handed
    on. A name means its newest step so far. Within a loop a phase may name one that comes after it: that is the round
    before, and in the first round nothing. NoSuchPhase.
    """
    looped = frozenset() if repeat is None else frozenset(each.name for each in _body(asked, repeat))
    newest: dict[str, str] = {}
    steps: list[Step] = []
    for one, round_ in _order(asked, repeat):
        named = one.takes if one.takes is not None else [*([steps[-1].base] if steps else []), one.name]
        ahead = looped if round_ else frozenset()
        for base in one.takes or ():
            if base not in newest and base not in ahead:
                raise NoSuchPhase(base, phase=one.name)
        takes = [newest[base] for base in dict.fromkeys(named) if base in newest]
        name = f"{one.name}-{round_}" if round_ else one.name
        steps.append(Step(name, one.name, _newest_first(takes, steps)))
        newest[one.name] = name
    return tuple(steps)


def _order(asked: Sequence[Asked], repeat: Repeat | None) -> Iterator[tuple[Asked, int]]:
    """Each phase as often as it may run, with the number of its round; 0 outside of the loop."""
    if repeat is None:
        yield from ((each, 0) for each in asked)
        return
    first, last = _loop(asked, repeat)
    yield from ((each, 0) for each in asked[:first])
    yield from ((each, round_) for round_ in range(1, repeat.times + 1) for each in asked[first : last + 1])
    yield from ((each, 0) for each in asked[last + 1 :])


def _newest_first(names: Sequence[str], steps: Sequence[Step]) -> tuple[str, ...]:
    places = {step.name: place for place, step in enumerate(steps)}
    return tuple(sorted(names, key=lambda name: -places[name]))


def _body(asked: Sequence[Asked], repeat: Repeat) -> Sequence[Asked]:
    first, last = _loop(asked, repeat)
    return asked[first : last + 1]


def _loop(asked: Sequence[Asked], repeat: Repeat) -> tuple[int, int]:
    names = [each.name for each in asked]
    for name in (repeat.first, repeat.last):
        if name not in names:
            raise NoSuchPhase(name)
    first, last = names.index(repeat.first), names.index(repeat.last)
    if last < first:
        raise NoSuchPhase(repeat.last)
    return first, last


def follows(state: State, next_phase: str | None, *, skippable: bool) -> str | None:
    """What is opened when a phase has ended for good in this state; None: nothing, the job is over.

    A phase that may be passed over leaves the job going whatever becomes of it, but for a cancel.
    """
    goes_on = state is State.SUCCEEDED or (skippable and state in {State.FAILED, State.LOST, State.PREEMPTED})
    return next_phase if goes_on else None


def left_after(names: Sequence[str], last: str) -> Sequence[str]:
    """The phases of a job after one: those that never run when it is the last that did."""
    return names[names.index(last) + 1 :]
