"""What others are told of the QPU that a running job may call, and of its calls: thousands, so page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from infra.db.connection import Conn
from scheduler.cursor import word_cursor_of, word_position_of
from scheduler.errors import BadCursor, BadLimit
from scheduler.service.reading import MAX_PAGE, job
from scheduler.store import callpages as store
from scheduler.views import CallPage, CallView, QpuView

SHOWN = 50
"""Of a job's calls, with the job."""
_MOST_DIGITS = 9  # of a call's number


async def qpu(conn: Conn, job_id: UUID, *, cursor: str | None = None) -> QpuView | None:
    """What a job may call, with its newest calls, or those before a cursor; None: no QPU. BadCursor."""
    told = await store.qpu(conn, job_id)
    if told is None:
        return None
    page = await _page(conn, job_id, limit=SHOWN, cursor=cursor)
    return replace(told, calls=page.items, next_cursor=page.next_cursor)


async def calls(conn: Conn, job_id: UUID, *, limit: int = SHOWN, cursor: str | None = None) -> CallPage:
    """A page of its calls, newest first; none of a job that may call none. JobNotFound, BadCursor, BadLimit."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadLimit(requested=limit, limit=MAX_PAGE)
    await job(conn, job_id)
    return await _page(conn, job_id, limit=limit, cursor=cursor)


async def _page(conn: Conn, job_id: UUID, *, limit: int, cursor: str | None) -> CallPage:
    before = None if cursor is None else _number_in(cursor)
    found = await store.page(conn, job_id, before=before, limit=limit + 1)
    return CallPage(items=found[:limit], next_cursor=_cursor_after(found, limit))


def _cursor_after(found: Sequence[CallView], limit: int) -> str | None:
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return word_cursor_of(last.recorded_at, str(last.number))


def _number_in(cursor: str) -> int:
    _, word = word_position_of(cursor)
    if not (word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS):
        raise BadCursor
    return int(word)
