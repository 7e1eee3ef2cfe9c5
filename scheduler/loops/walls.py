"""What a plan must not run into: reservations, closures and the end of the fiscal year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hpc_adapters.devices import DeviceState, OfflineWindow
from infra.db.connection import Conn
from scheduler.core.snapshot import Holding, Pool, Snapshot, Waiting, Wall
from scheduler.core.walls import FISCAL_YEAR, fiscal_year_end
from scheduler.reservations.model import Closure
from scheduler.store import reservations as store
from scheduler.store.reservations import Ahead


async def look(conn: Conn, waiting: Sequence[Waiting], *, now: datetime) -> Ahead:
    """Nothing is looked for where nothing waits."""
    return await store.ahead(conn, now=now) if waiting else Ahead()


def applied(snapshot: Snapshot, ahead: Ahead, *, fiscal_year: bool) -> Snapshot:
    """The same world with its walls. fiscal_year: its end is one."""
    year = (Wall(at=fiscal_year_end(snapshot.now), kind=FISCAL_YEAR),) if fiscal_year else ()
    return replace(
        snapshot,
        pools={name: _closed(pool, ahead.closures) for name, pool in snapshot.pools.items()},
        waiting=[_waiting(each, ahead) for each in snapshot.waiting] if ahead.insides else snapshot.waiting,
        holding=[_holding(each, ahead) for each in snapshot.holding] if ahead.insides else snapshot.holding,
        bookings=ahead.bookings,
        walls=year,
    )


def _closed(pool: Pool, closures: Sequence[Closure]) -> Pool:
    here = [
        OfflineWindow(since=each.since, until=each.until, kind=DeviceState.MAINTENANCE)
        for each in closures
        if each.backend == pool.name
    ]
    return replace(pool, windows=(*pool.windows, *here)) if here else pool


def _waiting(each: Waiting, ahead: Ahead) -> Waiting:
    inside = ahead.insides.get(each.attempt_id)
    return each if inside is None else replace(each, inside=inside)


def _holding(each: Holding, ahead: Ahead) -> Holding:
    inside = ahead.insides.get(each.attempt_id)
    if inside is None:
        return each
    return replace(each, reservation_id=inside.reservation_id, until=min(each.until, inside.until))
