"""Late binding: a job that may run on several offerings goes where it starts, while it waits for another.

Each move is one transaction, fenced: the attempt is locked, its event appended, what it is charged as moved with it. A
crash before the commit is no move. The book hears of it by the feed, as of any other change. What was handed over once
is never moved: a lost hand-over may still start it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from infra.db.connection import Conn, reading, transaction
from pricing import service as pricing
from scheduler.core.events import Dispatched, Placed
from scheduler.core.model import Attempt, State
from scheduler.core.placement import Rule
from scheduler.core.snapshot import Wait
from scheduler.errors import NotDomestic
from scheduler.loops import items, metrics
from scheduler.loops.apply import apply_to
from scheduler.loops.deps import Deps
from scheduler.loops.memory import Kept
from scheduler.loops.places import EXPLAINED, LOOKED_AT, OF_ONE, Move, lacks, moves
from scheduler.store import attempts as attempt_store
from scheduler.store import placing as store
from scheduler.store.placing import first_choice


async def look(deps: Deps, kept: Kept) -> None:
    """What waits and may be placed anew: the oldest, of each organisation so many before all have had theirs."""
    places = deps.memory.places
    if not kept.book.waiting or len(deps.backends) < 2:  # noqa: PLR2004  there is nowhere to go
        return places.looked_at([], {})
    async with reading(deps.pool) as conn:
        rows = await store.waiting(conn, now=kept.now, most=LOOKED_AT, of_one=OF_ONE)
        known = {at.backend for row in rows for at in row.candidates}
        places.looked_at(rows, await domestic_of(conn, deps, known) if rows else {})
    return None


async def carry_out(deps: Deps, kept: Kept, now: datetime) -> int:
    """How many of those were moved: another decision may start them."""
    places = deps.memory.places
    if not places.rows:
        return 0
    found = moves(kept.book.elsewhere(), places=places, now=now)
    return await items.each("dispatch", found, lambda move: _move(deps, move, now))


async def _move(deps: Deps, move: Move, now: datetime) -> bool:
    """False: it has started, ended or been moved meanwhile."""
    row, to = move.row, move.to
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await attempt_store.locked(conn, row.attempt_id)
        if attempt is None or attempt.state is not State.QUEUED or attempt.cancel_wanted:
            return False
        if attempt.offering_id != row.offering_id or Dispatched.__name__ in attempt.trail:
            return False
        await require_location(conn, deps, row.data_location, to.backend)
        event = Placed(
            at=now,
            offering=to.offering_id,
            backend=to.backend,
            nu=to.nu,
            rule=move.choice.rule.value,
            others=move.choice.others,
            instead_of=row.offering_id,
        )
        if not (await apply_to(conn, deps, attempt, event, now=now)).changed:
            return False
        await pricing.move_attempt(conn, attempt_id=attempt.id, offering_id=to.offering_id)
    deps.memory.places.moved_at[row.attempt_id] = now
    metrics.PLACED.labels(to.backend, event.rule).inc()
    return True


def told(deps: Deps, kept: Kept, news: Sequence[Wait]) -> Sequence[Wait]:
    """With why they do not start on their other offerings: of a few that is looked at anew, of the others as before."""
    places, elsewhere = deps.memory.places, kept.book.elsewhere()
    about = [wait.attempt_id for wait in news if wait.attempt_id in places.rows]
    turns = {attempt_id: turn for turn, attempt_id in enumerate(places.told)}
    for attempt_id in sorted(about, key=lambda each: (turns.get(each, -1), each))[:EXPLAINED]:
        places.told.pop(attempt_id, None)  # to the end: it was its turn
        places.told[attempt_id] = lacks(places.rows[attempt_id], elsewhere)
    known = {attempt_id: places.told[attempt_id] for attempt_id in about if attempt_id in places.told}
    return [
        replace(wait, facts={**wait.facts, "elsewhere": known[wait.attempt_id]}) if wait.attempt_id in known else wait
        for wait in news
    ]


async def why_here(conn: Conn, attempt: Attempt) -> Mapping[str, object]:
    """For the record of its start: by which rule it is on this machine, and how many others could have taken it."""
    moved = await store.last_move(conn, attempt.id) if Placed.__name__ in attempt.trail else None
    if moved is not None:
        return {name: moved[name] for name in ("offering", "rule", "others") if name in moved}
    at_first = first_choice(await store.candidates_of(conn, attempt.job_id))
    if at_first is None:
        return {}
    if attempt.offering_id != at_first.option.offering_id:  # the attempt before was moved here
        return {"offering": attempt.offering_id, "rule": Rule.AS_BEFORE.value}
    return at_first.facts()


# -- where data must stay ----------------------------------------------------------------------------------------------


async def domestic_of(conn: Conn, deps: Deps, backends: set[str]) -> Mapping[str, bool]:
    """Of each of these whether it is known to stand in Japan: devices by their own word, others by their settings."""
    told_ = await store.told_domestic(conn, backends)
    known = {name: deps.backends[name].capabilities().domestic for name in backends & deps.backends.keys()}
    return {**known, **told_}


async def require_location(conn: Conn, deps: Deps, location: str | None, backend: str) -> None:
    """At the moment of a hand-over, whatever was known before. NotDomestic."""
    if location is not None and not (await domestic_of(conn, deps, {backend})).get(backend, False):
        raise NotDomestic(machine=backend)
