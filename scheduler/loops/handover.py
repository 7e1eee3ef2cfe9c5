"""Step 5 of the life of a job: handing what starts to its backend.

A hand-over is two transactions with the backend's call between them. The first notes 'Dispatched' before anything
leaves us; the second notes the answer. Killed anywhere between, or left without an answer, the attempt stays
DISPATCHING and the sweep finds out. It is never sent as two attempts, and the start gate lets one attempt start once.

Attempts are announced one after the other, in the plan's order; the calls of several may be on their way at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from accounts import service as accounts
from hpc_adapters.contract import JobRequest, Script
from hpc_adapters.errors import Rejected, Unavailable
from infra.db.ahead import Look, ahead
from infra.db.connection import Conn, reading, transaction
from infra.refusal import Refusal
from scheduler.core.events import Accepted, Dispatched, Event, NotSubmitted, Refused
from scheduler.core.model import Attempt, State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Start
from scheduler.loops import items
from scheduler.loops.apply import at_once, note
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.loops.identities import runner_looks, runner_of
from scheduler.loops.placing import require_location, why_here
from scheduler.store import attempts as attempt_store
from scheduler.store import decisions
from scheduler.store.requests import Asked, request_look, request_of


@dataclass(frozen=True, slots=True)
class _Announced:
    """An attempt that is on its way. Its secrets are open from here on, and kept nowhere."""

    start: Start
    attempt: Attempt
    """As its announcement left it."""
    request: JobRequest = field(repr=False)

    @property
    def attempt_id(self) -> object:
        return self.start.attempt_id


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How a round with one backend went."""

    answered: int
    """For so many attempts it has answered."""
    silent: bool
    """An answer failed to come: it is not asked for more before the next tick."""


class Window(NamedTuple):
    """In which hand-overs may begin."""

    clock: Callable[[], float]
    until: float
    """In its seconds."""

    @property
    def is_over(self) -> bool:
        return self.clock() > self.until


async def hand_over_all(deps: Deps, starts: Sequence[Start], now: datetime, window: Window) -> HandedOver:
    """One backend's starts, until it stops answering or the tick's budget is used up."""
    round_ = _Round(deps, now)
    try:
        for start in starts:
            await round_.room()
            if round_.is_over or window.is_over:
                break
            await round_.begin(start)
    finally:
        await round_.end()
    return HandedOver(round_.answered, silent=round_.is_over)


class _Round:
    """The calls that are on their way to one backend."""

    def __init__(self, deps: Deps, now: datetime) -> None:
        self._deps, self._now = deps, now
        self._calls: set[asyncio.Task[bool]] = set()
        self.is_over = False
        """An answer failed to come: nothing more is begun in this round."""
        self.answered = 0

    async def room(self) -> None:
        """Waits until another call may be made, and heeds what has been answered."""
        if any(call.done() for call in self._calls):
            await self._settle(asyncio.FIRST_COMPLETED)
        while len(self._calls) >= self._deps.settings.hand_overs:
            await self._settle(asyncio.FIRST_COMPLETED)

    async def begin(self, start: Start) -> None:
        announced = await _announced(self._deps, start, self._now)
        if announced is not None:
            self._calls.add(asyncio.create_task(_called(self._deps, announced, self._now)))

    async def end(self) -> None:
        """Every call is waited for, whatever went wrong meanwhile: none is cut off half-way."""
        while self._calls:
            await self._settle(asyncio.ALL_COMPLETED)

    async def _settle(self, when: str) -> None:
        done, self._calls = await asyncio.wait(self._calls, return_when=when)
        for call in done:
            self._heed(call)

    def _heed(self, call: asyncio.Task[bool]) -> None:
        problem = call.exception()
        if problem is None:
            answered = call.result()
            self.answered += answered
            self.is_over |= not answered
            return
        self.is_over = True
        if not isinstance(problem, Exception) or items.stops_the_loop(problem):
            raise problem
        items.report("dispatch", call, problem)


async def _announced(deps: Deps, start: Start, now: datetime) -> _Announced | None:
    """Notes 'Dispatched' if it still may start: neither cancelled nor moved, and its organisation is still eligible."""
    try:
        async with reading(deps.pool) as conn:
            return await _noted(await ahead(conn, *_looks(deps, start, now)), deps, start, now)
    except Refusal as refusal:
        await _set_aside(deps, start, Why.NOT_ELIGIBLE, {"code": refusal.code}, now)
    except Exception as problem:
        if items.stops_the_loop(problem):
            raise
        # It would be first in line again in each cycle, and fail again: it steps aside, and somebody is told.
        items.report("dispatch", start, problem)
        await _set_aside(deps, start, Why.PARKED, {"problem": type(problem).__name__}, now)
    return None


