"""Collects what the backends say they ran. One tick asks every backend once, and writes row by row.

Only final rows are taken: a running job's row grows with every look, and money needs the last word. The watermark moves
when every row of the window has been dealt with; the next window overlaps it, so nothing depends on a tick being the
only one, on its finishing, or on rows coming once or in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.contract import Backend, UsageRow, Window
from hpc_adapters.errors import Unavailable
from infra.db.connection import transaction
from metering.loops import alarms
from metering.loops.deps import Deps
from metering.loops.taking import take_answer, take_parked
from metering.rows import is_news
from metering.service import conclude_attempt
from metering.store import collection, pending
from metering.store.pending import Unsettled
from metering.windows import next_window


async def tick(deps: Deps, now: datetime) -> int:
    """Rows and attempts that were dealt with. A backend that does not answer is asked again at the next tick."""
    moved = 0
    for name, backend in deps.backends.items():
        try:
            moved += await _collect(deps, name, backend, now)
            if deps.settings.catches_up:
                moved += await _catch_up(deps, name, backend, now)
        except Unavailable as unavailable:
            alarms.unavailable(name, "accounting", unavailable.detail)
        moved += await take_parked(deps, name, now)
    return moved


async def _collect(deps: Deps, name: str, backend: Backend, now: datetime) -> int:
    watermark = await _watermark(deps, name)
    if watermark is None:
        return 0
    overlap = deps.settings.overlap + _lag(backend)
    window = next_window(watermark, now=now, overlap=overlap, longest=deps.settings.longest_window)
    alarms.behind(name, now - watermark)
    answer = await backend.accounting(window)
    taken = await take_answer(deps, name, answer, now)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await collection.set_collected_to(conn, name, collected_to=window.until, now=now)
    alarms.behind(name, now - window.until)
    return taken


async def _watermark(deps: Deps, name: str) -> datetime | None:
    """Until when everything has been collected. None: nothing of ours can have run there yet."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        return await collection.collected_to(conn, name) or await pending.first_opened_at(conn, name)


async def _catch_up(deps: Deps, name: str, backend: Backend, now: datetime) -> int:
    """Asks for the whole period of attempts that ended long ago and still lack a complete record."""
    overdue_since = now - _lag(backend) - deps.settings.catch_up_after
    async with transaction(deps.pool, lease=deps.lease) as conn:
        overdue = await pending.unsettled(conn, name, ended_before=overdue_since, limit=deps.settings.most_per_tick)
    alarms.incomplete(name, len(overdue))
    if not overdue:
        return 0
    first = min(attempt.opened_at for attempt in overdue) - deps.settings.clock_skew
    told: dict[UUID, list[UsageRow]] = {attempt.attempt_id: [] for attempt in overdue}
    for row in await backend.accounting(Window(first, now + deps.settings.clock_skew)):
        if row.attempt_id in told:
            told[row.attempt_id].append(row)
    taken = await take_answer(deps, name, [row for rows in told.values() for row in rows], now)
    known_since = [attempt for attempt in overdue if attempt.told_at <= overdue_since]
    return taken + await _conclude(deps, name, known_since, told, now)


async def _conclude(
    deps: Deps, name: str, overdue: Sequence[Unsettled], told: dict[UUID, list[UsageRow]], now: datetime
) -> int:
    """Lets those attempts be settled of which the backend has said everything, be it nothing at all for long enough."""
    silent_since = now - _lag(deps.backends[name]) - deps.settings.silent_for
    concluded = 0
    for attempt in overdue:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            rows = told[attempt.attempt_id]
            known = await collection.newest_revisions(conn, name, {row.natural_key for row in rows})
            if any(not row.final or is_news(row, known.get(row.natural_key)) for row in rows):
                continue  # it still grows, or one of its rows is parked
            if attempt.told_at > silent_since and not await collection.has_rows(conn, attempt.attempt_id):
                continue  # its record may be late
            without_record = await conclude_attempt(conn, attempt.attempt_id, backend=name, now=now)
        concluded += 1
        if without_record:
            alarms.without_record(name, attempt.attempt_id)
    return concluded


def _lag(backend: Backend) -> timedelta:
    return timedelta(seconds=backend.capabilities().accounting_lag_s)
