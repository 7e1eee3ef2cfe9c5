"""Steps 4 and 5 of the life of a job: plan, write why the others wait, and hand over what starts.

A hand-over is two transactions with the backend's call between them. The first notes 'Dispatched' before anything
leaves us; the second notes the answer. Killed anywhere between, or left without an answer, the attempt stays
DISPATCHING and the sweep finds out. It is never sent as two attempts, and the start gate lets one attempt start once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from accounts import service as accounts
from hpc_adapters.contract import Backend, JobRequest
from hpc_adapters.errors import Rejected, Unavailable
from infra.db.connection import Conn, transaction
from infra.refusal import Refusal
from scheduler.core.cycle import plan
from scheduler.core.events import Accepted, Dispatched, Event, NotSubmitted, Refused
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Plan, Pool, Snapshot, Standing, Start, Wait
from scheduler.loops import items, metrics
from scheduler.loops.apply import apply, note
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.store import attempts as attempt_store
from scheduler.store import planning as store
from scheduler.store.requests import request_of

_log = structlog.get_logger(__name__)


async def tick(deps: Deps, now: datetime) -> int:
    """One cycle. How many attempts were handed over."""
    began = asyncio.get_running_loop().time()
    pools = await _pools(deps)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        decided = await _decide(conn, deps, pools, now)
    deadline = began + deps.settings.hand_over_budget_s
    rounds = [
        _hand_over_all(deps, [start for start in decided.starts if start.backend == name], now, deadline)
        for name in sorted({start.backend for start in decided.starts})
    ]
    return sum(await asyncio.gather(*rounds))


# -- plan --------------------------------------------------------------------------------------------------------------


async def _pools(deps: Deps) -> dict[str, Pool]:
    """Each backend's size and free units, asked at once; one that does not answer is offline for this cycle."""
    asked = [_pool(deps, name, backend) for name, backend in sorted(deps.backends.items())]
    return {pool.name: pool for pool in await asyncio.gather(*asked)}


async def _pool(deps: Deps, name: str, backend: Backend) -> Pool:
    try:
        capacity = await ask(deps, name, "capacity", backend.capacity())
    except Unavailable:
        return Pool(name=name, online=False)
    return Pool(name=name, total=capacity.total, free=capacity.free, online=capacity.online)


async def _decide(conn: Conn, deps: Deps, pools: Mapping[str, Pool], now: datetime) -> Plan:
    line = await store.line(conn)
    decided = plan(await _snapshot(conn, deps, pools, line, now))
    changed = [wait for wait in decided.waits if _is_news(wait, line.reasons[wait.attempt_id])]
    if changed:
        await store.write_reasons(conn, changed)
    _show(decided)
    return decided


def _is_news(wait: Wait, known: store.Reason) -> bool:
    return known != (wait.why.value, dict(wait.facts))


async def _snapshot(conn: Conn, deps: Deps, pools: Mapping[str, Pool], line: store.Line, now: datetime) -> Snapshot:
    held = await store.held(conn)
    return Snapshot(
        now=now,
        pools=pools,
        waiting=line.waiting,
        holding=[each.holding for each in held],
        standings=await _standings(conn, deps, line, held, now),
        policy=deps.settings.policy,
    )


async def _standings(
    conn: Conn, deps: Deps, line: store.Line, held: Sequence[store.Held], now: datetime
) -> dict[UUID, Standing]:
    """Decayed use plus what each organisation holds now, at its full size until its real use is known."""
    shares = await store.shares(conn, at=now)
    used = await store.used_micro_nu(conn, at=now, half_life=deps.settings.half_life)
    for each in held:
        organisation = each.holding.organisation_id
        used[organisation] = used.get(organisation, 0) + each.micro_nu
    waiting = {each.organisation_id for each in line.waiting}
    standings = {}
    for organisation in sorted(waiting | {each.holding.organisation_id for each in held}):
        share = shares.get(organisation, deps.settings.default_share)
        standings[organisation] = Standing(
            organisation_id=organisation,
            weight=share.weight,
            used_micro_nu=used.get(organisation, 0),
            max_running_jobs=share.max_running_jobs,
            refused=await _refusal(conn, organisation, now) if organisation in waiting else None,
        )
    return standings


async def _refusal(conn: Conn, organisation_id: UUID, now: datetime) -> str | None:
    try:
        await accounts.require_eligible(conn, organisation_id, now=now)
    except Refusal as refusal:
        return refusal.code
    return None


def _show(decided: Plan) -> None:
    counts = dict.fromkeys(Why, 0)
    for wait in decided.waits:
        counts[wait.why] += 1
    for why, count in counts.items():
        metrics.WAITING.labels(why.value).set(count)


# -- hand over ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Handover:
    attempt_id: UUID
    request: JobRequest


async def _hand_over_all(deps: Deps, starts: Sequence[Start], now: datetime, deadline: float) -> int:
    """One backend's starts, in order, until it stops answering or the tick's budget is used up."""

    async def hand_over(start: Start) -> bool:
        if asyncio.get_running_loop().time() > deadline:
            return False
        return await _hand_over(deps, start, now)

    return await items.each("dispatch", starts, hand_over)


async def _hand_over(deps: Deps, start: Start, now: datetime) -> bool:
    handover = await _announced(deps, start, now)
    if handover is None:
        return False
    outcome = await _submitted(deps, start, handover.request, now)
    if outcome is not None:
        await note(deps, handover.attempt_id, outcome, now=now)
    if outcome is None or isinstance(outcome, NotSubmitted):
        raise Unavailable("ends the round", maybe_done=outcome is None)
    return True


async def _announced(deps: Deps, start: Start, now: datetime) -> _Handover | None:
    """Notes 'Dispatched' if it still may start: neither cancelled nor moved, and its organisation is still eligible."""
    try:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            attempt = await attempt_store.locked(conn, start.attempt_id)
            if attempt is None or attempt.state is not State.QUEUED or attempt.cancel_wanted:
                return None
            if await _refusal(conn, attempt.organisation_id, now) is not None:
                return None
            request = (await request_of(conn, attempt)).request
            applied = await apply(conn, deps, attempt.id, Dispatched(at=now), now=now)
            return _Handover(attempt.id, request) if applied.changed else None
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        await _park(deps, start, problem, now)
        return None


async def _park(deps: Deps, start: Start, problem: Exception, now: datetime) -> None:
    """It would be first in line again in each cycle, and fail again: it steps aside, and somebody is told."""
    items.report("dispatch", start, problem)
    until = now + timedelta(seconds=deps.settings.park_s)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await attempt_store.park(conn, start.attempt_id, until=until, problem=type(problem).__name__)


async def _submitted(deps: Deps, start: Start, request: JobRequest, now: datetime) -> Event | None:
    """The backend's answer as an event; None: nobody knows whether it has it."""
    try:
        ref = await ask(deps, start.backend, "submit", deps.backends[start.backend].submit(request))
    except Rejected as refusal:
        facts = {name: str(value) for name, value in refusal.facts.items()}
        return Refused(at=now, code=refusal.code, facts=facts)
    except Unavailable as problem:
        return None if problem.maybe_done else NotSubmitted(at=now, detail=problem.detail)
    except Exception as problem:  # noqa: BLE001  a fault in an adapter: as unknown an outcome as a lost answer
        items.report("dispatch", start, problem)
        return None
    return Accepted(at=now, native_id=ref.native_id)
