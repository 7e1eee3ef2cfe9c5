"""The worker: every loop of the house in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType

from prometheus_client import start_http_server

from accounts.sealing import Sealer
from hpc_adapters.contract import Backend
from hpc_adapters.errors import Unavailable
from infra.clock import new_id, utc_now
from infra.db.connection import Lease, Pool
from infra.runner import Loop, run
from metering.loops import capacity, collect
from metering.loops.deps import CollectSettings
from metering.loops.deps import Deps as MeteringDeps
from portal.bootstrap import DatabaseUrls, build_backends, current_pool, load_gateway, load_sealer, load_store
from portal.data import leaving
from portal.data.service import DataStore
from portal.data.shelf import JobShelf
from portal.serve import when_supervisor_dies
from portal.settings import Settings, SettingsWrong, SlurmSite
from portal.site import keeping
from portal.supervise import stop_on_signals
from pricing.loops import closing, dun, events, expire, notices, reconcile, watch
from pricing.loops import collect as collecting
from pricing.stripe_gateway import StripeGateway
from scheduler.loops import cancel, devices, dispatch, elastic, forgetting, listening, observe, staging, sweep
from scheduler.loops.deps import Deps as SchedulerDeps
from scheduler.loops.deps import Settings as SchedulerSettings
from scheduler.loops.forecasting import Foresight

Tick = Callable[[Lease | None, datetime], Awaitable[int]]

LATEST = CollectSettings(overlap=timedelta(minutes=2), catches_up=False)
"""What is asked every second: an hour of a busy cluster's accounting is more than that is worth."""
CATCH_UP_S = 120
"""How often the last hour is read again, for records that came late or were corrected or never came."""
SITE_SYNC_S = 300
DEVICES_S = 60
FORECAST_S = 30
KEEP_RUNS_DAYS = 90
FORGET_S = 3_600
ELASTIC_S = 60.0
COLLECTING_S = 10.0
EVENTS_S = 10.0
RECONCILE_S = 600.0
DUN_S = 3_600.0
NOTICES_S = 600.0


def loops(
    pool: Pool,
    backends: Mapping[str, Backend],
    *,
    sealer: Sealer | None = None,
    data: DataStore | None = None,
    catch_up_s: int = CATCH_UP_S,
    sites: Mapping[str, SlurmSite] | None = None,
    site_sync_s: int = SITE_SYNC_S,
    devices_every_s: int = DEVICES_S,
    keep_runs_days: int | None = KEEP_RUNS_DAYS,
    forecast_every_s: int = FORECAST_S,
    stripe: StripeGateway | None = None,
) -> Sequence[Loop]:
    """Every loop with its interval. dispatch and cancel are woken by what they wait for; the rest looks.

    sealer: opens members' secrets for their jobs; without one no job that names a secret starts. data: where files of
    organisations are kept. sites: whose accounting is kept like ours, so often; 0: by hand only.
    keep_runs_days: what ended attempts left on this machine; None: for ever. forecast_every_s: 0: nothing is foreseen.
    stripe: None: nothing is collected there.
    """
    common = _scheduling(pool, backends, keep_runs_days, sealer=sealer, data=data)

    def scheduling(module: ModuleType | Foresight) -> Tick:
        def tick(lease: Lease | None, now: datetime) -> Awaitable[int]:
            moved: Awaitable[int] = module.tick(replace(common, lease=lease), now)
            return moved

        return tick

    look_back = CollectSettings(catch_up_after=timedelta(seconds=catch_up_s))

    def metering(module: ModuleType, settings: CollectSettings = look_back) -> Tick:
        def tick(lease: Lease | None, now: datetime) -> Awaitable[int]:
            deps = MeteringDeps(pool=pool, backends=backends, lease=lease, settings=settings)
            moved: Awaitable[int] = module.tick(deps, now)
            return moved

        return tick

    return (
        Loop("dispatch", scheduling(dispatch), every_s=1.0),
        Loop("cancel", scheduling(cancel), every_s=1.0),
        Loop("observe", scheduling(observe), every_s=0.5),
        Loop("sweep", scheduling(sweep), every_s=5.0),
        Loop("staging", scheduling(staging), every_s=1.0),
        Loop("calls", scheduling(listening), every_s=0.5),
        Loop("devices", scheduling(devices), every_s=float(devices_every_s)),
        Loop("elastic", scheduling(elastic), every_s=ELASTIC_S),
        Loop("forgetting", scheduling(forgetting), every_s=float(FORGET_S)),
        Loop("leaving", lambda lease, now: leaving.tick(data, pool, lease, now), every_s=60.0),
        Loop("collect", metering(collect, LATEST), every_s=1.0),
        Loop("recollect", metering(collect), every_s=float(catch_up_s)),
        Loop("capacity", metering(capacity), every_s=10.0),
        Loop("closing", lambda lease, now: closing.tick(pool, lease, now), every_s=30.0),
        Loop("expire", lambda lease, now: expire.tick(pool, lease, now), every_s=60.0),
        Loop("watch", lambda lease, now: watch.tick(pool, lease, now), every_s=60.0),
        Loop("notices", lambda lease, now: notices.tick(pool, lease, now), every_s=NOTICES_S),
        *_collecting(stripe, pool),
        *_wanted(Loop("forecasting", scheduling(Foresight()), every_s=float(forecast_every_s))),
        *_keeping(sites or {}, pool, every_s=site_sync_s),
    )


