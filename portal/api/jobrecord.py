"""A job as its owner is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from portal.api.callrecord import QpuCallsOut
from portal.api.candidates import CandidateOut
from portal.api.wire import Out, Yen, number_text
from portal.jobphases import PhaseTold, Rest
from portal.language import Language
from pricing.model import AttemptMoney, JobMoney
from pricing.units import yen_text
from scheduler.core.explain import Sentence
from scheduler.core.model import JobKind
from scheduler.core.reasons import WOULD
from scheduler.views import (
    ArrayView,
    AttemptView,
    DependencyView,
    ForecastView,
    JobView,
    RemedyView,
    StoryLine,
    WaitingView,
)

PhaseName = Annotated[str, Field(description="Of a hybrid job; 'main' of all others.")]


class ArrayOut(Out):
    """Which task of which array a job is: N_k is task `index` k of array `number` N, of so many `tasks`."""

    number: int
    index: int
    tasks: int


class DependencyOut(Out):
    """What a job waits for. `job`: its number, or its id where it has none."""

    kind: str
    job: str
    job_id: UUID
    state: str


class ForecastOut(Out):
    """When a waiting job is expected to start. null: not within the time that is foreseen."""

    as_of: datetime
    position: Annotated[int, Field(description="Rank of starting on its backend; 1 is next.")]
    p50_at: Annotated[datetime | None, Field(description="As likely before as after.")]
    p90_at: Annotated[datetime | None, Field(description="Before this in nine of ten cases.")]
    ahead: Annotated[
        dict[str, int],
        Field(description="How many start before it, by cause: own, due, below_share, fits."),
    ]


class JobOut(Out):
    """`state` is that of the newest attempt. `charge_yen`: null until it is final."""

    id: UUID
    number: Annotated[int | None, Field(description="1, 2, … within the organisation; null for very old jobs.")]
    name: str
    kind: str
    state: str
    offering: str
    backend: str
    project: str
    service_class: str
    gpus: int
    cpus: int
    memory_mb: int
    nodes: int
    shots: int
    walltime_s: int
    max_attempts: int
    max_timeouts: int
    begin_at: datetime | None
    array: ArrayOut | None
    phase: Annotated[str | None, Field(description="Of a hybrid job: the phase that it has come to.")]
    person_id: Annotated[UUID, Field(description="Who submitted it.")]
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    cancel_requested_at: datetime | None
    attempt_count: int
    waiting_reason: Annotated[str | None, Field(description="The machine word of why it waits, while it does.")]
    forecast: Annotated[ForecastOut | None, Field(description="While it waits for its turn.")]
    quote_yen: Yen | None
    held_yen: Annotated[str | None, Field(description="Still set aside for it.")]
    charge_yen: Yen | None


class AttemptOut(Out):
    """One try. `ending`: what its end means for money; preempted and lost ones cost nothing."""

    id: UUID
    ordinal: Annotated[int, Field(description="1, 2, … over all phases of the job.")]
    phase: PhaseName
    backend: str
    state: str
    queued_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    ending: str | None
    usage: Annotated[dict[str, str], Field(description="What was rated of it so far, by component; decimal strings.")]
    charge_yen: Annotated[str | None, Field(description="Without tax; null until it is final.")]


class StoryOut(Out):
    at: datetime
    attempt: int
    phase: PhaseName
    kind: str
    state: str
    facts: dict[str, Any]
    sentence: str
    decision: Annotated[
        dict[str, Any] | None,
        Field(description="Of a start, and of having to make room: why just then, the `rule` and its figures."),
    ]


class RemedyOut(Out):
    """What would change that a job waits: a machine word with facts, and a sentence."""

    code: str
    facts: dict[str, Any]
    sentence: str


class WaitingOut(Out):
    reason: str
    facts: dict[str, Any]
    sentence: str
    forecast: Annotated[str | None, Field(description="When it should start, and who is ahead and why.")] = None
    remedies: Annotated[
        list[RemedyOut],
        Field(default_factory=list, description="What would change that it waits, the quickest first; of one job."),
    ]


class InputOut(Out):
    """A file that the job reads, in the version that it had at submission."""

    name: str
    key: str
    size_bytes: int
    checksum: str


class OutputOut(Out):
    """A file that an attempt left. `key`: where it is kept; `problem`: why it is not."""

    attempt: int
    name: str
    size_bytes: int
    key: str | None
    checksum: str | None
    problem: str | None


class PhaseOut(Out):
    """A phase of a hybrid job. `state`: of its newest attempt; null: it has not come to it, or never will."""

    ordinal: int
    name: str
    kind: str
    offering: str
    backend: str
    gpus: int
    shots: int
    walltime_s: int
    takes: list[str]
    program_from: str | None
    skippable: bool
    state: str | None
    attempts: Annotated[int, Field(description="How often it was tried.")]
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    quote_yen: Yen
    charge_yen: Annotated[str | None, Field(description="Without tax; null until it is final.")]
    usage: dict[str, str]


class RestOut(Out):
    """Of a hybrid job that ended before its last phase: which one ended it, and what the others would have cost."""

    phase: str
    attempts: int
    phases: Annotated[int, Field(description="How many did not run.")]
    quote_yen: Yen
    sentence: str


class JobDetail(JobOut):
    """A job with its attempts and everything that happened to it, oldest first. `phases`: of a hybrid job."""

    data_location: Annotated[str | None, Field(description="'jp': nothing of it leaves Japan.")]
    candidates: Annotated[
        list[CandidateOut],
        Field(description="Of a job that may run on several, the cheapest first."),
    ]
    phases: list[PhaseOut]
    rest: RestOut | None
    qpu: Annotated[QpuCallsOut | None, Field(description="Of a job that may call a QPU while it runs.")]
    dependencies: list[DependencyOut]
    attempts: list[AttemptOut]
    story: list[StoryOut]
    waiting: WaitingOut | None
    inputs: list[InputOut]
    outputs: list[OutputOut]
    usage: Annotated[
        dict[str, str], Field(description="What was rated so far, by component: gpu_s, qpu_s, shot; decimal strings.")
    ]


class JobPage(Out):
    items: list[JobOut]
    next_cursor: str | None


def job_facts(job: JobView, money: JobMoney | None) -> dict[str, Any]:
    """The fields of JobOut."""
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.kind.value,
        "state": job.state.value,
        "offering": job.offering_id,
        "backend": job.backend,
        "project": job.project,
        "service_class": job.service_class.value,
        "number": job.number,
        "gpus": job.gpus,
        "cpus": job.cpus,
        "memory_mb": job.memory_mb,
        "nodes": job.nodes,
        "shots": job.shots,
        "walltime_s": job.walltime_s,
        "max_attempts": job.max_attempts,
        "max_timeouts": job.max_timeouts,
        "begin_at": job.begin_at,
        "array": array_out(job.array),
        "phase": job.phase if job.kind is JobKind.HYBRID else None,
        "person_id": job.person_id,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "exit_code": job.exit_code,
        "reason": job.reason,
        "cancel_requested_at": job.cancel_requested_at,
        "attempt_count": job.attempt_count,
        "waiting_reason": None if job.waiting is None else job.waiting.reason.value,
        "forecast": None if job.waiting is None else forecast_out(job.waiting.forecast),
        "quote_yen": None if money is None else yen_text(money.ceiling_micro_yen),
        "held_yen": None if money is None else yen_text(money.held_micro_yen),
        "charge_yen": yen_text(money.charged_micro_yen) if money is not None and money.settled else None,
    }


def forecast_out(forecast: ForecastView | None) -> ForecastOut | None:
    """Without its sentences."""
    if forecast is None:
        return None
    return ForecastOut(
        as_of=forecast.as_of,
        position=forecast.position,
        p50_at=forecast.p50_at,
        p90_at=forecast.p90_at,
        ahead=dict(forecast.ahead),
    )


def array_out(array: ArrayView | None) -> ArrayOut | None:
    """Which task of an array it is."""
    return None if array is None else ArrayOut(number=array.number, index=array.index, tasks=array.tasks)


def dependency_out(dependency: DependencyView) -> DependencyOut:
    """What it waits for."""
    return DependencyOut(
        kind=dependency.kind.value,
        job=str(dependency.number or dependency.job_id),
        job_id=dependency.job_id,
        state=dependency.state.value,
    )


def attempt_out(attempt: AttemptView, money: AttemptMoney | None) -> AttemptOut:
    """An attempt without what only the machine knows."""
    usage = {} if money is None else {name: number_text(quantity) for name, quantity in money.usage.items()}
    return AttemptOut(
        id=attempt.id,
        ordinal=attempt.ordinal,
        phase=attempt.phase,
        backend=attempt.backend,
        state=attempt.state.value,
        queued_at=attempt.queued_at,
        dispatched_at=attempt.dispatched_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        exit_code=attempt.exit_code,
        reason=attempt.reason,
        ending=None if money is None or money.ending is None else money.ending.value,
        usage=usage,
        charge_yen=yen_text(money.charged_micro_yen) if money is not None and money.settled else None,
    )


def story_out(story: Sequence[StoryLine], language: Language) -> list[StoryOut]:
    """A story in the reader's language."""
    return [
        StoryOut(
            at=line.at,
            attempt=line.attempt,
            phase=line.phase,
            kind=line.kind,
            state=line.state.value,
            facts=dict(line.facts),
            sentence=in_language(line.sentence, language),
            decision=None if line.decision is None else dict(line.decision),
        )
        for line in story
    ]


