"""Takes the rows of one answer: one transaction each; a row that cannot be taken is parked and stops nobody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from hpc_adapters.contract import UsageRow
from infra.db.connection import transaction
from metering.errors import Unreadable, UnreadableRow
from metering.loops import alarms
from metering.loops.deps import Deps
from metering.rows import (
    contradictory_keys,
    from_json,
    is_news,
    next_try_at,
    proves_completeness,
    readable,
    row_sha256,
)
from metering.service import Taken, take_row
from metering.store import collection, parked

_LEFT_TO_AN_OPERATOR = frozenset({Unreadable.NO_END, Unreadable.END_BEFORE_START, Unreadable.CONTRADICTORY})


async def take_answer(deps: Deps, backend: str, answer: Sequence[UsageRow], now: datetime) -> int:
    """Takes every final row that is news and is not parked already. Returns how many were written."""
    final = [row for row in answer if row.final]
    growing = {row.attempt_id for row in answer if not row.final}
    contradictory = contradictory_keys(final)
    taken = 0
    for row in await _news(deps, backend, final):
        if row.natural_key in contradictory:
            await _park(deps, backend, row, UnreadableRow(Unreadable.CONTRADICTORY), now)
            continue
        taken += await _take(deps, backend, row, complete=proves_completeness(row, growing), now=now)
    return taken


async def take_parked(deps: Deps, backend: str, now: datetime) -> int:
    """Tries again what is due. Whether an attempt is complete is then decided by asking for its whole period."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        due = await parked.due(conn, backend, now=now, limit=deps.settings.most_per_tick)
    taken = 0
    for each in due:
        try:
            taken += await _take_again(deps, backend, each, now)
        except Exception as error:
            if not parked.blames_the_row(error):
                raise
            next_at = next_try_at(each.tries + 1, now=now)
            async with transaction(deps.pool, lease=deps.lease) as conn:
                await parked.postpone(conn, backend, each.row_sha256, next_try_at=next_at)
    return taken


async def _take_again(deps: Deps, backend: str, each: parked.Parked, now: datetime) -> bool:
    row = from_json(json.loads(each.content))
    async with transaction(deps.pool, lease=deps.lease) as conn:
        taken = await take_row(conn, row, backend=backend, complete=False, now=now)
        await parked.resolve(conn, backend, each.row_sha256, now=now)
    if taken is Taken.SAME:
        return False
    alarms.ran_nothing(backend, row)
    return True


async def _news(deps: Deps, backend: str, rows: Sequence[UsageRow]) -> list[UsageRow]:
    """What we do not have yet and do not keep parked, in order of the end. Of equal rows one."""
    distinct = {row_sha256(row): row for row in rows}
    async with transaction(deps.pool, lease=deps.lease) as conn:
        waiting = await parked.unresolved(conn, backend, distinct)
        known = await collection.newest_revisions(conn, backend, {row.natural_key for row in rows})
    news = [
        row
        for sha, row in distinct.items()
        if waiting.get(sha) in {None, Unreadable.CONTRADICTORY} and is_news(row, known.get(row.natural_key))
    ]
    return sorted(news, key=lambda row: (row.ended_at or row.started_at, row.natural_key))


async def _take(deps: Deps, backend: str, row: UsageRow, *, complete: bool, now: datetime) -> bool:
    """True when it was written. What only this row can be blamed for parks it."""
    try:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            taken = await take_row(conn, row, backend=backend, complete=complete, now=now)
            await parked.resolve(conn, backend, row_sha256(row), now=now)
    except Exception as error:
        if not parked.blames_the_row(error):
            raise
        await _park(deps, backend, row, error, now)
        return False
    alarms.taken(backend, taken, row.natural_key, row.attempt_id)
    return taken is not Taken.SAME


async def _park(deps: Deps, backend: str, row: UsageRow, error: Exception, now: datetime) -> None:
    why = error.why if isinstance(error, UnreadableRow) else Unreadable.FAILED
    async with transaction(deps.pool, lease=deps.lease) as conn:
        parked_now = await parked.park(
            conn,
            backend,
            row_sha256=row_sha256(row),
            natural_key=ascii(row.natural_key)[1:-1],
            reason=why,
            content=readable(row),
            next_try_at=None if why in _LEFT_TO_AN_OPERATOR else next_try_at(1, now=now),
            now=now,
        )
    if parked_now:
        alarms.parked(backend, why, row.natural_key, f"{type(error).__name__}: {error}")
