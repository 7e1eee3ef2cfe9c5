"""The vendor's words for a job's state. Pure."""

from __future__ import annotations

from typing import Final

from hpc_adapters.contract import Seen

_SEEN: Final = {
    "registered": None,
    "submitted": Seen.WAITING,
    "ready": Seen.WAITING,
    "running": Seen.RUNNING,
    "succeeded": Seen.SUCCEEDED,
    "failed": Seen.FAILED,
    "cancelled": Seen.CANCELLED,
}


def seen_of(status: str, *, has_run: bool) -> Seen | None:
    """None: an id without a job yet. A word that we do not know is UNKNOWN. What is being cancelled runs, if it ran."""
    if status == "cancelling":
        return Seen.RUNNING if has_run else Seen.WAITING
    return _SEEN.get(status, Seen.UNKNOWN)
