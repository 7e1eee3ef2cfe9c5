"""Puts right what a crash, a lost answer or a lying backend left behind.

1. Handed over and no answer known: asked by attempt id. Found: it is adopted. Absent: that proves something only after
   the settle window, counted from the last moment at which its request can have left us; then it waits again, as the
   same attempt, which the start gate lets start once.
2. Ended by our own conclusion and yet there: a stray, which is cancelled.
3. Ended, and its result could not be read then.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from infra.db.connection import transaction
from scheduler.core.events import Accepted, NotSubmitted
from scheduler.core.model import UNCONFIRMED, Attempt
from scheduler.loops import items
from scheduler.loops.apply import note
from scheduler.loops.calls import ask, ref_of
from scheduler.loops.deps import Deps
from scheduler.loops.results import read_result
from scheduler.store import attempts as store


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have moved."""
    moved = 0
    for name in sorted(deps.backends):
        moved += await _sweep(deps, name, now)
    return moved


async def _sweep(deps: Deps, name: str, now: datetime) -> int:
    settings = deps.settings
    async with transaction(deps.pool, lease=deps.lease) as conn:
        unanswered = await store.unanswered(
            conn, backend=name, sent_before=_ago(now, settings.look_after_s), limit=settings.item_limit
        )
        ended = await store.ended_unconfirmed(
            conn,
            backend=name,
            reasons=sorted(UNCONFIRMED),
            since=_ago(now, settings.stray_window_s),
            limit=settings.item_limit,
        )
        unread = await store.without_result(
            conn, backend=name, since=_ago(now, settings.result_window_s), limit=settings.item_limit
        )
    moved = await items.each("sweep", unanswered, lambda attempt: _find_out(deps, attempt, now))
    moved += await items.each("sweep", ended, lambda attempt: _end_stray(deps, attempt, now))
    return moved + await items.each("sweep", unread, lambda attempt: _keep_result(deps, attempt, now))


async def _find_out(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    backend = deps.backends[attempt.backend]
    ref = await ask(deps, attempt.backend, "find", backend.find(attempt.id))
    if ref is not None:
        return (await note(deps, attempt.id, Accepted(at=now, native_id=ref.native_id), now=now)).changed
    sent_at = attempt.dispatched_at or now
    if now - sent_at < timedelta(seconds=deps.absence_proves_after_s(backend)):
        return False
    return (await note(deps, attempt.id, NotSubmitted(at=now, detail="absent"), now=now)).changed


async def _end_stray(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    ref = await ask(deps, attempt.backend, "find", deps.backends[attempt.backend].find(attempt.id))
    if ref is None:
        return False
    await note(deps, attempt.id, Accepted(at=now, native_id=ref.native_id), now=now)
    return True


async def _keep_result(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    ref = ref_of(attempt)
    result = None if ref is None else await read_result(deps, deps.backends[attempt.backend], ref)
    if result is None:
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.keep_result(conn, attempt, result, now=now)
    return True


def _ago(now: datetime, seconds: float) -> datetime:
    return now - timedelta(seconds=seconds)
