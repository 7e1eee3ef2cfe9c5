"""The calls of a running job to its QPU, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from portal.api.callrecord import CallPageOut, attempts_in, calls_out
from portal.api.jobref import ReadJob
from portal.api.wire import Count
from portal.auth.caller import JobsReader
from pricing import service as pricing
from scheduler import service as scheduler

router = APIRouter(tags=["jobs"])
_PAGE = 50


@router.get("/jobs/{job_id}/calls")  # noqa: FAST003  ReadJob has it
async def list_calls(
    caller: JobsReader,
    job: ReadJob,
    limit: Annotated[Count, Query(description="At most 200.")] = _PAGE,
    cursor: Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")] = None,
) -> CallPageOut:
    """The calls that a job has made to its QPU, newest first, each with its charge. None of a job that has no QPU."""
    async with caller.transaction() as conn:
        page = await scheduler.calls(conn, job, limit=limit, cursor=cursor)
        money = await pricing.charges_by_attempt(conn, attempts_in(page.items))
    return CallPageOut(items=calls_out(page.items, money, caller.language), next_cursor=page.next_cursor)
