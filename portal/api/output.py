"""What a job leaves: its logs (whole or live), its state (live) and its result."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from hpc_adapters.contract import Stream
from portal.api.jobref import ReadJob
from portal.api.wire import Out
from portal.auth.caller import Caller, JobsReader
from portal.errors import NoResult
from portal.joblogs import LogSource, log_events, read_log
from portal.jobstates import state_events
from scheduler import service as scheduler

router = APIRouter(tags=["output"])


class LogOut(Out):
    """A piece of a stream. `offset` and `next_offset` count bytes; `ended`: nothing will follow."""

    text: str
    offset: int
    next_offset: int
    ended: bool
    truncated: bool


async def _log_source(
    caller: JobsReader,
    job: ReadJob,
    stream: Annotated[Stream, Query()] = Stream.STDOUT,
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    attempt: Annotated[int | None, Query(ge=1, le=1000, description="Which try; default: the newest.")] = None,
) -> LogSource:
    """Looked up before anything is sent, so that a refusal is an answer and not a broken stream."""
    return await LogSource.of(caller, job_id=job, stream=stream, offset=offset, ordinal=attempt)


async def _live_log_source(source: Annotated[LogSource, Depends(_log_source)]) -> LogSource:
    source.caller.deps.streams.require_room()
    return source


async def _live_job(caller: JobsReader, job: ReadJob) -> Caller:
    caller.deps.streams.require_room()
    async with caller.transaction() as conn:
        await scheduler.job(conn, job)
    return caller


@router.get("/jobs/{job_id}/logs")
async def get_logs(source: Annotated[LogSource, Depends(_log_source)]) -> LogOut:
    """A piece of what the job printed, from a byte offset on, as valid text."""
    piece = await read_log(source)
    return LogOut(
        text=piece.text,
        offset=source.offset,
        next_offset=piece.next_offset,
        ended=piece.ended,
        truncated=piece.truncated,
    )


@router.get("/jobs/{job_id}/logs/live", response_class=EventSourceResponse)
async def follow_logs(source: Annotated[LogSource, Depends(_live_log_source)]) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `log` with text and next_offset while the job prints, `end` when nothing will follow."""
    with source.caller.deps.streams.one():
        async for name, data in log_events(source):
            yield ServerSentEvent(event=name, data=data)


@router.get("/jobs/{job_id}/live", response_class=EventSourceResponse)
async def follow_job(job: ReadJob, caller: Annotated[Caller, Depends(_live_job)]) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state` at every change of state or of the reason to wait, `end` when the job has ended."""
    with caller.deps.streams.one():
        async for name, data in state_events(caller, job):
            yield ServerSentEvent(event=name, data=data)


@router.get("/jobs/{job_id}/result")  # noqa: FAST003  ReadJob has it
async def get_result(caller: JobsReader, job: ReadJob) -> Any:
    """The JSON that the job left in result.json. NoResult (404) while there is none."""
    async with caller.transaction() as conn:
        await scheduler.job(conn, job)
        body = await scheduler.result(conn, job)
    if body is None:
        raise NoResult
    return parsed(body)


def parsed(body: bytes) -> Any:
    """The JSON of a result; NoResult when a job wrote something else."""
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except ValueError:
        raise NoResult from None
