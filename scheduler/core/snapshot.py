"""What one cycle of planning sees, and what it decides: plain values, so that history and invention plan alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.reasons import Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A backend as it said of itself. `online` False: nothing may be started there now."""

    name: str
    total: Resources = field(default_factory=Resources)
    free: Resources = field(default_factory=Resources)
    online: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An attempt in our queue. submitted_at is the job's: a second attempt does not begin to wait anew."""

    attempt_id: UUID
    organisation_id: UUID
    backend: str
    needs: Resources
    walltime_s: int
    micro_nu: int
    submitted_at: datetime
    service_class: ServiceClass = ServiceClass.STANDARD
    not_before: datetime | None = None
    cancel_wanted: bool = False
    parked: str | None = None
    """What is wrong with it on our side, until not_before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An attempt that holds resources, or may: handed over and not ended."""

    attempt_id: UUID
    organisation_id: UUID
    backend: str
    needs: Resources
    until: datetime
    """When it ends at the latest, by its walltime."""
    accepted: bool = True
    """The backend has confirmed it: its own count of free units has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An organisation's claim. used_micro_nu: decayed use and all that it holds now, in millionths of a NU."""

    organisation_id: UUID
    weight: int = 1
    used_micro_nu: int = 0
    max_running_jobs: int = 100
    refused: str | None = None
    """Code of the refusal when it may start nothing now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Settings of a cycle."""

    max_starts: int = 32
    """More starts wait for the next cycle."""
    overdue_s: int = 60
    """What should have ended by now is expected to end so much later."""


POLICY = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The world of one cycle. Every organisation that waits or holds has a standing."""

    now: datetime
    pools: Mapping[str, Pool]
    waiting: Sequence[Waiting]
    holding: Sequence[Holding] = ()
    standings: Mapping[UUID, Standing]
    policy: Policy = POLICY


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Hand this one over now."""

    attempt_id: UUID
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The one reason why it waits, with the facts of its sentence (JSON values; nothing of other tenants' jobs)."""

    attempt_id: UUID
    why: Why
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, in order, and why each other waits: every waiting attempt is in exactly one of the two."""

    starts: Sequence[Start]
    waits: Sequence[Wait]
