"""A startup's jobs: the list, one job as it lives, and its cancel button."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from hpc_adapters.contract import Stream
from infra.refusal import Refusal
from portal.api.callrecord import attempts_in, qpu_out
from portal.api.output import parsed
from portal.errors import NoResult
from portal.joblogs import LogSource, Piece, log_events, read_log
from portal.jobphases import phases_of
from portal.jobstates import state_events
from portal.pages.histogram import Histogram, histogram
from portal.pages.visitor import JobsForm, JobsVisitor, Visitor
from portal.refusals import Said, say
from pricing import service as pricing
from scheduler import service as scheduler
from scheduler.core.model import State

router = APIRouter(prefix="/{language}/jobs")
_PAGE = 25
_FIRST_CHUNKS = 4


@router.get("")
async def show_jobs(
    visitor: JobsVisitor,
    state: Annotated[State | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> HTMLResponse:
    """The organisation's jobs, newest first."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        found = await scheduler.jobs(
            conn, organisation_id=caller.organisation_id, state=state, limit=_PAGE, cursor=cursor
        )
        money = await pricing.charges_by_job(conn, [job.id for job in found.items])
    return visitor.show(
        "jobs.html", jobs=found.items, money=money, next_cursor=found.next_cursor, state=state, states=list(State)
    )


@router.get("/{job_id}")
async def show_job(
    visitor: JobsVisitor, job_id: UUID, calls: Annotated[str | None, Query(max_length=500)] = None
) -> HTMLResponse:
    """One job: where it stands, why, what it costs, what it prints and what came out. calls: cursor of its calls."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        job = await scheduler.job(conn, job_id)
        remedies = await scheduler.what_would_help(conn, job, now=caller.now)
        story = await scheduler.story(conn, job_id)
        money = (await pricing.charges_by_job(conn, [job_id])).get(job_id)
        dependencies = await scheduler.dependencies(conn, job_id)
        attempts = await scheduler.attempts(conn, job_id)
        qpu = await scheduler.qpu(conn, job_id, cursor=calls)
        shown = [each.id for each in attempts] + attempts_in(qpu.calls if qpu else ())
        by_attempt = await pricing.charges_by_attempt(conn, shown)
        left = await scheduler.result(conn, job_id)
        phases = await phases_of(conn, job_id, by_attempt)
        candidates = await scheduler.candidates(conn, job_id)
    result = _result(left)
    return visitor.show(
        "job.html",
        job=job,
        remedies=remedies,
        story=story,
        money=money,
        dependencies=dependencies,
        attempts=attempts,
        by_attempt=by_attempt,
        phases=phases,
        candidates=candidates,
        qpu=qpu_out(qpu, by_attempt, caller.language),
        result=result,
        counts=_counts(result),
        stdout=await _log(visitor, job_id, Stream.STDOUT),
        stderr=await _log(visitor, job_id, Stream.STDERR),
    )


@router.post("/{job_id}/cancel")
async def cancel_job(visitor: JobsForm, job_id: UUID) -> Response:
    """Wishes the job to end, and shows it again."""
    caller = visitor.caller
    async with caller.transaction() as conn:
        await scheduler.request_cancel(conn, principal=caller.principal, job_id=job_id, now=caller.now)
    return RedirectResponse(f"/{caller.language.value}/jobs/{job_id}", HTTPStatus.SEE_OTHER)


async def _source(visitor: JobsVisitor, job_id: UUID, offset: Annotated[int, Query(ge=0, le=2**62)] = 0) -> LogSource:
    visitor.caller.deps.streams.require_room()
    return await LogSource.of(visitor.caller, job_id=job_id, stream=Stream.STDOUT, offset=offset)


@router.get("/{job_id}/log", response_class=EventSourceResponse)
async def follow_log(source: Annotated[LogSource, Depends(_source)]) -> AsyncIterator[ServerSentEvent]:
    """The log as it grows, for the page."""
    with source.caller.deps.streams.one():
        async for name, data in log_events(source):
            yield ServerSentEvent(event=name, data=data, id=str(data["next_offset"]))


@router.get("/{job_id}/state", response_class=EventSourceResponse)
async def follow_state(job_id: UUID, source: Annotated[LogSource, Depends(_source)]) -> AsyncIterator[ServerSentEvent]:
    """The state as it changes, for the page."""
    with source.caller.deps.streams.one():
        async for name, data in state_events(source.caller, job_id):
            yield ServerSentEvent(event=name, data=data)


async def _log(visitor: Visitor, job_id: UUID, stream: Stream) -> Piece | Said:
    """The log's beginning, or in words why it cannot be read now."""
    text, piece = "", Piece(text="", next_offset=0, ended=False)
    try:
        source = await LogSource.of(visitor.caller, job_id=job_id, stream=stream, offset=0)
        for _ in range(_FIRST_CHUNKS):
            piece = await read_log(source)
            text += piece.text
            if piece.ended or not piece.text:
                break
            source = await source.again(piece.next_offset)
    except Refusal as refused:
        return say(refused, visitor.caller.language)
    return Piece(text=text, next_offset=piece.next_offset, ended=piece.ended, truncated=piece.truncated)


def _result(left: bytes | None) -> Any:
    try:
        return None if left is None else parsed(left)
    except NoResult:
        return None


def _counts(result: Any) -> Histogram | None:
    told = result.get("counts") if isinstance(result, Mapping) else None
    return histogram(told) if isinstance(told, Mapping) else None
