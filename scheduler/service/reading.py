"""Jobs as their owners see them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.model import State
from scheduler.cursor import cursor_of, position_of
from scheduler.errors import BadLimit, JobNotFound
from scheduler.store import reads
from scheduler.views import AttemptView, JobView, Page, StoryLine

MAX_PAGE = 200


async def job(conn: Conn, job_id: UUID) -> JobView:
    """JobNotFound: there is none, or it is another organisation's."""
    found = await reads.job(conn, job_id)
    if found is None:
        raise JobNotFound
    return found


async def jobs(
    conn: Conn,
    *,
    organisation_id: UUID | None,
    state: State | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """A page, newest first. organisation_id None: all that the role may see. BadCursor, BadLimit."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadLimit(requested=limit, limit=MAX_PAGE)
    before = None if cursor is None else position_of(cursor)
    found = await reads.jobs(conn, organisation_id=organisation_id, state=state, before=before, limit=limit + 1)
    items = found[:limit]
    more = cursor_of(items[-1].submitted_at, items[-1].id) if len(found) > limit else None
    return Page(items=items, next_cursor=more)


async def attempts(conn: Conn, job_id: UUID) -> Sequence[AttemptView]:
    """Oldest first. JobNotFound."""
    await job(conn, job_id)
    return await reads.attempts(conn, job_id)


async def story(conn: Conn, job_id: UUID) -> Sequence[StoryLine]:
    """Everything that happened to a job, in order, with sentences. JobNotFound."""
    await job(conn, job_id)
    return await reads.story(conn, job_id)


async def result(conn: Conn, job_id: UUID) -> bytes | None:
    """The JSON that the job left; None: none, or not yet. JobNotFound."""
    await job(conn, job_id)
    return await reads.result(conn, job_id)
