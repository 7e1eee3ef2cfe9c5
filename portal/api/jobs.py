"""Jobs: estimate, submit, list, detail, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from hpc_adapters.contract import Capabilities
from infra.db.connection import Conn
from portal.api.callrecord import attempts_in, qpu_out
from portal.api.candidates import candidate_out
from portal.api.expected import expected
from portal.api.jobrecord import (
    InputOut,
    JobDetail,
    JobOut,
    JobPage,
    OutputOut,
    attempt_out,
    dependency_out,
    job_facts,
    phase_out,
    rest_out,
    story_out,
    waiting_out,
)
from portal.api.jobref import ReadJob, WrittenJob
from portal.api.jobspec import JobSpec
from portal.api.terms import ForeignPriceOut, RuleOut, foreign_in, rules_of, rules_out
from portal.api.wire import Count, Out, Yen, YenWithTax, number_text
from portal.auth.caller import Caller, JobsReader, JobsWriter
from portal.auth.idempotency import IdempotencyKey
from portal.data import service as data
from portal.jobphases import phases_of
from pricing import service as pricing
from pricing.model import Component, PriceVersion, Quote, QuoteCandidate, QuotePhase
from pricing.units import amount_down, micro, yen_text
from scheduler import service as scheduler
from scheduler.core.model import MAIN, State

router = APIRouter(tags=["jobs"])
_PAGE = 50
_RANGE = ("low_us", "expected_us", "high_us", "cap_us")
_ArrayNumber = Annotated[int, Query(ge=0, le=2**63 - 1, description="Only the tasks of this array.")]


class EstimateLine(Out):
    """The most of a component, what it costs at our price, and that price's own currency where it has one."""

    component: str
    quantity: str
    amount_yen: Yen
    foreign: ForeignPriceOut | None


class QpuOut(Out):
    """QPU time in microseconds, and what it all costs: at least, probably, at most; `cap_us`: where the device stops.

    'durations': of the program's gates on the device; 'model': the device's own; 'offering': the model that is sold.
    """

    source: str
    low_us: int
    expected_us: int
    high_us: int
    cap_us: int
    low_yen: Yen
    expected_yen: Yen
    high_yen: Yen
    calibration_id: str | None


class EstimatePhase(Out):
    """The part of an estimate that is for one phase of a hybrid job, or for a job's calls, at its own offering's price.

    `reserved`: the machine is kept for it from the job's start; else what it asks for queues when it comes to it.
    """

    phase: str
    offering: str
    price_version_id: UUID
    ceiling_yen: Yen
    expected_yen: Yen
    reserved: bool


class EstimateCandidate(Out):
    """One of the offerings on which a job may run, and what it would cost there, without tax."""

    offering: str
    price_version_id: UUID
    ceiling_yen: Yen
    expected_yen: Yen


class EstimateOut(Out):
    """`ceiling_yen` is never exceeded. `admissible`: the wallet covers it at this moment. An array: all its tasks."""

    offering: str
    jobs: Annotated[int, Field(description="How many jobs it would be: the tasks of an array, else 1.")]
    price_version_id: UUID
    ceiling_yen: Yen
    ceiling_with_tax_yen: YenWithTax
    expected_yen: Yen
    low_yen: Yen
    qpu: QpuOut | None
    lines: list[EstimateLine]
    phases: Annotated[
        list[EstimatePhase], Field(description="Of a hybrid job, or of one that calls a QPU; the ceiling is their sum.")
    ]
    candidates: Annotated[
        list[EstimateCandidate],
        Field(description="Of a job that may run on several, the cheapest first; the ceiling is the dearest's."),
    ]
    left_out: Annotated[dict[str, str], Field(description="Offerings that cannot take it, and why: a refusal's code.")]
    needed_yen: Annotated[str, Field(description="What would be held: grants without tax, the rest with it.")]
    available_yen: Annotated[str, Field(description="What the wallet could hold now, counted in the same way.")]
    admissible: bool
    rules: list[RuleOut]


