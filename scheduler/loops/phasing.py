"""What the phases of hybrid jobs hand on: an ended phase's files, fixed for those that follow; never in a transaction.

The first attempt of a phase waits in the queue from the moment at which the phase before it ended. Here it is given
what it takes, once: the files that are kept of earlier phases, each in its version, and its program where that is one
of them. Killed anywhere, this is begun again. What cannot be had ends the attempt, and so the job, by name and free of
charge. A backend that moves no files leaves its result, which is kept as a file like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.errors import Unavailable
from hpc_adapters.filenames import problem_of
from hpc_adapters.job_files import Files
from hpc_adapters.programs import Format, ProgramRefused, format_of, work_of
from infra.db.connection import notify, transaction
from infra.refusal import Refusal
from scheduler.core.events import DoneEarly, Event, NotStaged
from scheduler.core.model import JobKind, State
from scheduler.core.phases import DONE_FILE
from scheduler.files import ContentLost, FrozenInput, InputWish, Shelf, ShelfAway
from scheduler.loops import items
from scheduler.loops.apply import apply_to
from scheduler.loops.deps import Deps
from scheduler.store import attempts as attempt_store
from scheduler.store import files as file_store
from scheduler.store import phases as store
from scheduler.store.files import Left
from scheduler.store.phases import Due, Kept, Unkept
from scheduler.submission import MAX_BODY_BYTES

RESULT_FILE = "result.json"
_TRIES = 20
_RETRY_S, _LONGEST_RETRY_S = 5, 300
_AT_ONCE, _LOOKED_AT = 50, 1_000


class NotGiven(Exception):
    """What a phase takes is not what was asked for: it will never start. code: a machine word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def tick(deps: Deps, now: datetime) -> int:
    """How many attempts have been dealt with. First what is kept, then whoever waits for it."""
    names = sorted(name for name, backend in deps.backends.items() if isinstance(backend, Files))
    shelf, since = deps.shelf, now - timedelta(seconds=deps.settings.result_window_s)
    moved = 0
    if shelf is not None:
        async with transaction(deps.pool, lease=deps.lease) as conn:
            unkept = await store.unkept(conn, but=names, since=since, now=now, limit=_AT_ONCE)
        moved = await items.each("staging", unkept, lambda each: _keep(deps, shelf, each, now))
    async with transaction(deps.pool, lease=deps.lease) as conn:
        due = await store.due(conn, now=now, limit=_LOOKED_AT)
    ready = [each for each in due if shelf is None or _is_over(each, names, since)][:_AT_ONCE]
    return moved + await items.each("staging", ready, lambda each: _begin(deps, each, now))


def _is_over(due: Due, moves_files: Sequence[str], since: datetime) -> bool:
    """Whether nothing more will come of the phase before."""
    before = due.before
    if before.collected or not before.has_run or before.ended_at < since:
        return True
    return before.backend not in moves_files and before.state not in {State.SUCCEEDED, State.FAILED}


# -- what a phase leaves -----------------------------------------------------------------------------------------------


async def _keep(deps: Deps, shelf: Shelf, each: Unkept, now: datetime) -> bool:
    """The result of a circuit, as the file that its program would have written."""
    try:
        left = [await _kept(deps, shelf, each, now)] if each.result else []
    except (ShelfAway, Unavailable) as problem:
        await _later(deps, each, problem.detail, now)
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await file_store.set_collected(conn, each, left, now=now)
    return True


async def _kept(deps: Deps, shelf: Shelf, each: Unkept, now: datetime) -> Left:
    key, size = f"jobs/{each.number or each.job_id}/{each.phase}/{RESULT_FILE}", len(each.result)

    async def read(offset: int, limit: int) -> bytes:
        return each.result[offset : offset + limit]

    owner = (each.organisation_id, each.person_id)
    try:
        checksum = await shelf.keep(owner, key, size=size, read=read, lease=deps.lease, now=now)
    except Refusal as refusal:
        return Left(name=RESULT_FILE, size=size, problem=refusal.code)
    return Left(name=RESULT_FILE, size=size, key=key, checksum=checksum)


