"""Calls of running jobs that have waited for their device for as long as was agreed, here or in its vendor's queue."""

from __future__ import annotations

from datetime import datetime

from hpc_adapters.contract import Ref
from hpc_adapters.errors import Forgotten
from infra.db.connection import reading
from scheduler.core.events import DeviceAway, SeenMissing
from scheduler.core.model import State
from scheduler.loops import items
from scheduler.loops.apply import note
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.store import callwaits as store
from scheduler.store.callwaits import Overdue


async def give_up(deps: Deps, now: datetime, *, limit: int) -> None:
    """Each is met under its lock: one that is on its way to the device, or has started there, goes on.

    A wish that did not reach the vendor is repeated until it tells of a start or an end.
    """
    async with reading(deps.pool) as conn:
        overdue = await store.overdue(conn, now=now, limit=limit)
    await items.each("calls", overdue, lambda each: _give_up(deps, each, now))


async def _give_up(deps: Deps, call: Overdue, now: datetime) -> bool:
    if call.state is not State.CANCELLING:
        return (await note(deps, call.id, DeviceAway(at=now, wait_s=call.wait_s), now=now)).changed
    backend = deps.backends.get(call.backend)
    if backend is None or call.native_id is None:
        return False
    try:
        await ask(deps, call.backend, "cancel", backend.cancel(Ref(call.backend, call.id, call.native_id)))
    except Forgotten:
        await note(deps, call.id, SeenMissing(at=now), now=now)
    return False
