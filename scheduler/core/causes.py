"""Why an attempt ended, in the words of the refund matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pricing.model import Cause, Ending
from scheduler.core.model import EndReason

_BY_REASON: Final[Mapping[tuple[Ending, str], Cause]] = {
    (Ending.FAILED, EndReason.OUT_OF_MEMORY): Cause.OUT_OF_MEMORY,
    (Ending.FAILED, EndReason.TIMED_OUT): Cause.WALLTIME,
    (Ending.LOST, EndReason.NODE_FAILED): Cause.NODE_FAILURE,
    (Ending.LOST, EndReason.VANISHED): Cause.VENDOR_ERROR,
    (Ending.LOST, EndReason.UNREADABLE): Cause.VENDOR_ERROR,
    (Ending.LOST, EndReason.CANCELLED_BY_SITE): Cause.OUR_FAULT,
}


def cause_of(ending: Ending, reason: str | None) -> Cause | None:
    """None: nothing more is known than what such an ending usually means."""
    return _BY_REASON.get((ending, reason or ""))