def _looks(deps: Deps, start: Start, now: datetime) -> Iterator[Look]:
    """What an announcement asks: in one round trip where it is known whose job it is."""
    yield attempt_store.seen_look(start.attempt_id)
    yield request_look(start.attempt_id)
    owner = deps.memory.owner(start.attempt_id)
    if owner is not None:
        yield from runner_looks(deps, backend=start.backend, owner=owner, now=now)


async def _noted(conn: Conn, deps: Deps, start: Start, now: datetime) -> _Announced | None:
    """With the record of the decision. NotDomestic, and the refusals of _prepared().

    Only if it is still as it was seen: what happened to it meanwhile is for the next cycle to plan with.
    """
    attempt = await attempt_store.seen(conn, start.attempt_id)
    if attempt is None or attempt.state is not State.QUEUED or attempt.cancel_wanted:
        return None
    if attempt.backend != start.backend:
        return None
    asked = await request_of(conn, attempt)
    await require_location(conn, deps, asked.data_location, attempt.backend)
    request = await _prepared(conn, deps, attempt, asked, now)
    if request is None:
        return None
    if start.limit_s is not None:  # it ends with its reservation
        request = replace(request, walltime_s=min(request.walltime_s, start.limit_s))
    placed = await why_here(conn, attempt) if asked.is_flexible else None
    decision = decisions.of_start(start, placed=placed)
    applied = await at_once(conn, deps, attempt, Dispatched(at=now), now=now, decision=decision)
    return None if applied is None else _Announced(start, applied.attempt, request)


async def _prepared(conn: Conn, deps: Deps, attempt: Attempt, asked: Asked, now: datetime) -> JobRequest | None:
    """All that the backend is told. Who it runs as, and its secrets, are as they are now.

    None: its organisation may start nothing now. SiteUserMissing, SecretUnknown: its member has left, or has removed
    what the job needs.
    """
    runner = await runner_of(
        conn,
        deps,
        backend=attempt.backend,
        organisation_id=attempt.organisation_id,
        person_id=asked.person_id,
        now=now,
    )
    if runner is None:
        return None
    request = replace(asked.request, identity=runner.identity)
    if asked.secrets and isinstance(request.payload, Script):
        sealed = await accounts.sealed_secrets(
            conn, organisation_id=attempt.organisation_id, person_id=asked.person_id, names=asked.secrets
        )
        values = {name: deps.unseal(each) for name, each in sealed.items()}
        request = replace(request, payload=replace(request.payload, secrets=values))
    return request


async def _set_aside(deps: Deps, start: Start, why: Why, facts: Mapping[str, object], now: datetime) -> None:
    until = now + timedelta(seconds=deps.settings.park_s)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await attempt_store.set_aside(
            conn, start.attempt_id, until=until, why=why, facts={"until": until.isoformat(), **facts}
        )


async def _called(deps: Deps, announced: _Announced, now: datetime) -> bool:
    """Whether the backend answered, so that it may be asked for more."""
    outcome = await _submitted(deps, announced, now)
    if outcome is not None:
        await note(deps, announced.start.attempt_id, outcome, now=now, seen=announced.attempt)
    return outcome is not None and not isinstance(outcome, NotSubmitted)


async def _submitted(deps: Deps, announced: _Announced, now: datetime) -> Event | None:
    """The backend's answer as an event; None: nobody knows whether it has it."""
    name = announced.start.backend
    try:
        ref = await ask(deps, name, "submit", deps.backends[name].submit(announced.request))
    except Rejected as refusal:
        facts = {key: str(value) for key, value in refusal.facts.items()}
        return Refused(at=now, code=refusal.code, facts=facts)
    except Unavailable as problem:
        return None if problem.maybe_done else NotSubmitted(at=now, detail=problem.detail)
    except Exception as problem:  # noqa: BLE001  a fault in an adapter: as unknown an outcome as a lost answer
        items.report("dispatch", announced, problem)
        return None
    return Accepted(at=now, native_id=ref.native_id)
