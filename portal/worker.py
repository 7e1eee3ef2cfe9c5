"""The worker: every loop of the house in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import ModuleType

from hpc_adapters.contract import Backend
from hpc_adapters.errors import Unavailable
from infra.clock import new_id, utc_now
from infra.db.connection import Lease, Pool
from infra.runner import Loop, run
from metering.loops import capacity, collect
from metering.loops.deps import Deps as MeteringDeps
from portal.bootstrap import DatabaseUrls, build_backends, current_pool
from portal.serve import when_supervisor_dies
from portal.settings import Settings
from portal.supervise import stop_on_signals
from pricing.loops import expire, watch
from scheduler.loops import cancel, dispatch, observe, sweep
from scheduler.loops.deps import Deps as SchedulerDeps

Tick = Callable[[Lease | None, datetime], Awaitable[int]]


def loops(pool: Pool, backends: Mapping[str, Backend]) -> Sequence[Loop]:
    """Every loop with its interval. dispatch and cancel are woken by what they wait for; the rest looks."""

    def scheduling(module: ModuleType) -> Tick:
        def tick(lease: Lease | None, now: datetime) -> Awaitable[int]:
            deps = SchedulerDeps(pool=pool, lease=lease, backends=backends, new_id=new_id)
            moved: Awaitable[int] = module.tick(deps, now)
            return moved

        return tick

    def metering(module: ModuleType) -> Tick:
        def tick(lease: Lease | None, now: datetime) -> Awaitable[int]:
            moved: Awaitable[int] = module.tick(MeteringDeps(pool=pool, backends=backends, lease=lease), now)
            return moved

        return tick

    return (
        Loop("dispatch", scheduling(dispatch), every_s=1.0),
        Loop("cancel", scheduling(cancel), every_s=1.0),
        Loop("observe", scheduling(observe), every_s=0.5),
        Loop("sweep", scheduling(sweep), every_s=5.0),
        Loop("collect", metering(collect), every_s=1.0),
        Loop("capacity", metering(capacity), every_s=10.0),
        Loop("expire", lambda lease, now: expire.tick(pool, lease, now), every_s=60.0),
        Loop("watch", lambda lease, now: watch.tick(pool, lease, now), every_s=60.0),
    )


async def run_worker(settings: Settings, urls: DatabaseUrls) -> None:
    """Until SIGINT, SIGTERM, or the end of the supervisor. ExceptionGroup: a loop met what it cannot handle."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    running = asyncio.get_running_loop()
    when_supervisor_dies(lambda: running.call_soon_threadsafe(stop.set))
    backends = build_backends(settings)
    try:
        async with current_pool(urls.worker, size=settings.worker_connections) as pool:
            await run(loops(pool, backends), url=urls.worker, clock=utc_now, stop=stop, transient=(Unavailable,))
    finally:
        for backend in backends.values():
            await backend.close()
