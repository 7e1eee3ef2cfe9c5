"""Jobs as their owners see them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from infra.db.connection import Conn
from scheduler.core.model import State
from scheduler.cursor import cursor_of, position_of
from scheduler.errors import BadLimit, JobNotFound
from scheduler.store import reads
from scheduler.views import AttemptView, DependencyView, JobView, Page, StoryLine

MAX_PAGE = 200
_NUMBER = re.compile(r"(?P<number>[0-9]{1,18})(_(?P<index>[0-9]{1,9}))?", re.ASCII)
_SHORTEST_ID = 32
_LARGEST_NUMBER = 2**63 - 1


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
    array: int | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """A page, newest first. organisation_id None: all that the role may see. array: only the tasks of that one.

    BadCursor, BadLimit.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise BadLimit(requested=limit, limit=MAX_PAGE)
    before = None if cursor is None else position_of(cursor)
    found = await reads.jobs(
        conn, organisation_id=organisation_id, state=state, array=array, before=before, limit=limit + 1
    )
    items = found[:limit]
    more = cursor_of(items[-1].submitted_at, items[-1].id) if len(found) > limit else None
    return Page(items=items, next_cursor=more)


async def job_id_of(conn: Conn, *, organisation_id: UUID | None, name: str) -> UUID:
    """The job that somebody means by its id, its number, or N_k for task k of array N. JobNotFound.

    An id is not looked up here. Numbers are an organisation's own: without one nothing has a number.
    """
    identity = _as_id(name)
    if identity is not None:
        return identity
    found = None if organisation_id is None else await _numbered(conn, organisation_id, name)
    if found is None:
        raise JobNotFound
    return found


async def _numbered(conn: Conn, organisation_id: UUID, name: str) -> UUID | None:
    parts = _NUMBER.fullmatch(name)
    if parts is None:
        return None
    number, index = int(parts["number"]), parts["index"]
    if index is None:
        return await reads.id_of_number(conn, organisation_id=organisation_id, number=number)
    return await reads.id_of_task(conn, organisation_id=organisation_id, number=number, index=int(index))


async def job_ids_of(conn: Conn, *, organisation_id: UUID, name: str) -> Sequence[UUID]:
    """All jobs that a name means, and that are the organisation's: the number of an array means all its tasks."""
    if name.isascii() and name.isdigit() and len(name) < _SHORTEST_ID:
        number = int(name)
        if number > _LARGEST_NUMBER:
            return []
        tasks = await reads.tasks_of(conn, organisation_id=organisation_id, number=number)
        one = await reads.id_of_number(conn, organisation_id=organisation_id, number=number)
        return tasks or ([] if one is None else [one])
    try:
        one = await job_id_of(conn, organisation_id=organisation_id, name=name)
        found = await reads.job(conn, one)
    except JobNotFound:
        return []
    return [one] if found is not None and found.organisation_id == organisation_id else []


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name) if len(name) >= _SHORTEST_ID else None
    except ValueError:
        return None


async def dependencies(conn: Conn, job_id: UUID) -> Sequence[DependencyView]:
    """What a job waits for, or has waited for. JobNotFound."""
    await job(conn, job_id)
    return await reads.dependencies(conn, job_id)


async def attempts(conn: Conn, job_id: UUID) -> Sequence[AttemptView]:
    """Oldest first. JobNotFound."""
    await job(conn, job_id)
    return await reads.attempts(conn, job_id)


async def native_ids(conn: Conn, attempt_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Under which ids their machines have these attempts, of those that were accepted somewhere."""
    return await reads.native_ids(conn, attempt_ids)


async def story(conn: Conn, job_id: UUID) -> Sequence[StoryLine]:
    """Everything that happened to a job, in order, with sentences. JobNotFound."""
    await job(conn, job_id)
    return await reads.story(conn, job_id)


async def result(conn: Conn, job_id: UUID) -> bytes | None:
    """The JSON that the job left; None: none, or not yet. JobNotFound."""
    await job(conn, job_id)
    return await reads.result(conn, job_id)
