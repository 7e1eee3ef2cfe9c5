"""Jobs: estimate, submit, list, detail, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from accounts import service as accounts
from infra.db.connection import Conn
from portal.api.wire import Count, In, Out, Word, Yen, YenWithTax, number_text
from portal.auth.caller import Caller, JobsReader, JobsWriter
from portal.auth.idempotency import IdempotencyKey
from portal.language import Language
from pricing import service as pricing
from pricing.model import JobMoney, JobSize, ServiceClass
from pricing.units import yen_text
from scheduler import service as scheduler
from scheduler.core.explain import Sentence
from scheduler.core.model import JobKind, State
from scheduler.submission import Submission, checked
from scheduler.views import AttemptView, JobView, StoryLine, WaitingView

router = APIRouter(tags=["jobs"])
_PAGE = 50


class JobSpec(In):
    """What to run. `script` for batch and training, `program` (OpenQASM 3) for quantum; both are text."""

    name: Annotated[str, Field(max_length=1000, examples=["digits"])]
    kind: JobKind
    offering: Annotated[Word, Field(examples=["gpu-demo"])]
    project: Word = "default"
    service_class: ServiceClass = ServiceClass.STANDARD
    gpus: Count = 0
    walltime_s: Annotated[Count, Field(examples=[600])]
    shots: Count = 0
    script: Annotated[str | None, Field(examples=["#!/bin/sh\necho hello\n"])] = None
    program: str | None = None
    arguments: list[str] = Field(default_factory=list)
    environment: dict[str, str] = Field(default_factory=dict)
    max_attempts: Count = 1

    def submission(self) -> Submission:
        """As the scheduler is asked."""
        text = self.program if self.kind is JobKind.QUANTUM else self.script
        return Submission(
            name=self.name,
            kind=self.kind,
            offering_id=self.offering,
            body=(text or "").encode("utf-8", "surrogatepass"),
            walltime_s=self.walltime_s,
            gpus=self.gpus,
            shots=self.shots,
            project=self.project,
            service_class=self.service_class,
            arguments=tuple(self.arguments),
            environment=dict(self.environment),
            max_attempts=self.max_attempts,
        )


class EstimateLine(Out):
    component: str
    quantity: str
    amount_yen: Yen


class EstimateOut(Out):
    """`ceiling_yen` is never exceeded. `admissible`: the wallet covers it at this moment."""

    offering: str
    price_version_id: UUID
    ceiling_yen: Yen
    ceiling_with_tax_yen: YenWithTax
    expected_yen: Yen
    lines: list[EstimateLine]
    needed_yen: Annotated[str, Field(description="What would be held: grants without tax, the rest with it.")]
    available_yen: Annotated[str, Field(description="What the wallet could hold now, counted in the same way.")]
    admissible: bool


class JobOut(Out):
    """`state` is that of the newest attempt. `charge_yen`: null until it is final."""

    id: UUID
    name: str
    kind: str
    state: str
    offering: str
    backend: str
    project: str
    service_class: str
    gpus: int
    shots: int
    walltime_s: int
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None
    cancel_requested_at: datetime | None
    attempt_count: int
    quote_yen: Yen | None
    held_yen: Annotated[str | None, Field(description="Still set aside for it.")]
    charge_yen: Yen | None


class AttemptOut(Out):
    id: UUID
    ordinal: int
    backend: str
    state: str
    queued_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str | None


class StoryOut(Out):
    at: datetime
    attempt: int
    kind: str
    state: str
    facts: dict[str, Any]
    sentence: str


class WaitingOut(Out):
    reason: str
    facts: dict[str, Any]
    sentence: str


class JobDetail(JobOut):
    """A job with its attempts and everything that happened to it, oldest first."""

    attempts: list[AttemptOut]
    story: list[StoryOut]
    waiting: WaitingOut | None
    usage: Annotated[
        dict[str, str], Field(description="What was rated so far, by component: gpu_s, qpu_s, shot; decimal strings.")
    ]


class JobPage(Out):
    items: list[JobOut]
    next_cursor: str | None


@router.post("/estimates")
async def estimate(caller: JobsWriter, spec: JobSpec) -> EstimateOut:
    """What a job would cost at most and probably, and whether the wallet covers it. Keeps nothing."""
    request = checked(spec.submission())
    async with caller.transaction() as conn:
        eligible = await accounts.require_eligible(conn, caller.organisation_id, now=caller.now)
        quote = await pricing.quote(
            conn,
            quote_id=caller.new_id(),
            job_id=caller.new_id(),
            organisation_id=caller.organisation_id,
            customer_class=eligible.customer_class,
            service_class=request.service_class,
            offering_id=request.offering_id,
            size=JobSize(walltime_s=request.walltime_s, gpus=request.gpus, shots=request.shots),
            now=caller.now,
        )
        admission = await pricing.admission(conn, quote=quote, now=caller.now)
    return EstimateOut(
        offering=quote.offering_id,
        price_version_id=quote.price_version_id,
        ceiling_yen=yen_text(quote.ceiling_micro_yen),
        ceiling_with_tax_yen=yen_text(quote.ceiling_with_tax_micro_yen),
        expected_yen=yen_text(quote.expected_micro_yen),
        lines=[
            EstimateLine(
                component=line.component.value,
                quantity=number_text(line.quantity),
                amount_yen=yen_text(line.amount_micro_yen),
            )
            for line in quote.lines
        ],
        needed_yen=yen_text(admission.needed_micro_yen),
        available_yen=yen_text(admission.available_micro_yen),
        admissible=admission.admissible,
    )


@router.post("/jobs", status_code=HTTPStatus.CREATED)
async def submit_job(caller: JobsWriter, spec: JobSpec, key: IdempotencyKey, response: Response) -> JobOut:
    """Submits a job: quoted, admitted and queued in one transaction. 200 when the same request came before."""
    async with caller.transaction() as conn:
        job, created = await scheduler.submit(
            conn,
            principal=caller.principal,
            request=spec.submission(),
            idempotency_key=key,
            job_id=caller.new_id(),
            attempt_id=caller.new_id(),
            quote_id=caller.new_id(),
            now=caller.now,
        )
        money = await pricing.charges_by_job(conn, [job.id])
    response.status_code = HTTPStatus.CREATED if created else HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return JobOut(**job_facts(job, money.get(job.id)))


@router.get("/jobs")
async def list_jobs(
    caller: JobsReader,
    state: Annotated[State | None, Query()] = None,
    limit: Annotated[Count, Query(description="At most 200.")] = _PAGE,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")] = None,
) -> JobPage:
    """The organisation's jobs, newest first."""
    async with caller.transaction() as conn:
        page = await scheduler.jobs(
            conn, organisation_id=caller.organisation_id, state=state, limit=limit, cursor=cursor
        )
        money = await pricing.charges_by_job(conn, [job.id for job in page.items])
    return JobPage(
        items=[JobOut(**job_facts(job, money.get(job.id))) for job in page.items], next_cursor=page.next_cursor
    )


