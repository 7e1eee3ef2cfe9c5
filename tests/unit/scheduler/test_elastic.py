"""When machines leave service and come back, over days of a small world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  always seeded
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc_adapters.elastic import NodeState
from scheduler.elastic.model import Action, Because, Booked, Disruption, Kind, Node, Purpose, Rule, State
from scheduler.elastic.rules import HOUR, decide, lead, peak
from scheduler.elastic.wording import told

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SINKS_S = 120
LONG_AGO = T0 - timedelta(days=1)
POWER = Rule(use=Purpose.POWER)


def node(number: int, state: NodeState = NodeState.SERVING, **more: object) -> Node:
    told: dict[str, object] = {"idle_since": LONG_AGO, **more}
    return Node(name=f"n{number}", state=state, units=8, **told)  # type: ignore[arg-type]


def away(number: int, state: NodeState = NodeState.OFF, **more: object) -> Node:
    return node(number, state, **{"purpose": Purpose.POWER, "changed_at": LONG_AGO, **more})


def done(state: State, rule: Rule = POWER, at: datetime = T0) -> list[tuple[Kind, str, Because]]:
    return [(each.kind, each.node, each.because) for each in decide(state, rule, at)]


def test_without_a_rule_nothing_leaves_and_what_is_out_comes_back() -> None:
    assert done(State(nodes=[node(1), node(2)]), Rule()) == []
    assert done(State(nodes=[away(1)]), Rule()) == [(Kind.RESTORE, "n1", Because.RULE_ENDED)]


def test_the_longest_idle_leaves_first_and_as_many_as_the_hour_has_left() -> None:
    nodes = [node(1, idle_since=T0 - 2 * HOUR), node(2), node(3, idle_since=T0 - MINUTE), node(4, idle_since=None)]
    rule = replace(POWER, max_takes_per_hour=2)
    assert [name for _, name, _ in done(State(nodes=nodes), rule)] == ["n2", "n1"]
    assert [name for _, name, _ in done(State(nodes=nodes, taken_at=[T0 - MINUTE]), rule)] == ["n2"]
    assert done(State(nodes=nodes, taken_at=[T0 - MINUTE] * 2), rule) == []
    assert [name for _, name, _ in done(State(nodes=nodes, taken_at=[T0 - HOUR] * 2), rule)] == ["n2", "n1"]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(use=Purpose.POWER, floor_units=16),
        Rule(use=Purpose.POWER, spare_units=16),
        Rule(use=Purpose.POWER, idle_s=3 * 86_400),
        Rule(use=Purpose.POWER, max_takes_per_hour=0),
    ],
)
def test_what_the_rule_keeps_stays(rule: Rule) -> None:
    assert done(State(nodes=[node(1), node(2)]), rule) == []


def test_a_machine_that_has_just_come_back_stays() -> None:
    assert done(State(nodes=[node(1, changed_at=T0 - MINUTE)])) == []


def test_nothing_leaves_while_jobs_wait_or_a_disruption_is_declared() -> None:
    assert done(State(nodes=[node(1)], waiting_units=1)) == []
    assert done(State(nodes=[node(1)], disruption=disruption())) == []


def test_an_empty_machine_loses_its_power_and_one_that_is_lent_does_not() -> None:
    assert done(State(nodes=[away(1, NodeState.OUT)])) == [(Kind.POWER_DOWN, "n1", Because.EMPTY)]
    lent = away(1, NodeState.OUT, purpose=Purpose.LEND)
    assert done(State(nodes=[lent]), Rule(use=Purpose.LEND, lend_to="partner")) == []


def test_a_job_that_came_at_the_last_moment_keeps_its_machine() -> None:
    taken = away(1, NodeState.LEAVING, idle_since=None)
    assert done(State(nodes=[taken])) == [(Kind.RESTORE, "n1", Because.TAKEN_UP)]
    kept = replace(taken, purpose=Purpose.SURGE)
    assert done(State(nodes=[kept]), replace(POWER, surge_nodes=frozenset({"n1"}))) == []


def test_jobs_bring_back_no_more_than_they_wait_for_and_what_is_soonest_first() -> None:
    nodes = [away(1), away(2, NodeState.OUT), node(3), node(4, idle_since=None)]
    assert done(State(nodes=nodes, waiting_units=8)) == [(Kind.POWER_DOWN, "n2", Because.EMPTY)]
    assert done(State(nodes=nodes, waiting_units=9)) == [(Kind.RESTORE, "n2", Because.WAITING_JOBS)]
    assert [name for _, name, _ in done(State(nodes=nodes, waiting_units=17))] == ["n2", "n1"]


def test_jobs_wait_for_a_machine_that_has_just_left_and_a_reservation_does_not() -> None:
    fresh = State(nodes=[away(1, changed_at=T0 - MINUTE)])
    assert done(replace(fresh, waiting_units=8)) == []
    booked = [Booked(since=T0 + MINUTE, until=T0 + HOUR, units=1)]
    assert done(replace(fresh, booked=booked)) == [(Kind.RESTORE, "n1", Because.RESERVATION)]
    assert done(fresh, replace(POWER, floor_units=1)) == [(Kind.RESTORE, "n1", Because.FLOOR)]


def test_what_losing_its_power_or_somebody_elses_is_left_alone() -> None:
    strange = [
        away(1, NodeState.SINKING),
        node(2, NodeState.FOREIGN),
        away(3, NodeState.FOREIGN),
        node(4, NodeState.OFF),
    ]
    assert done(State(nodes=strange, waiting_units=99, disruption=disruption())) == []


def test_surge_machines_serve_in_a_disruption_alone() -> None:
    rule = replace(POWER, surge_nodes=frozenset({"n1"}))
    assert done(State(nodes=[node(1, idle_since=T0), node(2, idle_since=T0)]), rule) == [
        (Kind.WITHDRAW, "n1", Because.HELD_FOR_SURGE)
    ]
    kept = State(nodes=[away(1, purpose=Purpose.SURGE)], waiting_units=99)
    assert done(kept, rule) == []
    assert done(replace(kept, disruption=disruption()), rule) == [(Kind.RESTORE, "n1", Because.DISRUPTION)]


def disruption() -> Disruption:
    return Disruption(id=UUID(int=1), backend=None, since=LONG_AGO, until=None, reason="a site is down")


def test_a_disruption_holds_where_and_while_it_is_declared() -> None:
    here = replace(disruption(), backend="a", until=T0)
    assert here.holds("a", T0 - MINUTE)
    assert not here.holds("b", T0 - MINUTE)
    assert not here.holds("a", T0)
    assert not replace(disruption(), ended_at=T0).holds("b", T0)
    assert not replace(disruption(), since=T0 + MINUTE).holds("a", T0)


def test_the_peak_is_what_is_reserved_at_one_moment() -> None:
    booked = [
        Booked(since=T0, until=T0 + HOUR, units=4),
        Booked(since=T0 + HOUR, until=T0 + 2 * HOUR, units=3),
        Booked(since=T0 + MINUTE, until=T0 + 2 * MINUTE, units=2),
    ]
    assert peak(booked, T0, T0 + 3 * HOUR) == 6
    assert peak(booked, T0 + HOUR, T0 + 3 * HOUR) == 3
    assert peak(booked, T0 + 3 * HOUR, T0 + 4 * HOUR) == 0
    assert peak([], T0, T0) == 0


def test_every_action_is_told_in_two_languages() -> None:
    facts: dict[str, object] = {"idle_s": 1, "waiting": 2, "idle": 3, "needed": 4, "serving": 5}
    for kind in Kind:
        for purpose in Purpose:
            for because in Because:
                said = told(Action(kind=kind, node="n1", purpose=purpose, because=because, facts=facts))
                assert all(text.startswith("n1: ") and "{" not in text for text in said)


# -- a small world -----------------------------------------------------------------------------------------------------


@dataclass
class World:
    """Machines that obey, jobs that come and go by chance, and what was done."""

    rule: Rule
    booked: Sequence[Booked]
    chance: Random
    nodes: dict[str, Node]
    disruption: tuple[datetime, datetime] | None = None
    ready_at: dict[str, datetime] = field(default_factory=dict)
    log: list[tuple[datetime, Action]] = field(default_factory=list)
    waiting: int = 0

    def state(self, now: datetime) -> State:
        takes = [at for at, each in self.log if each.kind is Kind.WITHDRAW and at > now - HOUR]
        on = self.disruption is not None and self.disruption[0] <= now < self.disruption[1]
        return State(
            nodes=list(self.nodes.values()),
            waiting_units=self.waiting,
            booked=self.booked,
            disruption=disruption() if on else None,
            taken_at=takes,
        )

    def pass_minute(self, now: datetime) -> None:
        for name, each in self.nodes.items():
            self.nodes[name] = self._aged(each, now)
        self.waiting = self.chance.choice([0, 0, 0, 0, 8, 24]) if self.chance.random() < 0.1 else self.waiting

    def _aged(self, each: Node, now: datetime) -> Node:
        if each.state is NodeState.LEAVING and each.idle_since is not None:
            return replace(each, state=NodeState.OUT)
        if each.state is NodeState.SINKING and self.ready_at[each.name] <= now:
            return replace(each, state=NodeState.OFF)
        if each.state is NodeState.WAKING and self.ready_at[each.name] <= now:
            return replace(each, state=NodeState.SERVING, purpose=None, idle_since=now)
        if each.state in {NodeState.SERVING, NodeState.LEAVING} and self.chance.random() < 0.02:
            if each.idle_since is None:
                return replace(each, idle_since=now)
            return replace(each, idle_since=None) if each.state is NodeState.SERVING else each
        return each

    def carry_out(self, action: Action, now: datetime) -> None:
        each = self.nodes[action.node]
        self.log.append((now, action))
        if action.kind is Kind.WITHDRAW:
            assert each.state is NodeState.SERVING, "taken out twice"
            assert each.idle_since is not None, "taken from a job"
            late = self.chance.random() < 0.1  # a job starts at the same moment
            gone = NodeState.LEAVING if late else NodeState.OUT
            changed = replace(each, state=gone, purpose=action.purpose, idle_since=None if late else each.idle_since)
        elif action.kind is Kind.POWER_DOWN:
            assert each.state is NodeState.OUT, "powered down under a job"
            self.ready_at[each.name] = now + timedelta(seconds=SINKS_S)
            changed = replace(each, state=NodeState.SINKING)
        elif each.state is NodeState.OFF:
            self.ready_at[each.name] = now + timedelta(seconds=self.rule.wake_s)
            changed = replace(each, state=NodeState.WAKING)
        else:
            assert each.state in {NodeState.LEAVING, NodeState.OUT}
            changed = replace(each, state=NodeState.SERVING, purpose=None)
        self.nodes[each.name] = replace(changed, changed_at=now)

    def serving(self) -> int:
        return sum(each.units for each in self.nodes.values() if each.state is NodeState.SERVING)


RULES = st.builds(
    Rule,
    use=st.sampled_from([Purpose.POWER, Purpose.LEND, None]),
    idle_s=st.sampled_from([0, 300, 1_800]),
    floor_units=st.sampled_from([0, 8, 12]),
    spare_units=st.sampled_from([0, 8]),
    wake_s=st.sampled_from([0, 240, 900]),
    min_up_s=st.sampled_from([300, 1_800]),
    min_down_s=st.sampled_from([600, 1_800]),
    max_takes_per_hour=st.sampled_from([1, 3, 50]),
    surge_nodes=st.sampled_from([frozenset(), frozenset({"n0"})]),
)
BOOKED = st.lists(
    st.builds(
        lambda start, hours, units: Booked(
            since=T0 + timedelta(minutes=start), until=T0 + timedelta(minutes=start, hours=hours), units=units
        ),
        st.integers(60, 400),
        st.integers(1, 3),
        st.integers(1, 12),
    ),
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(rule=RULES, booked=BOOKED, seed=st.integers(0, 2**32), has_disruption=st.booleans())
def test_over_hours_no_job_loses_its_machine_and_no_reservation_waits(
    *, rule: Rule, booked: list[Booked], seed: int, has_disruption: bool
) -> None:
    began, ended = T0 + 4 * HOUR, T0 + 5 * HOUR
    world = World(
        rule,
        booked,
        Random(seed),
        {f"n{number}": node(number) for number in range(5)},
        disruption=(began, ended) if has_disruption else None,
    )
    steady = 8 * (5 - len(rule.surge_nodes))
    for minute in range(8 * 60):
        now = T0 + minute * MINUTE
        world.pass_minute(now)
        state = world.state(now)
        decided = decide(state, rule, now)
        assert len({each.node for each in decided}) == len(decided)
        shuffled = replace(state, nodes=Random(seed).sample(list(state.nodes), len(state.nodes)))
        assert decide(shuffled, rule, now) == decided
        for action in decided:
            world.carry_out(action, now)
        assert world.serving() >= min(peak(booked, now, now), steady)
        if has_disruption and began + lead(rule) + timedelta(seconds=SINKS_S) <= now < ended:
            assert world.serving() == 40
    takes = [at for at, each in world.log if each.kind is Kind.WITHDRAW]
    for at in takes:
        assert sum(at - HOUR < other <= at for other in takes) <= rule.max_takes_per_hour
    returns = sum(each.kind is Kind.RESTORE for _, each in world.log)
    downs = sum(each.kind is Kind.POWER_DOWN for _, each in world.log)
    assert returns <= len(takes)
    assert downs <= len(takes)
    if has_disruption:
        assert not any(began <= at < ended for at in takes)