def _scheduling(
    pool: Pool,
    backends: Mapping[str, Backend],
    keep_runs_days: int | None,
    *,
    sealer: Sealer | None,
    data: DataStore | None,
) -> SchedulerDeps:
    settings = SchedulerSettings(keep_runs_days=keep_runs_days)
    deps = SchedulerDeps(pool=pool, lease=None, backends=backends, new_id=new_id, settings=settings)
    if sealer is not None:
        deps = replace(deps, unseal=sealer.unseal)
    if data is not None:
        deps = replace(deps, shelf=JobShelf(data, pool, new_id=new_id))
    return deps


def _collecting(stripe: StripeGateway | None, pool: Pool) -> Iterator[Loop]:
    yield Loop("dun", lambda lease, now: dun.tick(pool, lease, now), every_s=DUN_S)
    if stripe is None:
        return

    def asking(module: ModuleType) -> Tick:
        def tick(lease: Lease | None, now: datetime) -> Awaitable[int]:
            moved: Awaitable[int] = module.tick(stripe, pool, lease, now)
            return moved

        return tick

    yield Loop("collecting", asking(collecting), every_s=COLLECTING_S)
    yield Loop("stripe-events", asking(events), every_s=EVENTS_S)
    yield Loop("reconcile", asking(reconcile), every_s=RECONCILE_S)


def _wanted(loop: Loop) -> Iterator[Loop]:
    if loop.every_s:
        yield loop


def _keeping(sites: Mapping[str, SlurmSite], pool: Pool, *, every_s: int) -> Iterator[Loop]:
    if sites and every_s:
        yield Loop("sites", lambda lease, now: keeping.tick(sites, pool, lease, now), every_s=float(every_s))


async def run_worker(settings: Settings, urls: DatabaseUrls) -> None:
    """Until SIGINT, SIGTERM, or the end of the supervisor. ExceptionGroup: a loop met what it cannot handle.

    SettingsWrong: somebody else has the port for its figures.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    running = asyncio.get_running_loop()
    when_supervisor_dies(lambda: running.call_soon_threadsafe(stop.set))
    backends = build_backends(settings)
    sealer, data, stripe = load_sealer(settings), load_store(settings), load_gateway(settings)
    try:
        with _figures(settings.worker_metrics_port):
            async with current_pool(urls.worker, size=settings.worker_connections) as pool:
                await run(
                    loops(
                        pool,
                        backends,
                        sealer=sealer,
                        data=data,
                        catch_up_s=settings.accounting_catch_up_s,
                        sites=keeping.sites_of(settings),
                        site_sync_s=settings.site_sync_s,
                        devices_every_s=settings.devices_every_s,
                        keep_runs_days=settings.keep_runs_days or None,
                        forecast_every_s=settings.forecast_every_s,
                        stripe=stripe,
                    ),
                    url=urls.worker,
                    clock=utc_now,
                    stop=stop,
                    transient=(Unavailable,),
                )
    finally:
        if data is not None:
            await data.storage.close()
        for backend in backends.values():
            await backend.close()


@contextmanager
def _figures(port: int | None) -> Iterator[None]:
    """What the loops count, in Prometheus' text format, for this machine alone."""
    if port is None:
        yield
        return
    try:
        shown, thread = start_http_server(port, addr="127.0.0.1")
    except OSError as taken:
        raise SettingsWrong(f"KYOYO_WORKER_METRICS_PORT={port}: {taken.strerror}") from taken
    try:
        yield
    finally:
        shown.shutdown()
        thread.join()
        shown.server_close()