def phase_out(told: PhaseTold) -> PhaseOut:
    """A phase with its money."""
    view = told.view
    return PhaseOut(
        ordinal=view.ordinal,
        name=view.name,
        kind=view.kind.value,
        offering=view.offering_id,
        backend=view.backend,
        gpus=view.gpus,
        shots=view.shots,
        walltime_s=view.walltime_s,
        takes=list(view.takes),
        program_from=view.body_from,
        skippable=view.skippable,
        state=None if view.state is None else view.state.value,
        attempts=len(view.attempts),
        started_at=view.started_at,
        ended_at=view.ended_at,
        exit_code=view.exit_code,
        reason=view.reason,
        quote_yen=yen_text(told.ceiling_micro_yen),
        charge_yen=yen_text(told.charged_micro_yen) if told.settled else None,
        usage={name: number_text(quantity) for name, quantity in told.usage.items()},
    )


def rest_out(rest: Rest | None, language: Language) -> RestOut | None:
    """What did not run, in the reader's language."""
    if rest is None:
        return None
    return RestOut(
        phase=rest.phase,
        attempts=rest.attempts,
        phases=rest.phases,
        quote_yen=yen_text(rest.ceiling_micro_yen),
        sentence=in_language(rest.sentence, language),
    )


def waiting_out(
    waiting: WaitingView | None, language: Language, remedies: Sequence[RemedyView] = ()
) -> WaitingOut | None:
    """Why a job waits and what would change it, in the reader's language."""
    if waiting is None:
        return None
    return WaitingOut(
        reason=waiting.reason.value,
        facts=_told(waiting.facts),
        sentence=in_language(waiting.sentence, language),
        forecast=_foretold(waiting.forecast, language),
        remedies=[
            RemedyOut(code=each.code, facts=dict(each.facts), sentence=in_language(each.sentence, language))
            for each in remedies
        ],
    )


def _told(facts: Mapping[str, object]) -> dict[str, object]:
    """Without the machines on which it would start now: some are not its tenant's to buy, or stand where its data may
    not go. Remedies name those that it may go to.
    """
    would = facts.get(WOULD)
    if not isinstance(would, Mapping):
        return dict(facts)
    rest = {name: value for name, value in would.items() if name != "backends"}
    others = {name: value for name, value in facts.items() if name != WOULD}
    return others | ({WOULD: rest} if rest else {})


def _foretold(forecast: ForecastView | None, language: Language) -> str | None:
    if forecast is None:
        return None
    parts = [in_language(each, language) for each in (forecast.sentence, forecast.ahead_sentence)]
    return ("。" if language is Language.JA else ". ").join(parts)


def in_language(sentence: Sentence, language: Language) -> str:
    """A sentence of the scheduler in the reader's language."""
    return sentence.ja if language is Language.JA else sentence.en
