"""The dispatcher's book, brought up to date: opened from what the database says, then told only what has changed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from hpc_adapters.devices import Devices
from infra.db.connection import Conn, reading
from scheduler.core.book.book import Book
from scheduler.core.book.charges import Charge
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.snapshot import Holding, Waiting, Wall
from scheduler.core.walls import FISCAL_YEAR, fiscal_year_end
from scheduler.devices import Condition
from scheduler.loops import agreements, metrics, sizes
from scheduler.loops.deps import Deps
from scheduler.loops.memory import Kept
from scheduler.store import columns, feed, reservations
from scheduler.store import devices as device_store
from scheduler.store.columns import Queued
from scheduler.store.feed import Changes, Topic
from scheduler.store.reservations import Ahead

_log = structlog.get_logger(__name__)
_COMPARED: Final = 20_000
"""Of a longer queue not every job is compared."""
_NAMED: Final = 10
_LARGE: Final = 10_000
"""So many waiting jobs are worth another way of building."""
_STEP_BACK: Final = timedelta(seconds=5)
"""Of a clock that goes back by more a new book is opened: it counts from another instant."""
_READ_AGAIN: Final = timedelta(seconds=10)
"""What only the clock changes (a weight from an instant on, the end of a declaration) is read again after this."""


async def up_to_date(deps: Deps, now: datetime) -> Kept:
    """What the book says now. Whoever meets an error on the way must forget it: it may have missed something."""
    kept = deps.memory.of(deps.lease)
    if kept is None or kept.now - now > _STEP_BACK:
        await feed.forget(deps.pool, lease=deps.lease)
        kept = deps.memory.kept = await _opened(deps, now)
        return kept
    now = kept.now = max(now, kept.now)  # a clock that was set back a little stands still meanwhile
    await _told(deps, kept, await feed.changes(deps.pool, lease=deps.lease), now)
    if kept.book.is_void:
        deps.memory.forget()
        return await up_to_date(deps, now)
    if (now - kept.checked_at).total_seconds() < deps.settings.check_every_s or await _is_right(deps, kept, now):
        return kept
    deps.memory.forget()
    return await up_to_date(deps, now)


async def _is_right(deps: Deps, kept: Kept, now: datetime) -> bool:
    """Whether the database says the same of every attempt; of a long queue, whether as many wait.

    What has changed between the two readings is told, and not compared.
    """
    kept.checked_at = now
    queued, live = await columns.load(deps.pool)
    late = await feed.changes(deps.pool, lease=deps.lease)
    await _told(deps, kept, late, now)
    moved = {each.attempt_id for each in late.live.waiting} | {each.attempt_id for each in late.live.held}
    moved |= late.live.gone.keys()
    if len(queued) > _COMPARED:
        found = [] if moved or kept.book.waiting == len(queued) + len(live.waiting) else ["another number waits"]
    else:
        waiting = [*live.waiting, *map(queued.waiting, range(len(queued)))]
        told = kept.book.differs_from(waiting, live.held)
        found = [line for line in told if UUID(line.partition(" ")[0]) not in moved]
    if found:
        metrics.BOOK_DIFFERENCES.inc(len(found))
        _log.error("the book says otherwise than the database", differences=found[:_NAMED])
    return not found


async def _opened(deps: Deps, now: datetime) -> Kept:
    """All that was told before is thrown away: everything is read."""
    deps.memory.forget()
    deps.memory.capacities.forget()
    past = [Terms()]

    async def read_past(conn: Conn) -> None:
        past[0] = await agreements.past(conn, deps, now)

    queued, live = await columns.load(deps.pool, read_past)
    organisations = _owners([*live.waiting, *live.held]) | {leaf[0] for leaf in queued.leaves}
    async with reading(deps.pool) as conn:
        terms = await agreements.renewed(conn, deps, past[0], organisations, now)
        ahead = await reservations.ahead(conn, now=now)
        devices = await _devices(conn, deps)
    pools = await sizes.pools(
        deps, now, devices=devices, closures=ahead.closures, something_waits=bool(live.waiting) or len(queued) > 0
    )
    book = await asyncio.to_thread(  # of a million jobs it takes seconds, and a lease is renewed meanwhile
        _book,
        now=now,
        pools=pools,
        terms=terms,
        calendar=_calendar(deps, ahead, now),
        policy=deps.settings.policy,
        waiting=live.waiting,
        holding=live.held,
        columns=queued,
    )
    return Kept(
        book=book,
        lease=deps.lease,
        terms=terms,
        ahead=ahead,
        devices=devices,
        now=now,
        read_at=now,
        checked_at=now,
        organisations=organisations,
        reasons={attempt_id: (reason, None) for attempt_id, reason in live.reasons.items()},
    )


def _book(*, columns: Queued, **told: Any) -> Book:
    """A large one is built without the collector, which would walk all of it again and again, and is left out later."""
    if len(columns) < _LARGE:
        return Book(columns=columns, **told)
    gc.disable()
    try:
        return Book(columns=columns, **told)
    finally:
        gc.freeze()
        gc.enable()


async def _told(deps: Deps, kept: Kept, changes: Changes, now: datetime) -> None:
    """What has changed since, then what the backends say. What is read of this month has what ended in it already."""
    live, book = changes.live, kept.book
    for attempt_id, gone in live.gone.items():
        charge = None if gone.micro_nu is None else Charge(gone.micro_nu, gone.charged_at or now)
        _moved(deps, book.gone(attempt_id, now, charge, seq=gone.seq))
        kept.left(attempt_id)
    await _renew(deps, kept, changes, now)
    for held in live.held:
        _moved(deps, book.holds(held, now))
        kept.left(held.attempt_id)
    for job in live.waiting:
        book.waits(job, now)
        kept.reasons[job.attempt_id] = live.reasons[job.attempt_id], None
        kept.came(job)
    known = await sizes.pools(
        deps, now, devices=kept.devices, closures=kept.ahead.closures, something_waits=book.waiting > 0
    )
    for pool in known.values():
        book.pool(pool, now)


async def _renew(deps: Deps, kept: Kept, changes: Changes, now: datetime) -> None:
    """What is set, where it was said to be other than it was, or where that is long ago."""
    is_old = now - kept.read_at >= _READ_AGAIN or now < kept.read_at
    new = _owners([*changes.live.waiting, *changes.live.held]) - kept.organisations
    if not (is_old or new or changes.topics or changes.organisations):
        return
    kept.organisations |= new
    async with reading(deps.pool) as conn:
        if is_old or new or Topic.TREE in changes.topics or changes.organisations:
            kept.terms = await agreements.renewed(conn, deps, kept.terms, kept.organisations, now)
            kept.book.agreed(kept.terms, now)
        if is_old or Topic.BOOKINGS in changes.topics:
            kept.ahead = await reservations.ahead(conn, now=now)
            kept.book.dated(_calendar(deps, kept.ahead, now))
        if is_old or Topic.DEVICES in changes.topics:
            kept.devices = await _devices(conn, deps)
    if is_old:
        kept.read_at = now


async def _devices(conn: Conn, deps: Deps) -> Mapping[str, Condition]:
    """Quantum devices as the register has them. None where no backend is one: a look is saved."""
    has_devices = any(isinstance(backend, Devices) for backend in deps.backends.values())
    return await device_store.conditions(conn) if has_devices else {}


def _calendar(deps: Deps, ahead: Ahead, now: datetime) -> Calendar:
    year = (Wall(at=fiscal_year_end(now), kind=FISCAL_YEAR),) if deps.settings.fiscal_year_wall else ()
    return Calendar(bookings=tuple(ahead.bookings), walls=year)


def _owners(live: Iterable[Waiting | Holding]) -> set[UUID]:
    return {each.organisation_id for each in live}


def _moved(deps: Deps, held: Holding | None) -> None:
    """It has started or ended."""
    if held is not None:
        deps.memory.capacities.moved(held)
