"""What can happen to an attempt, each named as a sentence. Also what a backend says, put into these words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from hpc_adapters.contract import Observation, Seen
from hpc_adapters.errors import Forgotten
from pricing.model import ServiceClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """It waits in our queue from now on: its first event."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """It waits for another of the offerings on which its job may run. nu: its full size there.

    rule: a word of core.placement.Rule; others: so many more could have taken it; instead_of: where it waited before.
    """

    at: datetime
    offering: str
    backend: str
    nu: float
    rule: str
    others: int = 0
    instead_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """We are about to hand it to the backend."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The backend has it under this id."""

    at: datetime
    native_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSubmitted:
    """It is certain that the backend has nothing of it; the hand-over may be tried again."""

    at: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The backend will never do it, and has nothing of it."""

    at: datetime
    code: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The user's code runs since then."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Its job shall end."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PreemptRequested:
    """It shall make room for somebody of this class, and is tried again later."""

    at: datetime
    for_class: ServiceClass


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverReady:
    """What its job waits for can no longer happen: it will never start. jobs: what it waited for in vain."""

    at: datetime
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationOver:
    """Its reservation ended or was cancelled, or has too little time left: it will never start."""

    at: datetime
    reservation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStaged:
    """Its input files cannot be brought to the backend: it will never start. code: a machine word."""

    at: datetime
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAway:
    """A call has waited for as long as was agreed, here or in its vendor's queue; its job holds GPUs meanwhile."""

    at: datetime
    wait_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneEarly:
    """The phase before it has said that its job is done: it will never start. phase: which one said so."""

    at: datetime
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The backend says that the user's code runs no more. `at` is when it ended, as far as that is known."""

    at: datetime
    seen: Seen
    started_at: datetime | None = None
    exit_code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWaiting:
    """The backend has it and has not started it."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenUnknown:
    """The backend said something that nobody can read."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMissing:
    """The backend answered in full and does not know it."""

    at: datetime


Event: TypeAlias = (
    Queued
    | Placed
    | Dispatched
    | Accepted
    | NotSubmitted
    | Refused
    | Started
    | CancelRequested
    | PreemptRequested
    | NeverReady
    | ReservationOver
    | NotStaged
    | DeviceAway
    | DoneEarly
    | Ended
    | SeenWaiting
    | SeenUnknown
    | SeenMissing
)


def told(said: Observation | Forgotten, *, now: datetime) -> Event:
    """A backend's word as an event. Total over `Seen`. Nothing has happened in the future, whatever its clock says."""
    if isinstance(said, Forgotten):
        return SeenMissing(at=now)
    match said.seen:
        case Seen.WAITING:
            return SeenWaiting(at=now)
        case Seen.UNKNOWN:
            return SeenUnknown(at=now)
        case Seen.RUNNING:
            return Started(at=min(said.started_at or said.observed_at, now))
        case _:
            return Ended(
                at=min(said.ended_at or said.observed_at, now),
                seen=said.seen,
                started_at=None if said.started_at is None else min(said.started_at, now),
                exit_code=said.exit_code,
                detail=said.detail,
            )


def facts_of(event: Event) -> dict[str, object]:
    """All of an event but its kind and time, as JSON values."""
    values = ((each.name, getattr(event, each.name)) for each in fields(event) if each.name != "at")
    return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case Mapping():
            return dict(value)
        case tuple():
            return list(value)
        case _:
            return value
