"""Lets backends of ours forget what ended long ago: the folders of attempts that nobody needs any more.

What goes has ended long ago, in a job that is over; it is settled, its result is kept, and where files are kept so are
its outputs. What misses one of these stays, however old. Its log goes with its folder; its accounting is still told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from hpc_adapters.errors import Unavailable
from hpc_adapters.job_files import Files
from hpc_adapters.keeping import Freed, Keeper
from infra.db.connection import reading
from pricing import service as pricing
from scheduler.loops import items, metrics
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.store import forgettable as store

_log = structlog.get_logger(__name__)
_AT_ONCE = 500
_IN_ONE_CALL = 20
"""Folders are removed with a time limit: one with a large checkpoint takes its time."""


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have been forgotten. A backend that does not answer is asked again in the next tick."""
    if deps.settings.keep_runs_days is None:
        return 0
    before = now - timedelta(days=deps.settings.keep_runs_days)
    forgotten = 0
    for name in sorted(deps.backends):
        try:
            forgotten += await _clear(deps, name, before)
        except Exception as problem:
            if items.stops_the_loop(problem):
                raise
            if not isinstance(problem, Unavailable):
                items.report("forget", name, problem)
    return forgotten


async def _clear(deps: Deps, name: str, before: datetime) -> int:
    keeper = deps.backends[name]
    if not isinstance(keeper, Keeper):
        return 0
    ended = await ask(deps, name, "ended-before", keeper.ended_before(before))
    going = await _needed_by_nobody(deps, name, ended, before)
    freed = Freed()
    for start in range(0, len(going), _IN_ONE_CALL):
        some = await ask(deps, name, "forget", keeper.forget(going[start : start + _IN_ONE_CALL]))
        freed = Freed(freed.attempts + some.attempts, freed.bytes + some.bytes)
        metrics.FORGOTTEN.labels(name).inc(some.attempts)
        metrics.FREED_BYTES.labels(name).inc(some.bytes)
    if freed.attempts:
        _log.info("forgot", backend=name, attempts=freed.attempts, bytes=freed.bytes, ended_before=before.isoformat())
    return freed.attempts


async def _needed_by_nobody(deps: Deps, name: str, ended: Sequence[UUID], before: datetime) -> list[UUID]:
    """The oldest of those that may go."""
    keeps_files = deps.shelf is not None and isinstance(deps.backends[name], Files)
    going: list[UUID] = []
    for start in range(0, len(ended), _AT_ONCE):
        some = ended[start : start + _AT_ONCE]
        async with reading(deps.pool) as conn:
            found = await store.among(conn, some, backend=name, before=before, keeps_files=keeps_files)
            settled = await pricing.settled_among(conn, found)
        going += [each for each in found if each in settled]
        if len(going) >= _AT_ONCE:
            break
    return going