@router.post("/estimates")
async def estimate(caller: JobsWriter, spec: JobSpec) -> EstimateOut:
    """What a job would cost at most and probably, and whether the wallet covers it. Keeps nothing.

    Of a circuit its device is asked what it needs; where it does not answer in time, the offering's model is quoted.
    """
    request = spec.submission()
    services = await expected(caller, request, binding=False)
    async with caller.transaction() as conn:
        estimated = await scheduler.estimate(
            conn,
            principal=caller.principal,
            request=request,
            capabilities=_capabilities(caller),
            ids=(caller.new_id(), caller.new_id()),
            now=caller.now,
            services=services,
        )
        quote, jobs = estimated.quote, estimated.jobs
        admission = await pricing.admission(conn, quote=quote, now=caller.now, jobs=jobs)
        ids = dict.fromkeys((quote.price_version_id, *quote.price_versions.values()))
        versions = [await pricing.price_version(conn, each) for each in ids]
    return EstimateOut(
        offering=quote.offering_id,
        jobs=jobs,
        price_version_id=quote.price_version_id,
        ceiling_yen=yen_text(jobs * quote.ceiling_micro_yen),
        ceiling_with_tax_yen=yen_text(jobs * quote.ceiling_with_tax_micro_yen),
        expected_yen=yen_text(jobs * quote.expected_micro_yen),
        low_yen=yen_text(jobs * (quote.expected_micro_yen if quote.low_micro_yen is None else quote.low_micro_yen)),
        qpu=_qpu_out(quote, versions[0]),
        lines=[
            EstimateLine(
                component=line.component.value,
                quantity=number_text(jobs * line.quantity),
                amount_yen=yen_text(jobs * line.amount_micro_yen),
                foreign=foreign_in(versions, line.component),
            )
            for line in quote.lines
        ],
        phases=[_estimate_phase(each) for each in quote.phases],
        candidates=[_estimate_candidate(each, jobs) for each in quote.candidates],
        left_out=dict(estimated.left_out),
        needed_yen=yen_text(admission.needed_micro_yen),
        available_yen=yen_text(admission.available_micro_yen),
        admissible=admission.admissible,
        rules=rules_out(rules_of(*versions), caller.language),
    )


def _qpu_out(quote: Quote, version: PriceVersion) -> QpuOut | None:
    """Of one circuit. What its source does not tell is not there."""
    basis = quote.basis
    if not basis:
        return None
    times = {name: int(str(basis[name])) for name in _RANGE}
    known = basis.get("calibration_id")
    over = times["cap_us"] - times["high_us"]
    return QpuOut(
        source=str(basis["source"]),
        **times,
        low_yen=yen_text(quote.low_micro_yen or 0),
        expected_yen=yen_text(quote.expected_micro_yen),
        high_yen=yen_text(quote.ceiling_micro_yen - _worth(over, version)),
        calibration_id=None if known is None else str(known),
    )


def _worth(qpu_us: int, version: PriceVersion) -> int:
    """Of QPU time, rounded down."""
    price = version.component(Component.QPU_S)
    if price is None:
        return 0
    return amount_down(qpu_us, price_micro_yen=price.price_micro_yen, per_micro=micro(price.per))


def _estimate_candidate(quoted: QuoteCandidate, jobs: int) -> EstimateCandidate:
    return EstimateCandidate(
        offering=quoted.offering_id,
        price_version_id=quoted.price_version_id,
        ceiling_yen=yen_text(jobs * quoted.ceiling_micro_yen),
        expected_yen=yen_text(jobs * quoted.expected_micro_yen),
    )


def _estimate_phase(quoted: QuotePhase) -> EstimatePhase:
    return EstimatePhase(
        phase=quoted.phase,
        offering=quoted.offering_id,
        price_version_id=quoted.price_version_id,
        ceiling_yen=yen_text(quoted.ceiling_micro_yen),
        expected_yen=yen_text(quoted.expected_micro_yen),
        reserved=quoted.phase == MAIN,  # calls and phases to come have no slot of their device
    )


@router.post("/jobs", status_code=HTTPStatus.CREATED)
async def submit_job(caller: JobsWriter, spec: JobSpec, key: IdempotencyKey, response: Response) -> JobOut:
    """Submits a job: quoted, admitted and queued in one transaction. 200 when the same request came before.

    A circuit that its device, where that is no simulator, would not run is refused; POST /estimates tells it of any.

    An array is all of its tasks or none; the answer is the first one's record.
    """
    request = spec.submission()
    services = await expected(caller, request, binding=True)
    async with caller.transaction() as conn:
        job, created = await scheduler.submit(
            conn,
            principal=caller.principal,
            request=request,
            idempotency_key=key,
            job_id=caller.new_id(),
            attempt_id=caller.new_id(),
            quote_id=caller.new_id(),
            now=caller.now,
            capabilities=_capabilities(caller),
            freeze=None if caller.deps.data is None else data.freeze,
            services=services,
        )
        money = await pricing.charges_by_job(conn, [job.id])
    response.status_code = HTTPStatus.CREATED if created else HTTPStatus.OK
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return JobOut(**job_facts(job, money.get(job.id)))


