"""Asks running attempts to make room, as a plan has chosen them, and asks again until their end is seen.

In the books first, then the backend: it signals the program and ends it after the grace time, as for a cancel. What is
noted and was not told, or was told and not heard, is told again in each tick; what has ended by itself stays as it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from hpc_adapters.errors import Forgotten
from infra.db.connection import transaction
from scheduler.core.events import PreemptRequested, SeenMissing
from scheduler.core.model import Attempt, State
from scheduler.core.snapshot import Preempt
from scheduler.loops import items, metrics
from scheduler.loops.apply import apply_to, note
from scheduler.loops.calls import ask, ref_of, tell
from scheduler.loops.deps import Deps
from scheduler.store import attempts as store
from scheduler.store import decisions


async def carry_out(deps: Deps, preempts: Sequence[Preempt], now: datetime) -> int:
    """How many attempts were asked to leave.

    Asked again, or of what has ended or shall end meanwhile: nothing happens.
    """
    return await items.each("preempt", preempts, lambda one: _ask_to_leave(deps, one, now))


async def _ask_to_leave(deps: Deps, wanted: Preempt, now: datetime) -> bool:
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await store.locked(conn, wanted.attempt_id)
        if attempt is None or attempt.state is not State.RUNNING:
            return False
        applied = await apply_to(conn, deps, attempt, PreemptRequested(at=now, for_class=wanted.for_class), now=now)
        if not applied.changed:
            return False
        await decisions.preempted(conn, wanted, attempt, now=now)
    metrics.PREEMPTIONS.labels(attempt.backend, wanted.for_class.value).inc()
    await tell(deps, applied.attempt, applied.effects)
    return True


async def remind(deps: Deps, now: datetime) -> int:
    """Of all that still run though they were asked to leave: how many were found gone."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        leaving = await store.to_leave(conn, limit=deps.settings.item_limit)
    leaving.sort(key=lambda attempt: attempt.backend)
    rounds = [
        items.each("preempt", list(group), lambda attempt: _again(deps, attempt, now))
        for _, group in groupby(leaving, lambda each: each.backend)
    ]
    return sum(await asyncio.gather(*rounds))


async def _again(deps: Deps, attempt: Attempt, now: datetime) -> bool:
    ref, backend = ref_of(attempt), deps.backends.get(attempt.backend)
    if ref is None or backend is None:
        return False
    try:
        await ask(deps, attempt.backend, "cancel", backend.cancel(ref))
    except Forgotten:
        return (await note(deps, attempt.id, SeenMissing(at=now), now=now)).changed
    return False
