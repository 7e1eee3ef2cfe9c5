"""What an operator watches: the queue and the machines."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from accounts import service as accounts
from hpc_adapters.contract import Backend, Capacity, Health, Resources
from hpc_adapters.errors import Unavailable
from portal.api.jobrecord import WaitingOut, waiting_out
from portal.api.wire import Items, Out
from portal.auth.caller import Operator
from portal.deps import PortalDeps
from scheduler import service as scheduler

router = APIRouter(tags=["operator"])
_PATIENCE_S = 5.0


class QueueEntryOut(Out):
    """A live attempt. `position`: in the line before its machine, while it waits."""

    attempt_id: UUID
    job_id: UUID
    organisation_id: UUID
    organisation: str
    name: str
    kind: str
    backend: str
    state: str
    attempt: int
    gpus: int
    qpus: int
    walltime_s: int
    submitted_at: datetime
    started_at: datetime | None
    position: int | None
    waiting: WaitingOut | None
    doubt: str | None


class StandingOut(Out):
    """An organisation in the fair share, in normalised units."""

    organisation_id: UUID
    organisation: str
    weight: int
    max_queued_jobs: int
    max_running_jobs: int
    used_nu: float
    holding_nu: float
    queued_jobs: int
    running_jobs: int


class QueueOut(Out):
    entries: list[QueueEntryOut]
    standings: list[StandingOut]


class UnitsOut(Out):
    gpus: int
    cpus: int
    memory_mb: int
    qpus: int


class BackendOut(Out):
    """A machine as it says of itself now. `isolation`: how far it keeps organisations apart."""

    name: str
    ok: bool
    detail: str
    checked_at: datetime
    online: bool
    isolation: str
    components: list[str]
    total: UnitsOut | None
    free: UnitsOut | None


@router.get("/queue")
async def get_queue(caller: Operator) -> QueueOut:
    """Every live attempt with the reason why it waits, and the fair share's standings."""
    async with caller.transaction() as conn:
        view = await scheduler.queue_view(conn, now=caller.now)
        names = {each.id: each.name for each in await accounts.list_organisations(conn)}
    entries = [
        QueueEntryOut(
            attempt_id=each.attempt_id,
            job_id=each.job_id,
            organisation_id=each.organisation_id,
            organisation=names.get(each.organisation_id, ""),
            name=each.name,
            kind=each.kind.value,
            backend=each.backend,
            state=each.state.value,
            attempt=each.ordinal,
            gpus=each.gpus,
            qpus=each.qpus,
            walltime_s=each.walltime_s,
            submitted_at=each.submitted_at,
            started_at=each.started_at,
            position=each.position,
            waiting=waiting_out(each.waiting, caller.language),
            doubt=each.doubt,
        )
        for each in view.entries
    ]
    standings = [
        StandingOut(
            organisation_id=each.organisation_id,
            organisation=names.get(each.organisation_id, ""),
            weight=each.weight,
            max_queued_jobs=each.max_queued_jobs,
            max_running_jobs=each.max_running_jobs,
            used_nu=each.used_nu,
            holding_nu=each.holding_nu,
            queued_jobs=each.queued_jobs,
            running_jobs=each.running_jobs,
        )
        for each in view.standings
    ]
    return QueueOut(entries=entries, standings=standings)


@router.get("/backends")
async def get_backends(caller: Operator) -> Items[BackendOut]:
    """Every machine: whether it can work, its size, and what is free."""
    return Items(items=await look_at_backends(caller.deps))


async def look_at_backends(deps: PortalDeps) -> list[BackendOut]:
    """All machines at once; one that does not answer in time is not ok."""
    return list(await asyncio.gather(*(_look(name, each, deps) for name, each in sorted(deps.backends.items()))))


async def _look(name: str, backend: Backend, deps: PortalDeps) -> BackendOut:
    told = backend.capabilities()
    health, capacity = await _health(backend, deps), await _capacity(backend)
    deps.metrics.set_backend(name, health)
    return BackendOut(
        name=name,
        ok=health.ok,
        detail=health.detail,
        checked_at=health.checked_at,
        online=capacity is not None and capacity.online,
        isolation=told.isolation.value,
        components=sorted(told.components),
        total=_units(capacity.total) if capacity else None,
        free=_units(capacity.free) if capacity else None,
    )


async def _health(backend: Backend, deps: PortalDeps) -> Health:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await backend.health()
    except TimeoutError:
        return Health(ok=False, checked_at=deps.clock(), detail="no-answer")


async def _capacity(backend: Backend) -> Capacity | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await backend.capacity()
    except (Unavailable, TimeoutError):
        return None


def _units(amount: Resources) -> UnitsOut:
    return UnitsOut(gpus=amount.gpus, cpus=amount.cpus, memory_mb=amount.memory_mb, qpus=amount.qpus)