# -- what a phase is given ---------------------------------------------------------------------------------------------


async def _begin(deps: Deps, due: Due, now: datetime) -> bool:
    async with transaction(deps.pool, lease=deps.lease) as conn:
        done = await store.leaves(conn, due.before.id, DONE_FILE)
        kept = await store.kept(conn, due.job_id, due.takes)
    if done:
        return await _end(deps, due, DoneEarly(at=now, phase=due.before.phase), now)
    try:
        program = await _program(deps.shelf, due, kept)
        inputs = [] if due.kind is JobKind.QUANTUM else await _frozen(deps.shelf, due.organisation_id, kept)
    except (NotGiven, ContentLost) as lost:
        return await _end(deps, due, NotStaged(at=now, code=lost.code), now)
    except (ShelfAway, Refusal) as problem:
        code = problem.code if isinstance(problem, Refusal) else problem.detail
        if due.tries + 1 >= _TRIES:
            return await _end(deps, due, NotStaged(at=now, code=code), now)
        await _later(deps, due, code, now)
        return False
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await attempt_store.locked(conn, due.id)
        if attempt is None or attempt.state is not State.QUEUED:
            return False
        begun = await store.set_begun(conn, due, inputs, program, now=now)
        await notify(conn, "dispatch")
    return begun


async def _end(deps: Deps, due: Due, event: Event, now: datetime) -> bool:
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await attempt_store.locked(conn, due.id)
        if attempt is None or attempt.state is not State.QUEUED:
            return False
        return (await apply_to(conn, deps, attempt, event, now=now)).changed


async def _frozen(shelf: Shelf | None, organisation_id: UUID, kept: Sequence[Kept]) -> list[FrozenInput]:
    """Each file as PHASE/NAME, in the version that was kept. ContentLost: it is gone, or another has its place."""
    if shelf is None or not kept:
        return []
    wishes = [InputWish(name=f"{each.base}/{each.name}", key=each.key) for each in kept]
    if any(problem_of(wish.name) is not None for wish in wishes):
        raise NotGiven("input-name")
    found = await shelf.freeze(organisation_id, wishes)
    if any(now.checksum != each.checksum for now, each in zip(found, kept, strict=True)):
        raise ContentLost("input-changed")
    return list(found)


async def _program(shelf: Shelf | None, due: Due, kept: Sequence[Kept]) -> tuple[bytes, int] | None:
    """The circuit that an earlier phase has written, and its executions; None: the phase has its own. NotGiven."""
    if due.body_from is None:
        return None
    order = {phase: place for place, phase in enumerate(due.takes)}
    named = sorted((each for each in kept if each.name == due.body_from), key=lambda each: order[each.phase])
    if shelf is None or not named:
        raise NotGiven("program-missing")
    [frozen] = await _frozen(shelf, due.organisation_id, named[:1])
    if frozen.size > MAX_BODY_BYTES:
        raise NotGiven("program-too-large")
    text = b""
    async with aclosing(shelf.read(due.organisation_id, frozen.object_id, frozen.checksum)) as pieces:
        async for piece in pieces:
            text += piece
    return text, _executions(text, due.shots)


def _executions(program: bytes, quoted: int) -> int:
    """How many executions it asks for: not more than were quoted. NotGiven."""
    try:
        asked = work_of(program).executions if format_of(program) is Format.PUBS else quoted
    except ProgramRefused as refused:
        raise NotGiven(refused.code) from refused
    if asked > quoted:
        raise NotGiven("more-shots-than-quoted")
    return asked


async def _later(deps: Deps, each: Due | Unkept, problem: str, now: datetime) -> None:
    wait_s = min(_RETRY_S * 2 ** min(each.tries, 16), _LONGEST_RETRY_S)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await file_store.retry_later(conn, each, problem=problem, at=now + timedelta(seconds=wait_s))
