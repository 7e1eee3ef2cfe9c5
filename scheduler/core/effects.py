"""What must be done because an attempt has moved: values that the loops carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pricing.model import Ending


@dataclass(frozen=True, slots=True)
class SubmitToBackend:
    """Hand it over, after this transaction."""


@dataclass(frozen=True, slots=True)
class CancelOnBackend:
    """Tell the backend to end it, after this transaction."""

    native_id: str


@dataclass(frozen=True, slots=True)
class LeaveBackend:
    """Tell the backend to signal it and, after its grace time, to end it: after this transaction."""

    native_id: str


@dataclass(frozen=True, slots=True)
class SettleHold:
    """The attempt is over for good: tell pricing, in this transaction. last: no attempt of the job follows."""

    ending: Ending
    last: bool


@dataclass(frozen=True, slots=True)
class Requeue:
    """Queue another attempt of the same job, in this transaction."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class NextPhase:
    """Queue the first attempt of the phase that follows, in this transaction."""

    name: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class ChargeFairShare:
    """Its organisation has used this, in this transaction. Never money."""

    nu: float


Effect: TypeAlias = (
    SubmitToBackend | CancelOnBackend | LeaveBackend | SettleHold | Requeue | NextPhase | ChargeFairShare
)
