"""Foresees when each waiting attempt will start, and writes what has changed of it. Decides nothing.

The engine is run ahead in short slices, between which the other loops of this process go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from hpc_adapters.contract import Backend
from hpc_adapters.errors import Unavailable
from infra.db.connection import reading, transaction
from scheduler.core.ahead import who_is_ahead
from scheduler.core.forecast import at_level, positions, unfolding
from scheduler.core.reasons import FORESEEN
from scheduler.core.snapshot import Pool, Wall
from scheduler.core.walls import FISCAL_YEAR, fiscal_year_end
from scheduler.loops import claims, items, sizes
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.loops.past import Past
from scheduler.loops.scenes import Books, Setup, setup_of
from scheduler.store import devices as device_store
from scheduler.store import forecasts as store
from scheduler.store import planning, reservations
from scheduler.store.forecasts import Forecast

_FEWEST: Final = 5
"""Of fewer futures nothing is said."""
_SLICE_S: Final = 0.002
_TOLD_AGAIN: Final = timedelta(minutes=5)
"""A forecast that stays the same is written again after so long, so that people see that it holds."""
_STEPS: Final = ((timedelta(hours=1), 60), (timedelta(hours=6), 300), (timedelta(days=1), 900))
_FAR_STEP_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits. jobs: so many waiting attempts of each backend. budget_s: after this, the futures that there are do."""

    jobs: int = 500
    futures: int = 20
    horizon_s: int = 7 * 86_400
    budget_s: float = 8


class Foresight:
    """Outlives a tick: what was submitted in the last weeks is not read each time."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._past = Past()

    async def tick(self, deps: Deps, now: datetime) -> int:
        """How many forecasts were written."""
        settings = self._settings
        books = await _look(deps, self._past, now, most=settings.jobs)
        if books is None:
            return 0
        setup = await asyncio.to_thread(setup_of, books, most=settings.jobs, futures=settings.futures)
        if not setup.jobs:
            return 0
        seen = await _unfold(setup, horizon_s=settings.horizon_s, budget_s=settings.budget_s)
        if len(seen) < _FEWEST:
            return 0
        found = await asyncio.to_thread(told, setup, seen, now=now)
        async with transaction(deps.pool, lease=deps.lease) as conn:
            known = await store.foreseen(conn, [each.attempt_id for each in found])
            news = [each for each in found if is_news(each, known.get(each.attempt_id))]
            if news:
                await store.write(conn, news)
        return len(news)


async def _look(deps: Deps, past: Past, now: datetime, *, most: int) -> Books | None:
    """None: nothing waits."""
    async with reading(deps.pool) as conn:
        seen = await store.in_sight(conn, reasons=FORESEEN, most=most)
        live = await planning.live(conn, seen)
        if not live.waiting:
            return None
        claimed = await claims.look(conn, deps, live, now)
        begun = await store.begun(conn)
        since, tried = await past.tried(conn, now)
        closures = (await reservations.ahead(conn, now=now)).closures
        devices = await device_store.conditions(conn)
    wanted = {each.backend for each in live.waiting}
    pools = await asyncio.gather(*(_pool(deps, name, each) for name, each in deps.backends.items() if name in wanted))
    backends = {
        pool.name: sizes.with_windows(pool, devices.get(pool.name), closures) for pool in pools if pool is not None
    }
    return Books(
        now=now,
        live=live,
        claims=claimed,
        begun=begun,
        backends=backends,
        tried=tried,
        since=since,
        walls=(Wall(at=fiscal_year_end(now), kind=FISCAL_YEAR),) if deps.settings.fiscal_year_wall else (),
    )


async def _pool(deps: Deps, name: str, backend: Backend) -> Pool | None:
    """None: it does not answer, or takes nothing now: of what waits for it nothing is foreseen."""
    try:
        capacity = await ask(deps, name, "capacity", backend.capacity())
    except Unavailable:
        return None
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        items.report("forecasting", backend, problem)
        return None
    if not capacity.online:
        return None
    look_ahead = backend.capabilities().look_ahead
    return Pool(name=name, total=capacity.total, free=capacity.free, look_ahead=look_ahead)


async def _unfold(setup: Setup, *, horizon_s: int, budget_s: float) -> list[Mapping[int, int]]:
    """As many futures as there is time for. After each slice the others of this process have their turn."""
    clock, seen = asyncio.get_running_loop().time, list[Mapping[int, int]]()
    began = slice_began = clock()
    for future in unfolding(setup.scene, horizon_s):
        if future is not None:
            seen.append(future)
        if clock() - slice_began > _SLICE_S:
            await asyncio.sleep(_SLICE_S)
            slice_began = clock()
            if slice_began - began > budget_s:
                break
    return seen


def told(setup: Setup, seen: Sequence[Mapping[int, int]], *, now: datetime) -> list[Forecast]:
    """What these futures say of each waiting job, rounded."""
    setup.order.tick(setup.scene.now_s)
    places = positions(setup.jobs, seen)
    ahead = who_is_ahead(setup.jobs, places, setup.order, setup.tree)
    found = []
    for job in setup.jobs:
        starts = [future[job.number] for future in seen]
        p50, p90 = (_instant(at_level(starts, level), setup.scene.now_s, now) for level in (0.5, 0.9))
        causes = {cause.value: count for cause, count in ahead[job.number].items()}
        found.append(
            Forecast(
                attempt_id=setup.ids[job.number],
                as_of=now,
                position=places[job.number],
                p50_at=p50,
                p90_at=p90,
                ahead=causes,
            )
        )
    return found


def _instant(second: int | None, now_s: int, now: datetime) -> datetime | None:
    """Rounded up, the coarser the further away."""
    if second is None:
        return None
    away = timedelta(seconds=second - now_s)
    step_s = next((step_s for within, step_s in _STEPS if away < within), _FAR_STEP_S)
    return datetime.fromtimestamp(-(-(now + away).timestamp() // step_s) * step_s, UTC)


def is_news(new: Forecast, known: Forecast | None) -> bool:
    """It says something else than what is written, or that was long ago."""
    if known is None or new.as_of - known.as_of >= _TOLD_AGAIN:
        return True
    told_now = (new.position, new.p50_at, new.p90_at, dict(new.ahead))
    return told_now != (known.position, known.p50_at, known.p90_at, dict(known.ahead))
