"""What one cycle of planning sees, and what it decides: plain values, so that history and invention plan alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from hpc_adapters.devices import OfflineWindow
from pricing.model import ServiceClass
from scheduler.core.branches import Branch, Leaf
from scheduler.core.dependencies import READY, Outlook
from scheduler.core.reasons import Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A backend as it said of itself. `online` False: nothing may be started there now."""

    name: str
    total: Resources = field(default_factory=Resources)
    free: Resources = field(default_factory=Resources)
    draining: Resources = field(default_factory=Resources)
    """What jobs still hold there on machines that are in service no more: in neither of the two."""
    online: bool = True
    look_ahead: int = 0
    """So many attempts may wait in its own queue. Where some may, its count of free units knows only what has started;
    else it knows what it has accepted."""
    asked_at: datetime | None = None
    """When it was asked: what was handed over since is not in its count. None: in this very cycle."""
    windows: Sequence[OfflineWindow] = ()
    """When it will take no work: nothing starts that could still run then."""
    condition: str | None = None
    """Of a quantum device: 'online', 'calibrating' …"""
    vendor_queue: int | None = None
    """Jobs that wait at its vendor, everybody's; None: not told."""
    free_gpus: tuple[int, ...] = ()
    """Of each node that works the GPUs that are free; empty: it does not tell of its nodes."""
    node_gpus: int = 0
    """GPUs of its largest node, where it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """An advance reservation: from `since` on, and before `until`, its units are for its own jobs alone."""

    reservation_id: UUID
    backend: str
    needs: Resources
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The reservation in which a job runs, and nowhere else. name: what its organisation calls it."""

    reservation_id: UUID
    name: str
    since: datetime
    until: datetime
    shorten: bool = False
    """Its owner would rather have its walltime shortened than not have it start."""
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """Nothing of whom it concerns may still run then."""

    at: datetime
    kind: str
    """'eligibility' (of the organisation, which ends) or 'fiscal_year'."""


@dataclass(frozen=True, slots=True)
class Task:
    """Which task of which array. max_running: so many of its tasks at a time; None: as many as fit."""

    array_id: UUID
    index: int
    max_running: int | None


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
    begin_at: datetime | None = None
    """Not earlier, as its owner asked."""
    outlook: Outlook = READY
    """Of the jobs that it waits for."""
    task: Task | None = None
    not_before: datetime | None = None
    refused: str | None = None
    """Code of what its own hand-over was refused for on our side, until not_before."""
    cancel_wanted: bool = False
    staging: str | None = None
    """Its input files are not there yet; the last problem with them, empty for none."""
    parked: str | None = None
    """What is wrong with it on our side, until not_before."""
    calls: str | None = None
    """The device that it will call while it runs: it starts only when that could answer until it ends."""
    is_call: bool = False
    """A running job waits for it: it goes before all else of its organisation, and counts as no job of its own."""
    inside: Inside | None = None
    """It runs in a reservation of its organisation."""
    project_id: UUID | None = None
    person_id: UUID | None = None
    calls_micro_nu: int = 0
    """What all its calls may use on top, at most."""
    seq: int = 0
    """Its number, in the order in which attempts came."""

    @property
    def leaf(self) -> Leaf:
        return self.organisation_id, self.project_id, self.person_id


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
    started: bool = True
    """It has been seen running. Until then it may wait in the backend's own queue."""
    sent_at: datetime | None = None
    array_id: UUID | None = None
    is_call: bool = False
    """It is part of a job that is counted already."""
    reservation_id: UUID | None = None
    """It holds units of this reservation, as long as that is on."""
    project_id: UUID | None = None
    person_id: UUID | None = None
    micro_nu: int = 0
    """Its full size, until its real use is known."""
    calls: str | None = None
    calls_micro_nu: int = 0
    seq: int = 0
    service_class: ServiceClass = ServiceClass.STANDARD
    """As those of Waiting."""
    started_at: datetime | None = None
    """When it was seen to start; None: not yet."""
    leaving: bool = False
    """It is being cancelled, or was asked to make room: its units come back by themselves."""
    asked_to_leave_at: datetime | None = None
    """Since when one that makes room is asked to."""

    @property
    def leaf(self) -> Leaf:
        return self.organisation_id, self.project_id, self.person_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An organisation's claim. used_micro_nu: decayed use and all that it holds now, in millionths of a NU."""

    organisation_id: UUID
    weight: int = 1
    used_micro_nu: int = 0
    max_running_jobs: int = 100
    refused: str | None = None
    """Code of the refusal when it may start nothing now."""
    walls: Sequence[Wall] = ()
    """When it will be allowed to start nothing any more, as far as is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """The claim of a project, or of a user in it, within what is above. used_micro_nu: as that of Standing."""

    weight: int = 1
    used_micro_nu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a branch may have, on a backend or in total. None: as much as there is."""

    max_queued_jobs: int | None = None
    max_running_jobs: int | None = None
    max_gpus: int | None = None
    max_month_micro_nu: int | None = None
    """Normalised units in a month of Japan's calendar, in millionths."""
    max_borrow_percent: int | None = None
    """Of an organisation in total: so much beyond its nominal share of each machine, of that share."""
    max_lend_percent: int | None = None
    """Of an organisation in total: so much of its own nominal share others may hold while it leaves it idle."""
    reserved_units: int | None = None
    """Of an organisation on a backend: GPUs (or QPUs) that its work of class reserved has (book/guarantees.py)."""


