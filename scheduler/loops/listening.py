"""Calls that running jobs make to their QPU: read, carried out as attempts beside the job's own, answered.

A call is `call-N.json` in the job's mailbox, N = 1, 2, … without a gap, and one at a time: the next file is read when
the call before is answered. Killed anywhere, this is begun again: a file becomes a row once (it is unique by attempt
and number, and written together with the attempt that carries it out), an answer is written whole, as often as need
be. Nothing here is in a transaction while a backend is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from hpc_adapters.contract import Feature, Ref
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.job_files import Desk, Mailbox
from infra.db.connection import Conn, notify, reading, transaction
from infra.refusal import Refusal
from pricing import service as pricing
from scheduler.core.calls import (
    IDLE,
    MAX_CALL_BYTES,
    MAX_REFUSED,
    Call,
    CallRefused,
    Used,
    answer_of,
    is_idle,
    judged,
    refusal,
)
from scheduler.core.events import Queued
from scheduler.core.model import Attempt, JobKind
from scheduler.loops import items
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.loops.identities import identity_of
from scheduler.loops.waits import give_up
from scheduler.store import attempts as attempt_store
from scheduler.store import calls as store
from scheduler.store.calls import Session, Unanswered

_Asking = TypeVar("_Asking", Session, Unanswered)
_AT_ONCE = 1_000
"""Sessions, and answers, in one tick."""


async def tick(deps: Deps, now: datetime) -> int:
    """How many calls have been taken or answered. Answers first: whoever has one may ask again.

    It looks twice a second, mostly at nothing: without a transaction, and not at all where no machine has mailboxes.
    """
    if all(_mailbox(deps, name) is None for name in deps.backends):
        return 0
    await give_up(deps, now, limit=_AT_ONCE)
    async with reading(deps.pool) as conn:
        over = await store.unanswered(conn, limit=_AT_ONCE)
    answered = await _each(over, lambda each: _answer(deps, each, now))
    async with reading(deps.pool) as conn:
        sessions = await store.sessions(conn, limit=_AT_ONCE)
    return answered + await _each(sessions, lambda each: _listen(deps, each, now))


async def _each(found: Sequence[_Asking], work: Callable[[_Asking], Awaitable[bool]]) -> int:
    """Machine by machine, side by side; within one, a mailbox that is broken holds up no other."""
    names = sorted({each.backend for each in found})
    groups = [[each for each in found if each.backend == name] for name in names]
    return sum(await asyncio.gather(*(items.each("calls", group, lambda each: _tried(each, work)) for group in groups)))


async def _tried(each: _Asking, work: Callable[[_Asking], Awaitable[bool]]) -> bool:
    """Unavailable: the machine does not answer at all. What only this job's folder or owner stands for waits."""
    try:
        return await work(each)
    except (Forgotten, Refusal):
        return False  # it has just ended, is being looked for, or has closed its mailbox; or its member has left
    except Unavailable as problem:
        if problem.maybe_done:
            raise
        return False


def _mailbox(deps: Deps, name: str) -> Mailbox | None:
    backend = deps.backends.get(name)
    if backend is None or Feature.CALLS not in backend.capabilities().features:
        return None
    assert isinstance(backend, Mailbox)
    return backend


async def _desk(deps: Deps, each: Session | Unanswered) -> Desk:
    async with reading(deps.pool) as conn:
        identity = await identity_of(
            conn, deps, backend=each.backend, organisation_id=each.organisation_id, person_id=each.person_id
        )
    return Desk(each.caller_id, str(each.organisation_id), identity=identity)


# -- answers -----------------------------------------------------------------------------------------------------------


async def _answer(deps: Deps, over: Unanswered, now: datetime) -> bool:
    """Written again after a crash between the file and its row: the same bytes, in the same place."""
    content = _content(over)
    mailbox = _mailbox(deps, over.backend)
    if content is None or mailbox is None:
        return False
    ref = Ref(over.backend, over.caller_id, over.native_id)
    desk = await _desk(deps, over)
    await ask(deps, over.backend, "answer", mailbox.answer_call(ref, desk, over.file_number, content))
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.set_answered(conn, over, now=now)
    return True


