"""One event of one attempt, in the caller's transaction: advance(), and what follows from it in the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never, cast
from uuid import UUID

from infra.db.connection import Conn, notify, reading, transaction
from pricing import service as pricing
from scheduler.core.causes import cause_of
from scheduler.core.effects import (
    CancelOnBackend,
    ChargeFairShare,
    Effect,
    LeaveBackend,
    NextPhase,
    Requeue,
    SettleHold,
    SubmitToBackend,
)
from scheduler.core.events import Event, Queued
from scheduler.core.lifecycle import InvalidTransition, advance
from scheduler.core.model import WITH_BACKEND, Attempt, Doubt, EndReason, State
from scheduler.loops import metrics
from scheduler.loops.calls import tell
from scheduler.loops.deps import Deps
from scheduler.store import attempts as store
from scheduler.store import phases as phase_store


@dataclass(frozen=True, slots=True)
class Applied:
    """The attempt afterwards, whether it has changed, and what the backend must be told after the commit."""

    attempt: Attempt
    changed: bool
    effects: tuple[Effect, ...]


async def note(
    deps: Deps,
    attempt_id: UUID,
    event: Event,
    *,
    now: datetime,
    result: bytes | None = None,
    seen: Attempt | None = None,
) -> Applied:
    """apply() in a transaction of its own, then what the backend must be told. seen: as at_once() wants it."""
    applied = None
    if seen is not None and result is None:
        async with reading(deps.pool) as conn:
            applied = await at_once(conn, deps, seen, event, now=now)
    if applied is None:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            applied = await apply(conn, deps, attempt_id, event, now=now, result=result)
    await tell(deps, applied.attempt, applied.effects)
    return applied


async def at_once(
    conn: Conn, deps: Deps, seen: Attempt, event: Event, *, now: datetime, decision: store.Decision = (None, {})
) -> Applied | None:
    """apply() of an attempt as it was a moment ago, in one statement that is its own transaction: under reading().

    None, and nothing is written: it is otherwise by now, or more than itself is to be booked. Then it is to be locked.
    """
    try:
        after, effects = advance(seen, event, deps.patience(seen.backend))
    except InvalidTransition:  # with how it is now, it may well be legal
        return None
    if after.version == seen.version or after.state not in WITH_BACKEND or not all(map(_is_outside, effects)):
        return None
    if not await store.save_at_once(conn, seen, after, event, lease=deps.lease, now=now, decision=decision):
        return None
    _count(seen, after)
    return Applied(after, changed=True, effects=effects)


def _is_outside(effect: Effect) -> bool:
    """Nothing is booked for it: the backend is told, after the commit."""
    return isinstance(effect, SubmitToBackend | CancelOnBackend | LeaveBackend)


async def apply(
    conn: Conn, deps: Deps, attempt_id: UUID, event: Event, *, now: datetime, result: bytes | None = None
) -> Applied:
    """Locks the attempt, advances it and books the effects. result: what the ended attempt left, when it was read."""
    before = await store.locked(conn, attempt_id)
    if before is None:
        raise LookupError(f"there is no attempt {attempt_id}")
    return await apply_to(conn, deps, before, event, now=now, result=result)


async def apply_to(
    conn: Conn, deps: Deps, before: Attempt, event: Event, *, now: datetime, result: bytes | None = None
) -> Applied:
    """The same of an attempt that is locked already."""
    after, effects = advance(before, event, deps.patience(before.backend))
    if after == before:
        return Applied(after, changed=False, effects=effects)
    if not await store.save(conn, before, after, event, now=now):
        return Applied(before, changed=False, effects=())
    for effect in effects:
        await _book(conn, deps, after, effect, now=now)
    if result is not None and after.state.is_terminal:
        await store.keep_result(conn, after, result, now=now)
    if after.state is not before.state:
        await _announce(conn, after)
    _count(before, after)
    return Applied(after, changed=True, effects=effects)


def _count(before: Attempt, after: Attempt) -> None:
    if after.state is not before.state:
        metrics.TRANSITIONS.labels(after.backend, after.state.value).inc()
    if after.doubt is Doubt.UNKNOWN:
        metrics.UNREADABLE.labels(after.backend).inc()


async def _book(conn: Conn, deps: Deps, attempt: Attempt, effect: Effect, *, now: datetime) -> None:
    match effect:
        case SettleHold(ending=ending, last=last):
            ended_at = attempt.ended_at or now
            await pricing.close_attempt(
                conn,
                attempt_id=attempt.id,
                ending=ending,
                ended_at=ended_at,
                last=last,
                now=now,
                cause=cause_of(ending, attempt.reason),
            )
        case ChargeFairShare(nu=nu):
            await store.charge_fair_share(conn, attempt, nu=nu, at=attempt.ended_at or now)
        case Requeue(ordinal=ordinal):
            await _requeue(conn, attempt, ordinal=ordinal, attempt_id=deps.new_id(), now=now)
        case NextPhase(name=name, ordinal=ordinal):
            await _begin_phase(conn, attempt, name, ordinal=ordinal, attempt_id=deps.new_id(), now=now)
        case SubmitToBackend() | CancelOnBackend() | LeaveBackend():
            pass  # outside, after the commit
        case _:
            assert_never(effect)


async def _requeue(conn: Conn, ended: Attempt, *, ordinal: int, attempt_id: UUID, now: datetime) -> None:
    facts = await store.billing_facts(conn, ended.id)
    await _insert(conn, _next(ended, ordinal=ordinal, attempt_id=attempt_id, now=now), facts)


async def _begin_phase(conn: Conn, ended: Attempt, name: str, *, ordinal: int, attempt_id: UUID, now: datetime) -> None:
    """It waits until it has been given what the phase before leaves (loops.phasing), which is woken."""
    asked = await phase_store.opening(conn, ended.job_id, name)
    facts = await store.billing_facts(conn, ended.id)
    first = Attempt(
        id=attempt_id,
        job_id=ended.job_id,
        organisation_id=ended.organisation_id,
        backend=asked.backend,
        offering_id=asked.offering_id,
        phase=name,
        earlier=ended.ordinal,
        ordinal=ordinal,
        kind=asked.kind,
        max_attempts=asked.max_attempts,
        max_timeouts=asked.max_timeouts,
        walltime_s=asked.walltime_s,
        nu=asked.nu,
        queued_at=now,
        trail=(Queued.__name__,),
    )
    await _insert(conn, first, {**facts, "offering_id": asked.offering_id})
    await notify(conn, "staging")


async def _insert(conn: Conn, new: Attempt, facts: Mapping[str, object]) -> None:
    """A further attempt of a job, under its hold. facts: whose it is, and of which offering."""
    await pricing.open_attempt(
        conn,
        attempt_id=new.id,
        job_id=new.job_id,
        organisation_id=cast("UUID", facts["organisation_id"]),
        project_id=cast("UUID", facts["project_id"]),
        person_id=cast("UUID", facts["person_id"]),
        offering_id=str(facts["offering_id"]),
        phase=new.phase,
        now=new.queued_at,
    )
    await store.insert(conn, [new])


def _next(ended: Attempt, *, ordinal: int, attempt_id: UUID, now: datetime) -> Attempt:
    return Attempt(
        id=attempt_id,
        job_id=ended.job_id,
        organisation_id=ended.organisation_id,
        backend=ended.backend,
        offering_id=ended.offering_id,
        phase=ended.phase,
        earlier=ended.earlier,
        next_phase=ended.next_phase,
        skippable=ended.skippable,
        max_timeouts=ended.max_timeouts,
        timeouts=ended.timeouts + (ended.reason == EndReason.TIMED_OUT),
        ordinal=ordinal,
        kind=ended.kind,
        max_attempts=ended.max_attempts,
        walltime_s=ended.walltime_s,
        nu=ended.nu,
        queued_at=now,
        trail=(Queued.__name__,),
    )


async def _announce(conn: Conn, attempt: Attempt) -> None:
    """What now may go on: freed units wake the dispatcher, and a call that is over is answered."""
    if attempt.state.is_terminal or attempt.state is State.QUEUED:
        await notify(conn, "dispatch")
    if attempt.state.is_terminal and attempt.beside:
        await notify(conn, "calls")


def foreseen(deps: Deps, attempt: Attempt, event: Event) -> tuple[bool, bool]:
    """Without writing: whether the event changes the attempt at all, and whether it ends it by its own code's end."""
    after, effects = advance(attempt, event, deps.patience(attempt.backend))
    by_itself = after.state in {State.SUCCEEDED, State.FAILED} and not attempt.state.is_terminal
    return after != attempt or bool(effects), by_itself
