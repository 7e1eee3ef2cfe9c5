"""The register of quantum devices: every backend that is one is asked what it is, and what changed is kept.

A device that does not answer is offline, which is a fact of its history and no fault of the round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from hpc_adapters.devices import Device, Devices
from hpc_adapters.errors import Unavailable
from infra.db.connection import transaction
from scheduler.devices import NOT_CONFIGURED, UNAVAILABLE, Condition, away
from scheduler.loops import items
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.store import devices as store

_Word = Device | str | None
"""What a device said; or in a word why it says nothing; None: nothing is known, by a fault that was reported."""


async def tick(deps: Deps, now: datetime) -> int:
    """Each device once, all at the same time. How many have changed."""
    asked = {name: backend for name, backend in sorted(deps.backends.items()) if isinstance(backend, Devices)}
    answers = await asyncio.gather(*(_word(deps, name, backend) for name, backend in asked.items()))
    words: dict[str, _Word] = dict(zip(asked, answers, strict=True))
    async with transaction(deps.pool) as conn:  # only reads
        known = await store.conditions(conn)
    words |= dict.fromkeys(known.keys() - asked.keys(), NOT_CONFIGURED)
    return await items.each("devices", sorted(words), lambda name: _keep(deps, name, words[name], known, now))


async def _word(deps: Deps, name: str, backend: Devices) -> _Word:
    try:
        return await ask(deps, name, "device", backend.device())
    except Unavailable:
        return UNAVAILABLE
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        items.report("devices", backend, problem)
        return None


async def _keep(deps: Deps, name: str, word: _Word, known: Mapping[str, Condition], now: datetime) -> bool:
    if word is None:
        return False
    if isinstance(word, Device):
        async with transaction(deps.pool, lease=deps.lease) as conn:
            return await store.keep(conn, name, word, now=now)
    if name not in known:  # never heard of: there is nothing to say of it
        return False
    absent = away(known[name], word)
    if absent == known[name]:
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.change(conn, name, absent, now=now)
    return True
