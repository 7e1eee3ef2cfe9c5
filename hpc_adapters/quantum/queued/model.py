"""A vendor's jobs as they are told of, and where those of one attempt are together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Seen

STOPS: Final = {
    "cancel": (Seen.CANCELLED, ""),
    "walltime": (Seen.TIMED_OUT, ""),
    "qpu-cap": (Seen.FAILED, "qpu-cap-reached"),
    "failed": (Seen.FAILED, "failed-at-vendor"),
}
"""Why we ended an attempt → what it is then, and the detail."""
_NAME: Final = "kyoyo"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job as the vendor tells of it; times are None where it does not tell.

    `seen` None: an id was chosen for it, and nothing was submitted under it. NODE_FAILED: the vendor lost it.
    """

    job_id: str
    seen: Seen | None
    shots: int = 0
    execution_s: Decimal | None = None
    submitted_at: datetime | None = None
    running_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the jobs of an attempt are together. `ended_at` None beside an end: the vendor does not tell."""

    seen: Seen
    detail: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_over: bool = False
    """Every one of its jobs has ended."""
    wants_stop: bool = False
    """One has failed, and the others shall not run."""


def job_name(attempt_id: UUID) -> str:
    """What every one of its jobs' names begins with. Ours alone: nothing of a tenant's is in it."""
    return f"{_NAME}-{attempt_id.hex}"


def progress(jobs: Sequence[RemoteJob], *, stop: str) -> Progress:
    """`stop`: why we wanted its end, empty where we did not."""
    seen = {job.seen or (Seen.CANCELLED if stop else Seen.WAITING) for job in jobs}
    began = [at for job in jobs if (at := _began(job)) is not None]
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    started_at = min(began, default=None)
    if all(one.is_end for one in seen):
        found, detail = _end(seen, stop)
        return Progress(
            seen=found, detail=detail, started_at=started_at, ended_at=max(ended, default=None), is_over=True
        )
    if Seen.UNKNOWN in seen:
        return Progress(seen=Seen.UNKNOWN, detail="unknown-status", started_at=started_at)
    has_begun = bool(began) or any(one.is_end or one is Seen.RUNNING for one in seen)
    return Progress(
        seen=Seen.RUNNING if has_begun else Seen.WAITING,
        wants_stop=not stop and bool({Seen.FAILED, Seen.CANCELLED, Seen.NODE_FAILED} & seen),
        started_at=started_at,
    )


def _end(seen: set[Seen], stop: str) -> tuple[Seen, str]:
    if seen == {Seen.SUCCEEDED}:
        return Seen.SUCCEEDED, ""
    if Seen.NODE_FAILED in seen:
        return Seen.NODE_FAILED, "lost-by-vendor"
    if stop in STOPS and not (stop == "failed" and Seen.FAILED not in seen):
        return STOPS[stop]
    if Seen.FAILED in seen:
        return STOPS["failed"]
    return Seen.NODE_FAILED, "cancelled-by-vendor"  # nobody here asked for it: our side's fault, and free


def _began(job: RemoteJob) -> datetime | None:
    """When it reached the device. A success without that time has begun by its execution time before its end."""
    if job.running_at is not None:
        return job.running_at
    if job.seen is Seen.SUCCEEDED and job.ended_at is not None:
        return job.ended_at - timedelta(seconds=float(job.execution_s or 0))
    return None
