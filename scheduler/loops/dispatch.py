"""Steps 4 and 5 of the life of a job: plan, write why the others wait, end what never will, hand over what starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.contract import Backend
from hpc_adapters.devices import Devices
from hpc_adapters.errors import Unavailable
from infra.db.connection import Conn, reading, transaction
from scheduler.core.cycle import plan
from scheduler.core.events import NeverReady, ReservationOver
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Never, Plan, Pool, Snapshot, Wait
from scheduler.devices import Condition
from scheduler.loops import claims, items, metrics, preempt, walls
from scheduler.loops.apply import apply_to
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.loops.handover import HandedOver, hand_over_all
from scheduler.store import attempts as attempt_store
from scheduler.store import devices as device_store
from scheduler.store import planning as store


async def tick(deps: Deps, now: datetime) -> int:
    """One cycle after the other, until all that could start has been handed over. How many attempts were."""
    deadline = asyncio.get_running_loop().time() + deps.settings.hand_over_budget_s
    moved = 0
    while True:
        decided = await _cycle(deps, now)
        rounds = await _hand_over(deps, decided, now, deadline)
        answered = sum(each.answered for each in rounds)
        moved += answered
        more = any(wait.why is Why.NEXT_CYCLE for wait in decided.waits)
        stuck = answered == 0 or any(each.silent for each in rounds)
        if stuck or not more or asyncio.get_running_loop().time() > deadline:
            return moved


async def _hand_over(deps: Deps, decided: Plan, now: datetime, deadline: float) -> Sequence[HandedOver]:
    rounds = [
        hand_over_all(deps, [start for start in decided.starts if start.backend == name], now, deadline)
        for name in sorted({start.backend for start in decided.starts})
    ]
    return await asyncio.gather(*rounds)


# -- plan --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Picture:
    """What our own books say."""

    live: store.Live
    holding: Sequence[Holding]
    claims: claims.Claims
    devices: Mapping[str, Condition] = field(default_factory=dict)
    """Quantum devices as the register has them: their windows and their vendors' queues."""
    preempted: Mapping[UUID, int] = field(default_factory=dict)
    """Attempts of each organisation that were asked to make room in the last hour."""


async def _cycle(deps: Deps, now: datetime) -> Plan:
    """Our books first, the backends after: what has started or ended in between only makes a plan more careful."""
    async with reading(deps.pool) as conn:
        picture = await _look(conn, deps, now)
        ahead = await walls.look(conn, picture.live.waiting, now=now)
    pools = await _pools(deps, picture, now)
    snapshot = Snapshot(
        now=now,
        pools=pools,
        waiting=picture.live.waiting,
        holding=picture.holding,
        standings=picture.claims.standings,
        stakes=picture.claims.stakes,
        limits=picture.claims.limits,
        month_micro_nu=picture.claims.month_micro_nu,
        preempted=picture.preempted,
        policy=deps.settings.policy,
    )
    decided = plan(walls.applied(snapshot, ahead, fiscal_year=deps.settings.fiscal_year_wall))
    changed = [wait for wait in decided.waits if _is_news(wait, picture.live.reasons[wait.attempt_id])]
    if changed:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            await store.write_reasons(conn, changed)
    _show(decided)
    await preempt.carry_out(deps, decided.preempts, now)
    nevers = decided.nevers[: deps.settings.item_limit]
    await items.each("dispatch", nevers, lambda never: _end(deps, never, now))
    return decided


def _is_news(wait: Wait, known: store.Reason) -> bool:
    return known != (wait.why.value, dict(wait.facts))


async def _look(conn: Conn, deps: Deps, now: datetime) -> _Picture:
    live = await store.live(conn)
    if not live.waiting:
        return _Picture(live, live.held, claims.Claims())
    told = await claims.look(conn, deps, live, now)
    preempted = await attempt_store.preempted(conn, since=now - timedelta(hours=1))
    return _Picture(live, live.held, told, await _devices(conn, deps), preempted)


async def _devices(conn: Conn, deps: Deps) -> Mapping[str, Condition]:
    """None where no backend is one: a look is saved."""
    has_devices = any(isinstance(backend, Devices) for backend in deps.backends.values())
    return await device_store.conditions(conn) if has_devices else {}


def _show(decided: Plan) -> None:
    counts = dict.fromkeys(Why, 0)
    for wait in decided.waits:
        counts[wait.why] += 1
    for why, count in counts.items():
        metrics.WAITING.labels(why.value).set(count)


async def _end(deps: Deps, never: Never, now: datetime) -> bool:
    """What it waits for can no longer happen: it ends in the queue, and costs nothing."""
    over = never.reservation
    event = NeverReady(at=now, jobs=never.jobs) if over is None else ReservationOver(at=now, reservation=over)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await attempt_store.locked(conn, never.attempt_id)
        if attempt is None or attempt.state is not State.QUEUED:
            return False
        return (await apply_to(conn, deps, attempt, event, now=now)).changed


# -- the backends' sizes -----------------------------------------------------------------------------------------------


async def _pools(deps: Deps, picture: _Picture, now: datetime) -> dict[str, Pool]:
    """Each backend's size and free units, asked at once; one that does not answer is offline for this cycle."""
    asked = [_pool(deps, name, backend, picture, now) for name, backend in sorted(deps.backends.items())]
    return {pool.name: _as_device(pool, picture.devices.get(pool.name)) for pool in await asyncio.gather(*asked)}


def _as_device(pool: Pool, known: Condition | None) -> Pool:
    if known is None:
        return pool
    return replace(pool, windows=known.windows, condition=known.state.value, vendor_queue=known.queue)


async def _pool(deps: Deps, name: str, backend: Backend, picture: _Picture, now: datetime) -> Pool:
    settings, asked_s = deps.settings, asyncio.get_running_loop().time()
    for_s = settings.capacity_reuse_s if picture.live.waiting else settings.capacity_renew_s
    known = deps.capacities.known(name, picture.holding, now_s=asked_s, for_s=for_s)
    if known is not None:
        return known
    try:
        capacity = await ask(deps, name, "capacity", backend.capacity())
    except Unavailable:
        return Pool(name=name, online=False)
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        items.report("dispatch", backend, problem)  # a fault in one adapter stops nobody else's machine
        return Pool(name=name, online=False)
    pool = Pool(
        name=name,
        total=capacity.total,
        free=capacity.free,
        online=capacity.online,
        look_ahead=backend.capabilities().look_ahead,
        asked_at=now,
    )
    deps.capacities.keep(pool, picture.holding, asked_s=asked_s)
    return pool
