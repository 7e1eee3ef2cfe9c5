"""What a job waits for, and which signal announces its end. Pure."""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kyoyo.errors import UsageError

KINDS = ("afterok", "afternotok", "afterany", "after")
_JOB = re.compile(r"\d{1,18}(_\d{1,10})?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SIGNAL = re.compile(r"(?:(?P<to>[RrBb]+):)?(?P<signal>[A-Za-z0-9]+)(?:@(?P<before>\d{1,5}))?", re.ASCII)
DEFAULT_BEFORE_S = 60
_MOST_BEFORE_S = 65_535


@dataclass(frozen=True, slots=True)
class Dependency:
    """Wait for another job: its number, N_k for the task of an array, or its id."""

    kind: str
    job: str


@dataclass(frozen=True, slots=True)
class SignalWish:
    """A signal by its name, so many seconds before the time limit."""

    name: str
    before_s: int


def dependencies_of(text: str) -> Sequence[Dependency]:
    """afterok:1:2,afterany:3_4; all of them must come true. UsageError."""
    if "?" in text:
        raise UsageError(key="wrong.dependency_any", text=text)
    return tuple(dict.fromkeys(each for part in text.split(",") for each in _dependency(text, part.strip())))


def signal_of(text: str) -> SignalWish:
    """[B:]USR1[@seconds]; a name with or without SIG, or a number. UsageError."""
    found = _SIGNAL.fullmatch(text.strip())
    if found is None:
        raise UsageError(key="wrong.signal", text=repr(text))
    if "R" in (found["to"] or "").upper():
        raise UsageError(key="wrong.signal_reservation", text=text)
    before_s = int(found["before"]) if found["before"] else DEFAULT_BEFORE_S
    if before_s > _MOST_BEFORE_S:
        raise UsageError(key="wrong.signal", text=repr(text))
    return SignalWish(_name_of(text, found["signal"]), before_s)


def _dependency(text: str, part: str) -> Iterator[Dependency]:
    kind, colon, jobs = part.partition(":")
    if not colon and _JOB.fullmatch(kind):
        yield Dependency("afterany", kind)
        return
    if kind.lower() not in KINDS:
        raise UsageError(key="wrong.dependency_kind", kind=kind, text=text)
    for job in jobs.split(":"):
        if "+" in job:
            raise UsageError(key="wrong.dependency_delay", text=text)
        if _JOB.fullmatch(job) is None:
            raise UsageError(key="wrong.dependency", text=repr(text))
        yield Dependency(kind.lower(), job)


def _name_of(text: str, told: str) -> str:
    try:
        if told.isdecimal():
            return signals.Signals(int(told)).name.removeprefix("SIG")
        return signals.Signals["SIG" + told.upper().removeprefix("SIG")].name.removeprefix("SIG")
    except (KeyError, ValueError) as unknown:
        raise UsageError(key="wrong.signal", text=repr(text)) from unknown