def _capabilities(caller: Caller) -> Mapping[str, Capabilities]:
    return {name: backend.capabilities() for name, backend in caller.deps.backends.items()}


@router.get("/jobs")
async def list_jobs(
    caller: JobsReader,
    state: Annotated[State | None, Query()] = None,
    array: _ArrayNumber | None = None,
    limit: Annotated[Count, Query(description="At most 200.")] = _PAGE,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")] = None,
) -> JobPage:
    """The organisation's jobs, newest first."""
    async with caller.transaction() as conn:
        page = await scheduler.jobs(
            conn, organisation_id=caller.organisation_id, state=state, array=array, limit=limit, cursor=cursor
        )
        money = await pricing.charges_by_job(conn, [job.id for job in page.items])
    return JobPage(
        items=[JobOut(**job_facts(job, money.get(job.id))) for job in page.items], next_cursor=page.next_cursor
    )


@router.get("/jobs/{job_id}")  # noqa: FAST003  ReadJob has it
async def get_job(caller: JobsReader, job: ReadJob) -> JobDetail:
    """One job with its story. Another organisation's job is answered like one that does not exist."""
    async with caller.transaction() as conn:
        return await job_detail(conn, caller, job)


@router.post("/jobs/{job_id}/cancel", status_code=HTTPStatus.ACCEPTED)  # noqa: FAST003  WrittenJob has it
async def cancel_job(caller: JobsWriter, job: WrittenJob) -> JobOut:
    """Asks that the job end. It is charged until the machine confirms the end; again is harmless."""
    async with caller.transaction() as conn:
        cancelled = await scheduler.request_cancel(conn, principal=caller.principal, job_id=job, now=caller.now)
        money = await pricing.charges_by_job(conn, [job])
    return JobOut(**job_facts(cancelled, money.get(job)))


@router.post("/arrays/{number}/cancel", status_code=HTTPStatus.ACCEPTED)
async def cancel_array(caller: JobsWriter, number: Annotated[int, Path(ge=0, le=2**63 - 1)]) -> JobOut:
    """Asks that all tasks of an array end, in one go. Answers with the first one's record."""
    async with caller.transaction() as conn:
        first = await scheduler.request_cancel_array(conn, principal=caller.principal, number=number, now=caller.now)
        money = await pricing.charges_by_job(conn, [first.id])
    return JobOut(**job_facts(first, money.get(first.id)))


async def job_detail(conn: Conn, caller: Caller, job_id: UUID) -> JobDetail:
    """All that there is to tell about a job. JobNotFound."""
    job = await scheduler.job(conn, job_id)
    attempts = await scheduler.attempts(conn, job_id)
    dependencies = await scheduler.dependencies(conn, job_id)
    story = await scheduler.story(conn, job_id)
    money = await pricing.charges_by_job(conn, [job_id])
    usage = await pricing.usage_by_job(conn, [job_id])
    qpu = await scheduler.qpu(conn, job_id)
    shown = [each.id for each in attempts] + attempts_in(qpu.calls if qpu else ())
    by_attempt = await pricing.charges_by_attempt(conn, shown)
    phases = await phases_of(conn, job_id, by_attempt)
    return JobDetail(
        **job_facts(job, money.get(job_id)),
        data_location=job.data_location,
        candidates=[candidate_out(each, job.offering_id) for each in await scheduler.candidates(conn, job_id)],
        phases=[phase_out(each) for each in phases.rows],
        rest=rest_out(phases.rest, caller.language),
        qpu=qpu_out(qpu, by_attempt, caller.language),
        dependencies=[dependency_out(each) for each in dependencies],
        attempts=[attempt_out(each, by_attempt.get(each.id)) for each in attempts],
        story=story_out(story, caller.language),
        waiting=waiting_out(job.waiting, caller.language, await scheduler.what_would_help(conn, job, now=caller.now)),
        usage={name: number_text(quantity) for name, quantity in usage.get(job_id, {}).items()},
        inputs=[InputOut(**asdict(each)) for each in await scheduler.inputs(conn, job_id)],
        outputs=[OutputOut(**asdict(each)) for each in await scheduler.outputs(conn, job_id)],
    )
