"""Which machines leave service now, and which come back: pure, total, deterministic.

Bringing back goes first and is never rationed; taking out waits for everything else. So what is out is always a choice
that can be taken back, and machines flap no faster than the rule lets them be taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from hpc_adapters.elastic import NodeState
from scheduler.elastic.model import Action, Because, Booked, Kind, Node, Purpose, Rule, State

HOUR = timedelta(hours=1)
MARGIN = timedelta(minutes=5)
"""A machine is back so long before a reservation: the loop looks every minute, and a machine may be on its way down."""
_PRESENT = frozenset({NodeState.SERVING, NodeState.WAKING})
_AWAY = (NodeState.LEAVING, NodeState.OUT, NodeState.OFF)
"""In the order in which they are back soonest."""


def decide(state: State, rule: Rule, now: datetime) -> list[Action]:
    """At most one action for each machine, in the order in which they are to be done."""
    away = sorted((node for node in state.nodes if _is_ours(node)), key=_soonest)
    forced = {node.name: because for node in away if (because := _must_return(node, state, rule)) is not None}
    wanted = _wanted(state, rule, now, away, forced)
    back = [_restore(node, *wanted[node.name]) for node in away if node.name in wanted]
    down = [] if state.disruption else [_power_down(each) for each in away if _may_sink(each, rule, wanted.keys())]
    if state.disruption or wanted or state.waiting_units:
        return [*back, *down]
    return [*back, *down, *_taken(state, rule, now)]


def peak(booked: Iterable[Booked], since: datetime, until: datetime) -> int:
    """The most units that are reserved at any moment of [since, until]."""
    touching = [each for each in booked if each.since <= until and each.until > since]
    moments = {max(since, each.since) for each in touching}
    return max((sum(each.units for each in touching if each.since <= at < each.until) for at in moments), default=0)


def lead(rule: Rule) -> timedelta:
    """So long before it is needed a machine must be on its way."""
    return timedelta(seconds=rule.wake_s) + MARGIN


def horizon(rule: Rule) -> timedelta:
    """So far ahead the rules look: a machine that leaves now is not needed before that."""
    return lead(rule) + timedelta(seconds=rule.min_down_s)


# -- back into service -------------------------------------------------------------------------------------------------


def _is_ours(node: Node) -> bool:
    return node.state in _AWAY and node.purpose is not None


def _soonest(node: Node) -> tuple[int, bool, str]:
    """What is lent comes back after what merely saves power."""
    return _AWAY.index(node.state), node.purpose is Purpose.LEND, node.name


def _must_return(node: Node, state: State, rule: Rule) -> Because | None:
    if state.disruption is not None:
        return Because.DISRUPTION
    kept = Purpose.SURGE if node.name in rule.surge_nodes else rule.use
    if node.purpose is not kept:
        return Because.RULE_ENDED
    if node.state is NodeState.LEAVING and node.purpose is not Purpose.SURGE:
        return Because.TAKEN_UP
    return None


def _wanted(
    state: State, rule: Rule, now: datetime, away: Sequence[Node], forced: dict[str, Because]
) -> dict[str, tuple[Because, dict[str, object]]]:
    """By name: who comes back, and why."""
    found: dict[str, tuple[Because, dict[str, object]]] = {name: (because, {}) for name, because in forced.items()}
    returning = sum(node.units for node in away if node.name in forced)
    serving = _units(state.nodes, _PRESENT) + returning
    idle = _idle_units(state) + returning
    soon = peak(state.booked, now, now + lead(rule))
    needs = [
        (Because.FLOOR, rule.floor_units, serving, {"needed": rule.floor_units, "serving": serving}),
        (Because.RESERVATION, soon, serving, {"needed": soon, "serving": serving}),
        (Because.WAITING_JOBS, state.waiting_units, idle, {"waiting": state.waiting_units, "idle": idle}),
    ]
    added = 0
    for because, needed, has, facts in needs:
        for node in away:
            if has + added >= needed:
                break
            if node.name in found or node.purpose is Purpose.SURGE:
                continue
            if because is Because.WAITING_JOBS and not _may_come_for_jobs(node, rule, now):
                continue
            found[node.name] = (because, dict(facts))
            added += node.units
    return found


def _may_come_for_jobs(node: Node, rule: Rule, now: datetime) -> bool:
    """A machine that merely waits to be powered down comes back at once; else it stays away for a while."""
    is_cheap = node.state is not NodeState.OFF and node.purpose is not Purpose.LEND
    return is_cheap or node.has_stayed(rule.min_down_s, now)


def _restore(node: Node, because: Because, facts: dict[str, object]) -> Action:
    assert node.purpose is not None
    return Action(kind=Kind.RESTORE, node=node.name, purpose=node.purpose, because=because, facts=facts)


# -- out of service ----------------------------------------------------------------------------------------------------


def _may_sink(node: Node, rule: Rule, returning: Iterable[str]) -> bool:
    """Empty, and kept without power: what is lent keeps it."""
    return node.state is NodeState.OUT and rule.use is Purpose.POWER and node.name not in set(returning)


def _power_down(node: Node) -> Action:
    assert node.purpose is not None
    return Action(kind=Kind.POWER_DOWN, node=node.name, purpose=node.purpose, because=Because.EMPTY)


def _taken(state: State, rule: Rule, now: datetime) -> list[Action]:
    """Idle machines, the longest idle first, while enough serve and stay idle, and as many as this hour has left.

    What is only waking does not serve yet.
    """
    budget = rule.max_takes_per_hour - sum(1 for at in state.taken_at if at > now - HOUR)
    needed = max(rule.floor_units, peak(state.booked, now, now + horizon(rule)))
    serving, idle = _units(state.nodes, frozenset({NodeState.SERVING})), _idle_units(state)
    actions: list[Action] = []
    for node, purpose in _candidates(state, rule, now):
        if len(actions) >= budget:
            break
        spare = 0 if purpose is Purpose.SURGE else rule.spare_units
        if serving - node.units < needed or idle - node.units < spare:
            continue
        actions.append(_withdraw(node, purpose, now))
        serving, idle = serving - node.units, idle - node.units
    return actions


def _candidates(state: State, rule: Rule, now: datetime) -> list[tuple[Node, Purpose]]:
    idle_since = now - timedelta(seconds=rule.idle_s)
    found = []
    for node in state.nodes:
        if node.state is not NodeState.SERVING or node.idle_since is None or not node.has_stayed(rule.min_up_s, now):
            continue
        if node.name in rule.surge_nodes:
            found.append((node, Purpose.SURGE))
        elif rule.use is not None and node.idle_since <= idle_since:
            found.append((node, rule.use))
    return sorted(found, key=lambda each: (each[1] is not Purpose.SURGE, each[0].idle_since or now, each[0].name))


def _withdraw(node: Node, purpose: Purpose, now: datetime) -> Action:
    if purpose is Purpose.SURGE:
        return Action(kind=Kind.WITHDRAW, node=node.name, purpose=purpose, because=Because.HELD_FOR_SURGE)
    assert node.idle_since is not None
    facts: dict[str, object] = {"idle_s": int((now - node.idle_since).total_seconds())}
    return Action(kind=Kind.WITHDRAW, node=node.name, purpose=purpose, because=Because.IDLE, facts=facts)


def _units(nodes: Iterable[Node], states: frozenset[NodeState]) -> int:
    return sum(node.units for node in nodes if node.state in states)


def _idle_units(state: State) -> int:
    """What nothing runs on, or will serve soon."""
    return sum(
        node.units
        for node in state.nodes
        if node.state is NodeState.WAKING or (node.state is NodeState.SERVING and node.idle_since is not None)
    )