Place = tuple[Branch, str | None]
"""Where a limit holds: a branch, and a backend or (None) all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preemption:
    """When running work makes room for work whose class goes before its own."""

    is_on: bool = True
    protected_s: int = 600
    """Nobody is asked to leave before it has run for so long."""
    per_organisation: int = 10
    """So many of one organisation's attempts in an hour."""
    per_hour: int = 60
    """So many of everybody's together."""
    leave_s: int = 120
    """What was asked to leave is expected to be gone so much later; until then nothing is filled in that would delay
    whom it makes room for."""


PREEMPTION = Preemption()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Settings of a cycle."""

    max_starts: int = 32
    """More starts wait for the next cycle."""
    overdue_s: int = 60
    """What should have ended by now is expected to end so much later."""
    half_life_s: int = 7 * 86_400
    """After so long a use weighs half as much in the turns of projects and users."""
    reservation_grace_s: int = 300
    """A job that asked for all the time of its reservation starts though we are late by so much; it ends with that."""
    preemption: Preemption = PREEMPTION


POLICY = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The world of one cycle. Every organisation that waits or holds has a standing."""

    now: datetime
    pools: Mapping[str, Pool]
    waiting: Sequence[Waiting]
    holding: Sequence[Holding] = ()
    standings: Mapping[UUID, Standing]
    stakes: Mapping[Branch, Stake] = field(default_factory=dict)
    """Of projects and users; one that is not there has weight 1 and has used nothing."""
    limits: Mapping[Place, Limits] = field(default_factory=dict)
    """Besides the running jobs of organisations, which are in their standings."""
    month_micro_nu: Mapping[Place, int] = field(default_factory=dict)
    """What attempts that ended in this month used, where that is limited."""
    bookings: Sequence[Booking] = ()
    """Reservations that are not over."""
    walls: Sequence[Wall] = ()
    """Everybody's."""
    preempted: Mapping[UUID, int] = field(default_factory=dict)
    """How many attempts of each organisation were asked to make room in the last hour."""
    policy: Policy = POLICY


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Hand this one over now."""

    attempt_id: UUID
    backend: str
    ahead: bool = False
    """It does not fit yet: it goes to wait in the backend's own queue."""
    limit_s: int | None = None
    """It ends with its reservation, so long from now at most. None: its own walltime."""
    way: str = ""
    """By which rule, a word of core.decided.Way: 'ahead' (due), 'in_order', 'behind' (backfill), 'inside' …"""
    facts: Mapping[str, object] = field(default_factory=dict, compare=False)
    """Why it starts now: of the record of the decision, nothing of other tenants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preempt:
    """Ask this running attempt to make room. facts: of the record of the decision, nothing of other tenants."""

    attempt_id: UUID
    backend: str
    for_class: ServiceClass
    facts: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """It will never start: what it waits for can no longer happen. jobs: what it has waited for in vain."""

    attempt_id: UUID
    jobs: tuple[str, ...] = ()
    reservation: str | None = None
    """The reservation that is over, was cancelled, or has too little time left for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The one reason why it waits, with the facts of its sentence (JSON values; nothing of other tenants' jobs)."""

    attempt_id: UUID
    why: Why
    facts: Mapping[str, object]
    seq: int = field(default=0, compare=False)
    """The number under which the book knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, in order, why each other waits, and what never will: each waiting attempt is in exactly one."""

    starts: Sequence[Start]
    waits: Sequence[Wait]
    nevers: Sequence[Never] = ()
    preempts: Sequence[Preempt] = ()
    """Which running attempts make room for the first in line."""
    more: bool = False
    """As many start as may in one cycle: others could in the next."""
