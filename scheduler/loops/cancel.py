"""Carries out the wish to cancel, reminds of those to make room, and ends the calls of what has ended.

The attempt is CANCELLING, and billed, until its backend confirms the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from hpc_adapters.errors import Forgotten
from infra.db.connection import transaction
from scheduler.core.events import CancelRequested, SeenMissing
from scheduler.core.model import Attempt, State
from scheduler.loops import items, preempt
from scheduler.loops.apply import apply, note
from scheduler.loops.calls import ask, ref_of
from scheduler.loops.deps import Deps
from scheduler.store import attempts as store


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have moved."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        wanted = await store.to_cancel(conn, limit=deps.settings.item_limit)
        known = {each.id for each in wanted}
        orphaned = await store.orphaned(conn, limit=deps.settings.item_limit)
        wanted += [each for each in orphaned if each.id not in known]
    wanted.sort(key=lambda attempt: attempt.backend)
    rounds = [_cancel_all(deps, list(group), now) for _, group in groupby(wanted, lambda each: each.backend)]
    moved = sum(await asyncio.gather(*rounds))
    return moved + await preempt.remind(deps, now)


async def _cancel_all(deps: Deps, attempts: Sequence[Attempt], now: datetime) -> int:
    """First the books of all, then the backend: one that does not answer holds up nobody's CANCELLING."""
    noted = await items.each("cancel", attempts, lambda attempt: _request(deps, attempt, now))
    await items.each("cancel", attempts, lambda attempt: _pass_on(deps, attempt, now))
    return noted


async def _request(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    if attempt.state is State.CANCELLING:
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        applied = await apply(conn, deps, attempt.id, CancelRequested(at=now), now=now)
    return applied.changed


async def _pass_on(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    """Said again in each tick until the end is seen: an answer that was lost, or a wish that was, costs nothing."""
    ref, backend = ref_of(attempt), deps.backends.get(attempt.backend)
    if ref is None or backend is None:
        return False  # nobody knows yet whether it has it: the sweep finds out
    try:
        await ask(deps, attempt.backend, "cancel", backend.cancel(ref))
    except Forgotten:
        await note(deps, attempt.id, SeenMissing(at=now), now=now)
    return True
