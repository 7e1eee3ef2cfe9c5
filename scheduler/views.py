"""What others see of jobs. Values for reading; nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Ref
from pricing.model import ServiceClass
from scheduler.core.branches import Level
from scheduler.core.dependencies import DependencyKind
from scheduler.core.explain import Sentence
from scheduler.core.model import JobKind, State
from scheduler.core.reasons import Why


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastView:
    """When an attempt is expected to start: as likely before p50_at as after, by p90_at in nine of ten cases.

    None: not within the time that is foreseen. position: rank of starting. ahead: how many start before it, by cause.
    """

    as_of: datetime
    position: int
    p50_at: datetime | None
    p90_at: datetime | None
    ahead: Mapping[str, int]
    sentence: Sentence
    ahead_sentence: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingView:
    """Why the newest attempt waits, by the last plan. forecast: None: it waits for more than its turn, or is new."""

    reason: Why
    facts: Mapping[str, object]
    sentence: Sentence
    forecast: ForecastView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyView:
    """What would change that a job waits. code: a word of scheduler.core.remedies.Do, with its facts."""

    code: str
    facts: Mapping[str, object]
    sentence: Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayView:
    """Which task of which array a job is. tasks: how many there are."""

    number: int
    index: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyView:
    """What a job waits for, or has waited for."""

    kind: DependencyKind
    job_id: UUID
    number: int | None
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job and its newest attempt, whose state is the job's. Money is pricing's (charges_by_job)."""

    id: UUID
    organisation_id: UUID
    project_id: UUID
    project: str
    person_id: UUID
    name: str
    kind: JobKind
    offering_id: str
    backend: str
    service_class: ServiceClass
    gpus: int
    """Of a hybrid job the most that one of its phases holds; so with the other resources."""
    cpus: int
    memory_mb: int
    nodes: int
    shots: int
    """Of a hybrid job the sum over its phases; so with the walltime."""
    walltime_s: int
    max_attempts: int
    max_timeouts: int
    begin_at: datetime | None
    array: ArrayView | None
    number: int | None
    """1, 2, … within its organisation; None: from before there were numbers."""
    submitted_at: datetime
    state: State
    attempt_id: UUID
    attempt_count: int
    phase: str
    """Of the newest attempt; 'main' for all but hybrid jobs."""
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    cancel_requested_at: datetime | None
    waiting: WaitingView | None
    data_location: str | None = None
    """'jp': nothing of it leaves Japan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One try of a job. `ref`: where to read its logs, when a backend has it."""

    id: UUID
    job_id: UUID
    organisation_id: UUID
    phase: str
    ordinal: int
    """1, 2, … over all phases of its job."""
    backend: str
    state: State
    ref: Ref | None
    queued_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseView:
    """A phase of a hybrid job. state: of its newest attempt; None: it has not come to it, or never will."""

    ordinal: int
    name: str
    base: str
    kind: JobKind
    offering_id: str
    backend: str
    gpus: int
    cpus: int
    memory_mb: int
    shots: int
    nodes: int
    walltime_s: int
    max_attempts: int
    takes: Sequence[str]
    body_from: str | None
    skippable: bool
    state: State | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    attempts: Sequence[UUID]
    """Its attempts, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    """A call that a running job made to its QPU. code, facts: why it was refused; else state: of its attempt."""

    number: int
    recorded_at: datetime
    shots: int
    code: str | None
    facts: Mapping[str, object]
    attempt_id: UUID | None
    state: State | None
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QpuView:
    """The QPU that a job may call while it runs. max_calls, max_shots: of all calls together; closed: none any more."""

    offering_id: str
    backend: str
    max_calls: int
    max_shots: int
    idle_s: int
    call_s: int
    wait_s: int
    closed: bool
    calls: Sequence[CallView]
    """Its newest ones, newest first; next_cursor leads to those before."""
    asked: int
    """How many it has made in all, refused ones among them."""
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPage:
    """Some calls of a job, newest first. next_cursor: None at its first call."""

    items: Sequence[CallView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryLine:
    """One event of one attempt. at: when it counts; recorded_at: when we learnt it.

    decision: of a start, and of having to make room, why just then: the rule and its figures.
    """

    at: datetime
    recorded_at: datetime
    attempt: int
    phase: str
    kind: str
    state: State
    facts: Mapping[str, object]
    sentence: Sentence
    decision: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list, newest first. next_cursor: None at its end."""

    items: Sequence[JobView]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """A live attempt as an operator sees it. position: in the line before its backend, while it waits."""

    attempt_id: UUID
    job_id: UUID
    organisation_id: UUID
    name: str
    kind: JobKind
    backend: str
    state: State
    ordinal: int
    gpus: int
    qpus: int
    walltime_s: int
    submitted_at: datetime
    started_at: datetime | None
    position: int | None
    waiting: WaitingView | None
    doubt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingView:
    """An organisation in the fair share: its weight, its decayed use, and what it holds now, in NU."""

    organisation_id: UUID
    weight: int
    max_queued_jobs: int
    max_running_jobs: int
    used_nu: float
    holding_nu: float
    queued_jobs: int
    running_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsView:
    """What a branch has on a backend (None: in total) beside what it may (None: no limit). NU as of StandingView.

    month_nu: what ended in this month of Japan's calendar used; holding_nu counts against max_month_nu, too.
    max_borrow_percent, max_lend_percent: of organisations in total, of their nominal share of each machine.
    reserved_units: GPUs or QPUs that an organisation has on a backend for class reserved.
    """

    backend: str | None
    queued_jobs: int
    running_jobs: int
    gpus: int
    holding_nu: float
    month_nu: float
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_gpus: int | None
    max_month_nu: float | None
    max_borrow_percent: int | None
    max_lend_percent: int | None
    reserved_units: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchView:
    """A branch of the share tree: its weight among its siblings, its decayed use, and its limits, the total first."""

    level: Level
    project: str | None
    person_id: UUID | None
    weight: int
    used_nu: float
    limits: Sequence[LimitsView]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareChangeView:
    """What was set for a branch, from an instant on. set_by None: on the server itself."""

    version: int
    level: Level
    project: str | None
    person_id: UUID | None
    backend: str | None
    weight: int | None
    max_queued_jobs: int | None
    max_running_jobs: int | None
    max_gpus: int | None
    max_month_nu: float | None
    max_borrow_percent: int | None
    max_lend_percent: int | None
    reserved_units: int | None
    effective_at: datetime
    recorded_at: datetime | None
    set_by: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeView:
    """An organisation's part of the share tree, from the top, and every change of it, the oldest first."""

    branches: Sequence[BranchView]
    history: Sequence[ShareChangeView]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateView:
    """A line of the exchange table: NU of one hour of one `unit`. holds: it is the one that counts now."""

    resource_type: str
    unit: str
    nu_per_hour: float
    effective_at: datetime
    holds: bool
    version: int
    recorded_at: datetime | None
    set_by: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """All live attempts (those with backends first, then the lines in order), and the standings."""

    entries: Sequence[QueueEntry]
    standings: Sequence[StandingView]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputView:
    """A file that a job reads, in the version that it had at submission."""

    name: str
    key: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputView:
    """A file that an attempt left. key: where it is kept; problem: why it is not."""

    attempt: int
    name: str
    size_bytes: int
    key: str | None
    checksum: str | None
    problem: str | None