def _content(over: Unanswered) -> bytes | None:
    """None: what the device left is still to be read."""
    if over.code is not None:
        return refusal(over.code, over.facts)
    if over.state is None or (over.has_run and over.result is None):
        return None
    return answer_of(over.state, over.reason, over.result or b"")


# -- calls -------------------------------------------------------------------------------------------------------------


async def _listen(deps: Deps, session: Session, now: datetime) -> bool:
    """The next file of one session, if there is one now; and the end of one that has been silent for too long."""
    mailbox = _mailbox(deps, session.backend)
    if mailbox is None or session.pending or session.refused > MAX_REFUSED:
        return False
    ref = Ref(session.backend, session.caller_id, session.native_id)
    desk = await _desk(deps, session)
    read = mailbox.read_call(ref, desk, session.asked + 1, MAX_CALL_BYTES + 1)
    told = await ask(deps, session.backend, "read-call", read)
    if told:
        return await _take(deps, session, told, now)
    if session.answered_at is None:
        return False  # it has not called yet: some load their data for an hour first
    if not session.closed and is_idle(session.qpu.allowed, session.answered_at, now):
        return await _close(deps, session, now)
    return False


async def _close(deps: Deps, session: Session, now: datetime) -> bool:
    async with transaction(deps.pool, lease=deps.lease) as conn:
        if await _again(conn, session) is None:
            return False
        await store.close(conn, session, now=now)
    return True


async def _take(deps: Deps, session: Session, told: bytes, now: datetime) -> bool:
    """One file becomes one row, with the attempt that carries it out or with the reason why none does."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        locked = await _again(conn, session)
        if locked is None:
            return False  # somebody was quicker, or the job is ending
        used, newest = await store.used(conn, locked.job_id)
        made = _judged(locked, told, used)
        if isinstance(made, Call):
            attempt = _attempt(locked, newest + 1, made, deps.new_id(), now)
            await store.keep_call(conn, locked, newest + 1, (made, attempt.id), now=now)
            await _open(conn, locked, attempt)
        else:
            await store.keep_call(conn, locked, newest + 1, made, now=now)
            await notify(conn, "calls")
    return True


async def _again(conn: Conn, session: Session) -> Session | None:
    """The session under its lock; None: it is not as it was when its mailbox was read."""
    locked = await store.session_now(conn, session.caller_id)
    if locked is None or locked.asked != session.asked or locked.pending:
        return None
    return locked


def _judged(session: Session, told: bytes, used: Used) -> Call | tuple[str, Mapping[str, object]]:
    if session.refused == MAX_REFUSED:
        return "too-many-refusals", {"limit": MAX_REFUSED}
    if session.closed:
        return IDLE, {"idle_s": session.qpu.allowed.idle_s}
    try:
        return judged(told, session.qpu.allowed, used)
    except CallRefused as refused:
        return refused.code, refused.facts


async def _open(conn: Conn, session: Session, attempt: Attempt) -> None:
    """Under the job's hold, whose ceiling covers it."""
    await pricing.open_attempt(
        conn,
        attempt_id=attempt.id,
        job_id=attempt.job_id,
        organisation_id=attempt.organisation_id,
        project_id=session.project_id,
        person_id=session.person_id,
        offering_id=session.qpu.offering_id,
        phase=attempt.phase,
        now=attempt.queued_at,
    )
    await attempt_store.insert(conn, [attempt])


def _attempt(session: Session, number: int, call: Call, attempt_id: UUID, now: datetime) -> Attempt:
    """Numbered below zero: it stands beside the job's own attempts."""
    return Attempt(
        id=attempt_id,
        job_id=session.job_id,
        organisation_id=session.organisation_id,
        backend=session.qpu.backend,
        phase=f"call-{number}",
        ordinal=-number,
        earlier=-number - 1,
        beside=True,
        kind=JobKind.QUANTUM,
        max_attempts=1,
        walltime_s=session.qpu.call_s,
        nu=call.nu,
        queued_at=now,
        trail=(Queued.__name__,),
    )
