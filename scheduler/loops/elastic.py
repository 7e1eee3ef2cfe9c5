"""Machines leave service when nothing needs them, and come back before they are needed.

Each thing that is done is written down with its reason before the machine is told, and what the machine answered after
it. What is true of a machine is what its backend says; the log only tells since when we left it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpc_adapters.elastic import Elastic, NodeSeen
from hpc_adapters.errors import Rejected, Unavailable
from infra.db.connection import Conn, transaction
from scheduler.elastic.model import Action, Disruption, Done, Kind, Node, Purpose, Rule, State
from scheduler.elastic.rules import HOUR, decide, horizon
from scheduler.loops import items
from scheduler.loops.calls import ask
from scheduler.loops.deps import Deps
from scheduler.store import elastic as store

AFTER_REFUSAL = timedelta(minutes=10)
"""So long a machine is left alone whose backend has refused what we wanted."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """What our own books say of one backend."""

    rule: Rule
    rule_id: int | None
    disruption: Disruption | None
    demand: store.Demand
    last: Mapping[str, Done]
    taken_at: Sequence[datetime]


async def tick(deps: Deps, now: datetime) -> int:
    """Each backend that has machines of its own to switch. How many things were done."""
    switchable = {name: each for name, each in sorted(deps.backends.items()) if isinstance(each, Elastic)}
    moved = 0

    async def look(name: str) -> bool:
        nonlocal moved
        moved += await _backend(deps, name, switchable[name], now)
        return False

    for name in switchable:  # one that does not answer ends nobody else's round
        await items.each("elastic", [name], look)
    return moved


async def _backend(deps: Deps, name: str, backend: Elastic, now: datetime) -> int:
    async with transaction(deps.pool) as conn:  # only reads
        picture = await _look(conn, name, now)
    seen = await ask(deps, name, "nodes", backend.nodes())
    state = State(
        nodes=[_node(each, picture.last.get(each.name)) for each in seen],
        waiting_units=picture.demand.waiting_units,
        booked=picture.demand.booked,
        disruption=picture.disruption,
        taken_at=picture.taken_at,
    )
    decided = [each for each in decide(state, picture.rule, now) if not _was_refused(each, picture.last, now)]
    return await items.each("elastic", decided, lambda action: _carry_out(deps, name, backend, picture, action, now))


async def _look(conn: Conn, name: str, now: datetime) -> _Picture:
    version = (await store.rules_at(conn, now)).get(name)
    known = await store.disruptions(conn, over_after=now)
    rule = Rule() if version is None else version.rule
    return _Picture(
        rule=rule,
        rule_id=None if version is None else version.id,
        disruption=next((each for each in known if each.holds(name, now)), None),
        demand=await store.demand(conn, name, now=now, horizon=horizon(rule)),
        last=await store.last_words(conn, name),
        taken_at=await store.taken_since(conn, name, now - HOUR),
    )


def _node(seen: NodeSeen, last: Done | None) -> Node:
    return Node(
        name=seen.name,
        state=seen.state,
        units=seen.units,
        idle_since=seen.idle_since,
        purpose=_purpose(seen.mark),
        changed_at=None if last is None else last.decided_at,
    )


def _purpose(mark: str) -> Purpose | None:
    """What it was taken out for, by the mark that we left there: 'power 17' (see _carry_out)."""
    word = mark.partition(" ")[0]
    return Purpose(word) if word in set(Purpose) else None


_AWAY = "unavailable"


def _was_refused(action: Action, last: Mapping[str, Done], now: datetime) -> bool:
    """The very same, a moment ago."""
    known = last.get(action.node)
    if known is None or not known.problem or known.action.kind is not action.kind:
        return False
    if known.problem.startswith(_AWAY):
        return False  # nobody has refused anything: it did not answer
    return now - known.decided_at < AFTER_REFUSAL


async def _carry_out(deps: Deps, name: str, backend: Elastic, picture: _Picture, action: Action, now: datetime) -> bool:
    """Written down, done, and the answer written down."""
    async with transaction(deps.pool, lease=deps.lease) as conn:
        number = await store.add_action(
            conn,
            name,
            action,
            rule_id=picture.rule_id,
            disruption_id=None if picture.disruption is None else picture.disruption.id,
            now=now,
        )
    problem = await _tell(deps, name, backend, action, f"{action.purpose.value} {number}")
    async with transaction(deps.pool, lease=deps.lease) as conn:
        await store.add_outcome(conn, number, problem=problem, now=now)
    return not problem


async def _tell(deps: Deps, name: str, backend: Elastic, action: Action, mark: str) -> str:
    """What was wrong, as a word; empty: it was done."""
    match action.kind:
        case Kind.WITHDRAW:
            call = backend.withdraw(action.node, mark)
        case Kind.POWER_DOWN:
            call = backend.power_down(action.node, mark)
        case Kind.RESTORE:
            call = backend.restore(action.node)
    try:
        await ask(deps, name, action.kind.value, call)
    except Rejected as refused:
        return refused.code
    except Unavailable as away:
        return f"{_AWAY}: {away.detail}"[:200]
    return ""
