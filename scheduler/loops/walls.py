"""What a plan must not run into: reservations, closures, the end of eligibility and of the fiscal year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from hpc_adapters.devices import DeviceState, OfflineWindow
from infra.db.connection import Conn
from scheduler.core.snapshot import Holding, Pool, Snapshot, Standing, Waiting, Wall
from scheduler.core.walls import ELIGIBILITY, FISCAL_YEAR, fiscal_year_end
from scheduler.reservations.model import Closure
from scheduler.store import reservations as store
from scheduler.store.reservations import Ahead


@dataclass(frozen=True, slots=True)
class Walls:
    """As the books have them now."""

    ahead: Ahead = field(default_factory=Ahead)
    eligible_until: Mapping[UUID, datetime] = field(default_factory=dict)


async def look(conn: Conn, waiting: Sequence[Waiting], *, now: datetime) -> Walls:
    """Nothing is looked for where nothing waits."""
    if not waiting:
        return Walls()
    organisations = {each.organisation_id for each in waiting}
    return Walls(await store.ahead(conn, now=now), await accounts.eligible_until(conn, organisations, now=now))


def applied(snapshot: Snapshot, walls: Walls, *, fiscal_year: bool) -> Snapshot:
    """The same world with its walls. fiscal_year: its end is one."""
    ahead = walls.ahead
    year = (Wall(at=fiscal_year_end(snapshot.now), kind=FISCAL_YEAR),) if fiscal_year else ()
    return replace(
        snapshot,
        pools={name: _closed(pool, ahead.closures) for name, pool in snapshot.pools.items()},
        waiting=[_waiting(each, ahead) for each in snapshot.waiting] if ahead.insides else snapshot.waiting,
        holding=[_holding(each, ahead) for each in snapshot.holding] if ahead.insides else snapshot.holding,
        standings={name: _standing(each, walls) for name, each in snapshot.standings.items()},
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


def _standing(each: Standing, walls: Walls) -> Standing:
    until = walls.eligible_until.get(each.organisation_id)
    return each if until is None else replace(each, walls=(Wall(at=until, kind=ELIGIBILITY),))
