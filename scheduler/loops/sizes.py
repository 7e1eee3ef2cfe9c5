"""How large each backend is and what is free there, as it says itself, with the times in which it takes no work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hpc_adapters.contract import Backend
from hpc_adapters.devices import DeviceState, OfflineWindow
from hpc_adapters.errors import Unavailable
from scheduler.core.snapshot import Pool
from scheduler.devices import Condition
from scheduler.loops import items
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.reservations.model import Closure


async def pools(
    deps: Deps, now: datetime, *, devices: Mapping[str, Condition], closures: Sequence[Closure], something_waits: bool
) -> dict[str, Pool]:
    """Asked at once; one that does not answer is offline for this cycle."""
    settings = deps.settings
    for_s = settings.capacity_reuse_s if something_waits else settings.capacity_renew_s
    asked = [_pool(deps, name, backend, now, for_s) for name, backend in sorted(deps.backends.items())]
    found = await asyncio.gather(*asked)
    return {pool.name: with_windows(pool, devices.get(pool.name), closures) for pool in found}


def with_windows(pool: Pool, known: Condition | None, closures: Sequence[Closure]) -> Pool:
    """And what the register of devices knows of it. known: None: it is no quantum device."""
    return _closed(_as_device(pool, known), closures)


def _as_device(pool: Pool, known: Condition | None) -> Pool:
    if known is None:
        return pool
    return replace(pool, windows=known.windows, condition=known.state.value, vendor_queue=known.queue)


def _closed(pool: Pool, closures: Sequence[Closure]) -> Pool:
    here = [
        OfflineWindow(since=each.since, until=each.until, kind=DeviceState.MAINTENANCE)
        for each in closures
        if each.backend == pool.name
    ]
    return replace(pool, windows=(*pool.windows, *here)) if here else pool


async def _pool(deps: Deps, name: str, backend: Backend, now: datetime, for_s: float) -> Pool:
    asked_s, capacities = asyncio.get_running_loop().time(), deps.memory.capacities
    known = capacities.known(name, now_s=asked_s, for_s=for_s)
    if known is not None:
        return known
    try:
        capacity = await ask(deps, name, "capacity", backend.capacity())
    except Unavailable:
        capacities.silent(name)
        return Pool(name=name, online=False)
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        capacities.silent(name)
        items.report("dispatch", backend, problem)  # a fault in one adapter stops nobody else's machine
        return Pool(name=name, online=False)
    pool = Pool(
        name=name,
        total=capacity.total,
        free=capacity.free,
        draining=capacity.draining,
        online=capacity.online,
        look_ahead=backend.capabilities().look_ahead,
        asked_at=now,
        free_gpus=capacity.free_gpus,
        node_gpus=capacity.node_gpus,
    )
    capacities.keep(pool, asked_s=asked_s)
    return pool