@router.get("/jobs/{job_id}")
async def get_job(caller: JobsReader, job_id: UUID) -> JobDetail:
    """One job with its story. Another organisation's job is answered like one that does not exist."""
    async with caller.transaction() as conn:
        return await job_detail(conn, caller, job_id)


@router.post("/jobs/{job_id}/cancel", status_code=HTTPStatus.ACCEPTED)
async def cancel_job(caller: JobsWriter, job_id: UUID) -> JobOut:
    """Asks that the job end. It is charged until the machine confirms the end; again is harmless."""
    async with caller.transaction() as conn:
        await scheduler.request_cancel(conn, principal=caller.principal, job_id=job_id, now=caller.now)
        job = await scheduler.job(conn, job_id)
        money = await pricing.charges_by_job(conn, [job_id])
    return JobOut(**job_facts(job, money.get(job_id)))


async def job_detail(conn: Conn, caller: Caller, job_id: UUID) -> JobDetail:
    """All that there is to tell about a job. JobNotFound."""
    job = await scheduler.job(conn, job_id)
    attempts = await scheduler.attempts(conn, job_id)
    story = await scheduler.story(conn, job_id)
    money = await pricing.charges_by_job(conn, [job_id])
    usage = await pricing.usage_by_job(conn, [job_id])
    return JobDetail(
        **job_facts(job, money.get(job_id)),
        attempts=[attempt_out(each) for each in attempts],
        story=story_out(story, caller.language),
        waiting=waiting_out(job.waiting, caller.language),
        usage={name: number_text(quantity) for name, quantity in usage.get(job_id, {}).items()},
    )


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
        "gpus": job.gpus,
        "shots": job.shots,
        "walltime_s": job.walltime_s,
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "exit_code": job.exit_code,
        "reason": job.reason,
        "cancel_requested_at": job.cancel_requested_at,
        "attempt_count": job.attempt_count,
        "quote_yen": None if money is None else yen_text(money.ceiling_micro_yen),
        "held_yen": None if money is None else yen_text(money.held_micro_yen),
        "charge_yen": yen_text(money.charged_micro_yen) if money is not None and money.settled else None,
    }


def attempt_out(attempt: AttemptView) -> AttemptOut:
    """An attempt without what only the machine knows."""
    return AttemptOut(
        id=attempt.id,
        ordinal=attempt.ordinal,
        backend=attempt.backend,
        state=attempt.state.value,
        queued_at=attempt.queued_at,
        dispatched_at=attempt.dispatched_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        exit_code=attempt.exit_code,
        reason=attempt.reason,
    )


def story_out(story: Sequence[StoryLine], language: Language) -> list[StoryOut]:
    """A story in the reader's language."""
    return [
        StoryOut(
            at=line.at,
            attempt=line.attempt,
            kind=line.kind,
            state=line.state.value,
            facts=dict(line.facts),
            sentence=in_language(line.sentence, language),
        )
        for line in story
    ]


def waiting_out(waiting: WaitingView | None, language: Language) -> WaitingOut | None:
    """Why a job waits, in the reader's language."""
    if waiting is None:
        return None
    return WaitingOut(
        reason=waiting.reason.value, facts=dict(waiting.facts), sentence=in_language(waiting.sentence, language)
    )


def in_language(sentence: Sentence, language: Language) -> str:
    """A sentence of the scheduler in the reader's language."""
    return sentence.ja if language is Language.JA else sentence.en
