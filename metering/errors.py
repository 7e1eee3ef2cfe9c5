"""What metering refuses, and why a row of a backend's accounting cannot be taken."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from infra.refusal import Refusal


class UnknownPeriod(Refusal):
    """Not the name of a period. Facts: period, forms (the accepted ones)."""

    code: ClassVar[str] = "unknown-period"


class Unreadable(StrEnum):
    """Why a row is parked. The value is stored and alarmed."""

    NO_END = "no-end"
    """Called final, and says no end."""
    END_BEFORE_START = "end-before-start"
    UNKNOWN_COMPONENT = "unknown-component"
    """A component that has no meaning here: perhaps a price is missing, so it is never dropped."""
    BAD_QUANTITY = "bad-quantity"
    """Negative, not a number, or too large to be true."""
    IMPOSSIBLE_TIME = "impossible-time"
    """Long before its attempt was submitted, or in the future: an unset clock, an unset start."""
    CONTRADICTORY = "contradictory"
    """One answer had two different contents under one natural key."""
    ATTEMPT_CHANGED = "attempt-changed"
    """A correction gives the record to another attempt."""
    COUNTED_ALREADY = "counted-already"
    """Another record counts the same attempt at the same time: one run told twice, and nobody pays twice."""
    FAILED = "failed"
    """Taking it failed in a way that only this row can be blamed for."""


class UnreadableRow(Exception):
    """A row of a backend's accounting that cannot be taken as it is. It is parked; the others go on."""

    def __init__(self, why: Unreadable, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why.value)
        self.why = why
