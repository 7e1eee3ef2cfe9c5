"""What a job may wait for, and what has become of that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.core.model import State


class DependencyKind(StrEnum):
    """The words that Slurm's users know; the same are in scheduler.dependency_kind."""

    AFTER = "after"
    """The other has started, or has ended."""
    AFTEROK = "afterok"
    """The other has SUCCEEDED."""
    AFTERNOTOK = "afternotok"
    """The other has ended otherwise."""
    AFTERANY = "afterany"
    """The other has ended."""


class Fate(StrEnum):
    """What has become of a condition. MET and NEVER are for good: an ended job stays as it ended."""

    MET = "met"
    OPEN = "open"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One job that another waits for. state: of its newest attempt; started: one of its attempts has started."""

    kind: DependencyKind | None
    """None: a session, in which it runs."""
    job: str
    """Its number or id, as its owner knows it."""
    state: State
    started: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be said of all that a job waits for: MET only if all are, NEVER as soon as one is."""

    fate: Fate
    jobs: tuple[str, ...] = ()
    """Those that keep it waiting, or that it has waited for in vain."""


READY = Outlook(Fate.MET)


def fate(one: Prerequisite) -> Fate:
    """What has become of one condition."""
    if one.kind is None:
        over = one.state.is_terminal or one.state is State.CANCELLING
        return Fate.NEVER if over else Fate.MET if one.state is State.RUNNING else Fate.OPEN
    if one.kind is DependencyKind.AFTER:
        return Fate.MET if one.started or one.state.is_terminal else Fate.OPEN
    if not one.state.is_terminal:
        return Fate.OPEN
    succeeded = one.state is State.SUCCEEDED
    wanted = {DependencyKind.AFTEROK: succeeded, DependencyKind.AFTERNOTOK: not succeeded}
    return Fate.MET if wanted.get(one.kind, True) else Fate.NEVER


def outlook(prerequisites: Iterable[Prerequisite]) -> Outlook:
    """Of all of a job's conditions."""
    by_fate: dict[Fate, list[str]] = {}
    for each in prerequisites:
        by_fate.setdefault(fate(each), []).append(each.job)
    for worst in (Fate.NEVER, Fate.OPEN):
        if worst in by_fate:
            return Outlook(worst, _named(by_fate[worst]))
    return READY


def _named(jobs: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(jobs))
