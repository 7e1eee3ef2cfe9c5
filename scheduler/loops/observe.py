"""Step 6 of the life of a job: what the backends say of everything that they have, many attempts in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from hpc_adapters.contract import Backend, Observation, Ref
from infra.db.connection import transaction
from scheduler.core.events import Event, told
from scheduler.core.model import Attempt
from scheduler.loops import items, metrics
from scheduler.loops.apply import foreseen, note
from scheduler.loops.calls import ask, ref_of
from scheduler.loops.deps import Deps
from scheduler.loops.results import read_result
from scheduler.store import attempts as store


@dataclass(frozen=True, slots=True)
class _Word:
    """What was said of one attempt."""

    attempt: Attempt
    ref: Ref
    event: Event

    @property
    def id(self) -> object:
        return self.attempt.id


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have changed."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        live = await store.with_ref(conn)
    live.sort(key=lambda attempt: attempt.backend)
    rounds = [_observe(deps, name, list(group), now) for name, group in groupby(live, lambda each: each.backend)]
    return sum(await asyncio.gather(*rounds))


async def _observe(deps: Deps, name: str, attempts: Sequence[Attempt], now: datetime) -> int:
    """One backend's attempts, batch after batch; one that does not answer is asked again in the next tick."""
    backend = deps.backends.get(name)
    if backend is None:
        return 0
    size = deps.settings.observe_batch
    batches = [attempts[first : first + size] for first in range(0, len(attempts), size)]
    moved = 0

    async def look(batch: Sequence[Attempt]) -> bool:
        nonlocal moved
        words = await _words(deps, backend, batch, now)
        moved += await items.each("observe", words, lambda word: _heard(deps, backend, word, now))
        return True

    await items.each("observe", batches, look)
    return moved


async def _words(deps: Deps, backend: Backend, batch: Sequence[Attempt], now: datetime) -> list[_Word]:
    refs = [ref for attempt in batch if (ref := ref_of(attempt)) is not None]
    said = await ask(deps, batch[0].backend, "observe", backend.observe(refs))
    by_id = {attempt.id: attempt for attempt in batch}
    words = []
    for ref, word in zip(refs, said, strict=True):
        if isinstance(word, Observation) and word.not_now:
            metrics.NOT_NOW.labels(batch[0].backend, word.detail).inc()  # as long as that lasts, nothing is concluded
            continue
        words.append(_Word(by_id[ref.attempt_id], ref, told(word, now=now)))
    return words


async def _heard(deps: Deps, backend: Backend, word: _Word, now: datetime) -> bool:
    """Most words are no news; those cost no transaction. An end is noted together with the result that was left."""
    is_news, ended_by_itself = foreseen(deps, word.attempt, word.event)
    if not is_news:
        return False
    result = await read_result(deps, backend, word.ref) if ended_by_itself else None
    applied = await note(deps, word.attempt.id, word.event, now=now, result=result, seen=word.attempt)
    return applied.changed
