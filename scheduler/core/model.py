"""The values of the scheduler's core. No clock, no I/O: everything that a rule needs is in its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pricing.model import ServiceClass

MAIN = "main"
"""The one phase of every job that is no hybrid."""


class State(StrEnum):
    """Where an attempt is. The legal moves are in lifecycle.py; the same words are in scheduler.attempt_state."""

    QUEUED = "QUEUED"
    """Paid for by a hold; waits in our queue."""
    DISPATCHING = "DISPATCHING"
    """We are about to submit it, or have, and have not seen it start."""
    RUNNING = "RUNNING"
    """The backend has started it."""
    CANCELLING = "CANCELLING"
    """Cancel wanted; billed until the backend confirms the end."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """Refused by the backend, or its code failed, or it ran out of walltime or memory."""
    CANCELLED = "CANCELLED"
    PREEMPTED = "PREEMPTED"
    """Its resources were taken back, by the backend or by us."""
    LOST = "LOST"
    """Node failure, or the backend no longer knows it."""

    @property
    def is_terminal(self) -> bool:
        return self not in LIVE


LIVE = frozenset({State.QUEUED, State.DISPATCHING, State.RUNNING, State.CANCELLING})
WITH_BACKEND = frozenset({State.DISPATCHING, State.RUNNING, State.CANCELLING})
"""States in which the backend may hold resources for the attempt."""


class JobKind(StrEnum):
    """What a job is; the same words are in scheduler.job_kind."""

    BATCH = "batch"
    TRAINING = "training"
    QUANTUM = "quantum"
    HYBRID = "hybrid"
    """Phases of the kinds above, one after the other. No attempt has this kind: it has that of its phase."""


class Doubt(StrEnum):
    """Why the backend's last answers about an attempt told nothing."""

    UNKNOWN = "unknown"
    """A state that nobody can read."""
    MISSING = "missing"
    """A full answer in which the attempt does not occur."""


class EndReason(StrEnum):
    """Machine reason of an end that is not a plain success. A refusal by the backend is 'refused:<code>'."""

    EXIT_CODE = "exit_code"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED_IN_QUEUE = "cancelled_in_queue"
    DEPENDENCY_NEVER_SATISFIED = "dependency_never_satisfied"
    """What it waited for can no longer happen: it never started, and costs nothing."""
    RESERVATION_OVER = "reservation_over"
    """The reservation that it was to run in had no time left for it: it never started, and costs nothing."""
    DONE_EARLY = "done_early"
    """The phase before has found what the job was for: it never started, costs nothing, and the job has SUCCEEDED."""
    DEVICE_AWAY = "device_away"
    """A call whose device did not begin with it in time: free, unless it did just then; then what it ran is charged."""
    CANCELLED_BY_USER = "cancelled_by_user"
    CANCELLED_BY_SITE = "cancelled_by_site"
    """Somebody cancelled it on the backend, not through us: the customer does not pay."""
    CANCELLED_BY_OWNER = "cancelled_by_owner"
    """Its owner cancelled it on the backend, past us: as good as through us, and charged like it."""
    NEVER_ACCEPTED = "never_accepted"
    """Cancelled while it was unknown whether the backend had it; it has not."""
    PREEMPTED = "preempted"
    PREEMPTED_BY_US = "preempted_by_us"
    """It made room for somebody whose class goes before its own."""
    NODE_FAILED = "node_failed"
    VANISHED = "vanished"
    """The backend accepted it and then no longer knew it."""
    UNREADABLE = "unreadable"
    """The backend's answers could not be read for longer than the attempt may run."""


UNCONFIRMED = frozenset(
    {
        EndReason.CANCELLED_IN_QUEUE,
        EndReason.DEVICE_AWAY,
        EndReason.NEVER_ACCEPTED,
        EndReason.VANISHED,
        EndReason.UNREADABLE,
    }
)
"""Ends that we concluded and the backend never told: a stray may still turn up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a job on one backend: the projection of its events. Only lifecycle.advance() makes a changed one."""

    id: UUID
    job_id: UUID
    organisation_id: UUID
    backend: str
    ordinal: int
    kind: JobKind
    max_attempts: int
    walltime_s: int
    nu: float
    """Normalised units if it runs its full walltime."""
    queued_at: datetime
    trail: tuple[str, ...]
    """Kinds of its events so far, oldest first."""
    offering_id: str | None = None
    """What it is charged as. None: of one that is not stored yet, its job's or its phase's."""
    phase: str = MAIN
    earlier: int = 0
    """So many attempts of its job were made in earlier phases: attempts of a job are numbered through."""
    next_phase: str | None = None
    """What follows its phase."""
    skippable: bool = False
    """Its job goes on whatever becomes of its phase."""
    max_timeouts: int = 0
    """So many time-outs of its phase are continued by another attempt."""
    beside: bool = False
    """It carries out a call of another attempt of its job: it is tried once, and its end says nothing of the job."""
    timeouts: int = 0
    """Attempts of its phase before it that ran out of time."""
    state: State = State.QUEUED
    native_id: str | None = None
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    not_before: datetime | None = None
    doubt: Doubt | None = None
    doubt_since: datetime | None = None
    doubt_count: int = 0
    cancel_wanted: bool = False
    preempt_wanted_at: datetime | None = None
    """Since then it is asked to leave, for somebody whose class goes before its own. It runs until its end is seen."""
    preempt_for: ServiceClass | None = None
    """The class of whoever it makes room for."""

    @property
    def version(self) -> int:
        """Number of events applied."""
        return len(self.trail)

    @property
    def tries(self) -> int:
        """Which attempt of its phase it is."""
        return self.ordinal - self.earlier
