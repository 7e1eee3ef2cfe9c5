"""The values of elastic capacity. Units are GPUs and QPUs; times are aware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from hpc_adapters.elastic import NodeState


class Purpose(StrEnum):
    """What a machine was taken out of service for."""

    POWER = "power"
    """It was idle, and saves its power."""
    LEND = "lend"
    """It was idle, and somebody else uses it meanwhile."""
    SURGE = "surge"
    """It is kept for disruptions."""


class Kind(StrEnum):
    """What is done to a machine."""

    WITHDRAW = "withdraw"
    POWER_DOWN = "power_down"
    RESTORE = "restore"


class Because(StrEnum):
    """Why: one word, in the log and in the API. Its sentences are the portal's."""

    IDLE = "idle"
    """Nothing ran there for as long as the rule says. Facts: idle_s."""
    HELD_FOR_SURGE = "held_for_surge"
    """The rule keeps it for disruptions, and none is declared."""
    EMPTY = "empty"
    """It was taken out before, and nothing runs there any more."""
    WAITING_JOBS = "waiting_jobs"
    """Jobs wait for more than what is idle. Facts: waiting, idle."""
    RESERVATION = "reservation"
    """A reservation needs it soon. Facts: needed, serving."""
    FLOOR = "floor"
    """Fewer serve than the rule's floor. Facts: needed, serving."""
    DISRUPTION = "disruption"
    """A disruption is declared: everything serves."""
    TAKEN_UP = "taken_up"
    """A job started there at the last moment."""
    RULE_ENDED = "rule_ended"
    """No rule keeps it out any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What holds for one backend. The default takes nothing out.

    use: what becomes of idle machines; None: nothing. lend_to: to whom, in a word of the operator's.
    floor_units: so many always serve. spare_units: so many idle ones stay. wake_s: so long a machine takes to serve
    again. min_up_s, min_down_s: so long it stays, once it is back, or away. max_takes_per_hour: so many leave, all
    machines together. surge_nodes: serve only while a disruption is declared.
    """

    use: Purpose | None = None
    lend_to: str = ""
    idle_s: int = 1_800
    floor_units: int = 0
    spare_units: int = 0
    wake_s: int = 600
    min_up_s: int = 1_800
    min_down_s: int = 1_800
    max_takes_per_hour: int = 4
    surge_nodes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVersion:
    """A rule as it was set: from `effective_at` on, until the next one of its backend."""

    backend: str
    rule: Rule
    effective_at: datetime
    reason: str
    id: int = 0
    set_by: UUID | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruption:
    """Supply is disrupted during [since, until), or until it is ended. backend None: everywhere."""

    id: UUID
    backend: str | None
    since: datetime
    until: datetime | None
    reason: str
    declared_by: UUID | None = None
    recorded_at: datetime | None = None
    ended_at: datetime | None = None

    def holds(self, backend: str, at: datetime) -> bool:
        """Whether this backend is to give all it has at this moment."""
        end = min((each for each in (self.until, self.ended_at) if each is not None), default=None)
        return self.backend in {None, backend} and self.since <= at and (end is None or at < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """Units of this backend that somebody has reserved."""

    since: datetime
    until: datetime
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine as the rules see it. purpose: what we took it out for. changed_at: our last word about it."""

    name: str
    state: NodeState
    units: int
    idle_since: datetime | None = None
    purpose: Purpose | None = None
    changed_at: datetime | None = None

    def has_stayed(self, for_s: int, now: datetime) -> bool:
        """Whether we have left it alone for so long."""
        return self.changed_at is None or now - self.changed_at >= timedelta(seconds=for_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One backend at one moment. waiting_units: what jobs wait for that lack nothing else. taken_at: when we took
    machines out during the last hour.
    """

    nodes: Sequence[Node]
    waiting_units: int = 0
    booked: Sequence[Booked] = ()
    disruption: Disruption | None = None
    taken_at: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do to one machine, and why."""

    kind: Kind
    node: str
    purpose: Purpose
    because: Because
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An action as the log has it. problem: why it did not succeed; None: it is not known to have been tried."""

    id: int
    backend: str
    action: Action
    decided_at: datetime
    rule_id: int | None = None
    disruption_id: UUID | None = None
    problem: str | None = None
