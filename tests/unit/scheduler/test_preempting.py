"""Who makes room: the rules one by one, against every possible choice on small cases, and what a plan makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.classes import PRIORITY, goes_before, may_preempt
from scheduler.core.cycle import plan
from scheduler.core.preempting import Blocked, Running, Victim, making_room, victims
from scheduler.core.reasons import Why
from scheduler.core.resources import plus, total
from scheduler.core.snapshot import Booking, Holding, Policy, Pool, Preemption, Snapshot, Standing, Waiting

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
RULES = Preemption(protected_s=600, per_organisation=3, per_hour=5)
SPOT, STANDARD = ServiceClass.SPOT, ServiceClass.STANDARD


def runs(number: int, *, gpus: int = 1, minutes: float = 60, organisation: int = 1, **known: object) -> Running:
    plain = Running(
        attempt_id=UUID(int=number),
        organisation_id=UUID(int=100 + organisation),
        service_class=SPOT,
        needs=Resources(gpus=gpus, memory_mb=gpus * 1000),
        started_at=NOW - timedelta(minutes=minutes),
        units=gpus,
    )
    return replace(plain, **known)  # type: ignore[arg-type]  any subset of the fields


def blocked(*, gpus: int = 4, free: int = 0, by: ServiceClass = STANDARD) -> Blocked:
    return Blocked(
        needs=Resources(gpus=gpus, memory_mb=gpus * 1000),
        service_class=by,
        free=Resources(gpus=free, memory_mb=free * 1000),
    )


def choose(
    head: Blocked,
    running: Sequence[Running],
    *,
    policy: Preemption = RULES,
    recent: Mapping[UUID, int] | None = None,
) -> list[int] | None:
    found = victims(head, running, policy=policy, recent=recent or {}, now=NOW)
    return None if found is None else sorted(each.attempt_id.int for each in found)


# -- classes -----------------------------------------------------------------------------------------------------------


def test_the_classes_are_in_one_strict_order_that_names_each() -> None:
    assert set(PRIORITY) == set(ServiceClass)
    assert len(PRIORITY) == len(ServiceClass)
    assert all(goes_before(a, b) != goes_before(b, a) for a, b in combinations(PRIORITY, 2))


def test_no_chain_of_preemptions_ever_comes_back() -> None:
    """Whoever was made room for is of a class that makes room for nobody: not even two steps follow one another."""
    steps = {(by, victim) for by, victim in product(ServiceClass, repeat=2) if may_preempt(by, victim)}
    assert steps == {(by, SPOT) for by in ServiceClass if by is not SPOT}
    assert not {by for by, _ in steps} & {victim for _, victim in steps}


# -- rules, one by one -------------------------------------------------------------------------------------------------


def test_the_least_work_is_lost() -> None:
    assert choose(blocked(gpus=2), [runs(1, gpus=2, minutes=60), runs(2, gpus=2, minutes=30)]) == [2]
    assert choose(blocked(gpus=2), [runs(1, gpus=2, minutes=20), runs(2, minutes=30), runs(3, minutes=30)]) == [1]


def test_what_is_since_the_last_checkpoint_counts() -> None:
    saved = runs(1, gpus=2, minutes=600, checkpoint_at=NOW - timedelta(minutes=1))
    assert choose(blocked(gpus=2), [saved, runs(2, gpus=2, minutes=30)]) == [1]


def test_what_is_free_already_is_not_taken_from_anybody() -> None:
    assert choose(blocked(gpus=4, free=3), [runs(1, gpus=4), runs(2)]) == [2]


def test_who_leaves_already_is_waited_for_and_asked_no_second_time() -> None:
    assert choose(blocked(gpus=2), [runs(1, gpus=2, leaving=True), runs(2, gpus=2)]) == []
    assert choose(blocked(gpus=3), [runs(1, gpus=2, leaving=True), runs(2), runs(3, gpus=4)]) == [2]


def test_nobody_is_asked_when_it_would_not_be_enough() -> None:
    assert choose(blocked(gpus=4), [runs(1), runs(2)]) is None
    assert choose(blocked(gpus=1), [runs(1, service_class=STANDARD)]) is None
    assert choose(replace(blocked(gpus=1), needs=Resources(gpus=1, cpus=8)), [runs(1)]) is None


def test_spot_work_asks_nobody() -> None:
    assert choose(blocked(gpus=1, by=SPOT), [runs(1)]) is None


def test_the_young_are_protected() -> None:
    assert choose(blocked(gpus=1), [runs(1, minutes=9)]) is None
    assert choose(blocked(gpus=1), [runs(1, minutes=9), runs(2, minutes=600)]) == [2]


def test_so_many_of_an_organisation_in_an_hour_and_so_many_of_all() -> None:
    two, four = [runs(1), runs(2)], [runs(each, organisation=each) for each in range(1, 7)]
    mine, others = UUID(int=101), UUID(int=900)
    assert choose(blocked(gpus=2), two, recent={mine: 1}) == [1, 2]
    assert choose(blocked(gpus=2), two, recent={mine: 2}) is None
    assert choose(blocked(gpus=1), [runs(1, minutes=11), runs(2, organisation=2)], recent={mine: 3}) == [2]
    assert choose(blocked(gpus=2), four, recent={others: 3}) == [1, 2]
    assert choose(blocked(gpus=2), four, recent={others: 4}) is None
    assert choose(blocked(gpus=1), four, recent={others: 5}) is None


def test_off_is_off() -> None:
    assert choose(blocked(gpus=1), [runs(1)], policy=replace(RULES, is_on=False)) is None


def test_a_record_names_nobody_but_its_own() -> None:
    recent = {UUID(int=101): 1}
    head = Blocked(needs=Resources(gpus=1), service_class=STANDARD, free=Resources())
    (one,) = making_room(head, [held(7, gpus=1)], policy=RULES, recent=recent, now=NOW)
    assert (one.attempt_id, one.backend, one.for_class) == (UUID(int=7), "h200", STANDARD)
    assert dict(one.facts) == {
        "rule": "least_work_lost",
        "for_class": "standard",
        "ran_s": 3600,
        "lost_nu": 1.0,
        "asked_in_hour": 1,
        "max_in_hour": 3,
        "protected_s": 600,
    }


# -- against every choice ----------------------------------------------------------------------------------------------

CASES = st.lists(
    st.builds(
        runs,
        st.integers(1, 10**6),
        gpus=st.integers(1, 4),
        minutes=st.sampled_from([5, 11, 12, 30, 60]),
        organisation=st.integers(1, 3),
        service_class=st.sampled_from([SPOT, SPOT, SPOT, STANDARD]),
        leaving=st.sampled_from([False, False, False, True]),
        checkpoint_at=st.sampled_from([None, NOW - timedelta(minutes=1), NOW]),
    ),
    max_size=9,
    unique_by=lambda each: each.attempt_id,
)
RECENT = st.dictionaries(st.integers(1, 3).map(lambda one: UUID(int=100 + one)), st.integers(0, 3), max_size=3)


def allowed(chosen: Sequence[Running], recent: Mapping[UUID, int]) -> bool:
    """By the words of the rules, and by no code of theirs."""
    by = Counter(each.organisation_id for each in chosen)
    return (
        all(each.service_class is SPOT and not each.leaving for each in chosen)
        and all(NOW - each.started_at >= timedelta(minutes=10) for each in chosen)
        and all(recent.get(each, 0) + number <= 3 for each, number in by.items())
        and (not chosen or sum(recent.values()) + len(chosen) <= 5)
    )


def lost_of(chosen: Sequence[Running]) -> int:
    return sum(
        each.units * ((NOW - max(each.started_at, each.checkpoint_at or each.started_at)).seconds) for each in chosen
    )


def enough(head: Blocked, running: Sequence[Running], chosen: Sequence[Running]) -> bool:
    left = total(each.needs for each in running if each.leaving or each in chosen)
    return head.needs.fits(plus(head.free, left))


@given(running=CASES, gpus=st.integers(1, 12), free=st.integers(0, 4), recent=RECENT)
def test_no_choice_that_the_rules_allow_loses_less(
    running: list[Running], gpus: int, free: int, recent: dict[UUID, int]
) -> None:
    head = blocked(gpus=gpus, free=free)
    possible = [
        (lost_of(each), len(each))
        for size in range(len(running) + 1)
        for each in combinations(running, size)
        if allowed(each, recent) and enough(head, running, each)
    ]
    found = victims(head, running, policy=RULES, recent=recent, now=NOW)
    if found is None:
        assert not possible
        return
    ids = {each.attempt_id for each in found}
    chosen = [each for each in running if each.attempt_id in ids]
    assert (lost_of(chosen), len(chosen)) == min(possible)
    assert sum(each.lost for each in found) == lost_of(chosen) * 1_000_000


@given(running=CASES, gpus=st.integers(1, 12), recent=RECENT, data=st.data())
def test_whoever_is_chosen_the_rules_hold_nobody_could_be_left_out_and_the_order_of_the_input_says_nothing(
    running: list[Running], gpus: int, recent: dict[UUID, int], data: st.DataObject
) -> None:
    head = blocked(gpus=gpus)
    found = victims(head, running, policy=RULES, recent=recent, now=NOW)
    shuffled = data.draw(st.permutations(running))
    assert victims(head, shuffled, policy=RULES, recent=recent, now=NOW) == found
    ids = {each.attempt_id for each in found or ()}
    chosen = [each for each in running if each.attempt_id in ids]
    assert allowed(chosen, recent)
    for each in chosen:
        assert not enough(head, running, [one for one in chosen if one is not each])


def test_a_large_machine_is_looked_through_in_no_time_and_nobody_is_asked_in_vain() -> None:
    crowd = [runs(each, gpus=1 + each % 8, minutes=11 + each % 97, organisation=each) for each in range(1, 401)]
    rules = replace(RULES, per_hour=1000)
    found = victims(blocked(gpus=61), crowd, policy=rules, recent={}, now=NOW)
    assert found is not None
    gpus = {each.attempt_id: each.needs.gpus for each in crowd}
    taken = [gpus[each.attempt_id] for each in found]
    assert sum(taken) >= 61
    assert sum(taken) - min(taken) < 61


def test_the_few_that_are_large_enough_are_found_among_many_small_ones() -> None:
    small = [runs(each, minutes=11, organisation=each) for each in range(1, 101)]
    large = [runs(200 + each, gpus=8, minutes=600, organisation=200 + each) for each in range(4)]
    assert choose(blocked(gpus=33), [*small, *large]) == [1, 200, 201, 202, 203]
    assert choose(blocked(gpus=34), [*small, *large]) is None  # five in an hour, says the rule here


# -- in a plan ---------------------------------------------------------------------------------------------------------


def held(number: int, *, gpus: int, organisation: int = 1, **known: object) -> Holding:
    plain = Holding(
        attempt_id=UUID(int=number),
        organisation_id=UUID(int=100 + organisation),
        backend="h200",
        needs=Resources(gpus=gpus),
        until=NOW + timedelta(hours=9),
        started_at=NOW - timedelta(hours=1),
        micro_nu=gpus * 10_000_000,
        service_class=SPOT,
    )
    return replace(plain, **known)  # type: ignore[arg-type]  any subset of the fields


def waits(number: int, *, gpus: int, hours: float = 1, organisation: int = 2, **known: object) -> Waiting:
    plain = Waiting(
        attempt_id=UUID(int=number),
        organisation_id=UUID(int=100 + organisation),
        backend="h200",
        needs=Resources(gpus=gpus),
        walltime_s=int(hours * 3600),
        micro_nu=gpus * 1_000_000,
        submitted_at=NOW - timedelta(seconds=1000 - number),
    )
    return replace(plain, **known)  # type: ignore[arg-type]  any subset of the fields


def world(holding: Sequence[Holding], waiting: Sequence[Waiting], *, gpus: int = 8, **known: object) -> Snapshot:
    used = sum(each.needs.gpus for each in holding if each.started)
    size = Resources(gpus=gpus)
    plain = Snapshot(
        now=NOW,
        pools={"h200": Pool(name="h200", total=size, free=Resources(gpus=gpus - used))},
        waiting=waiting,
        holding=holding,
        standings={UUID(int=100 + each): Standing(organisation_id=UUID(int=100 + each)) for each in range(1, 5)},
    )
    return replace(plain, **known)  # type: ignore[arg-type]  any subset of the fields


def asked(snapshot: Snapshot) -> list[int]:
    return [each.attempt_id.int for each in plan(snapshot).preempts]


def test_the_first_in_line_is_made_room_for_and_nobody_else() -> None:
    spot = [held(1, gpus=4), held(2, gpus=4, started_at=NOW - timedelta(minutes=20))]
    snapshot = world(spot, [waits(50, gpus=4), waits(51, gpus=4, organisation=3)])
    decided = plan(snapshot)
    assert ([each.attempt_id.int for each in decided.preempts], decided.starts) == ([2], ())
    first = decided.waits[0]
    assert first.facts["earliest"] == (NOW + timedelta(seconds=120)).isoformat()


def test_in_the_next_cycle_nobody_more_is_asked_and_nothing_slips_in_between() -> None:
    going = held(1, gpus=6, leaving=True, asked_to_leave_at=NOW - timedelta(seconds=5))
    snapshot = world([going], [waits(50, gpus=8), waits(51, gpus=1, hours=2), waits(52, gpus=1, hours=0.02)])
    decided = plan(snapshot)
    assert decided.preempts == ()
    assert [each.attempt_id.int for each in decided.starts] == [52]  # it is over before the other has left
    assert [(each.attempt_id.int, each.why) for each in decided.waits] == [
        (50, Why.NO_CAPACITY),
        (51, Why.RESERVED_FOR_EARLIER),
    ]


def test_what_does_not_leave_in_time_is_expected_by_its_walltime_again() -> None:
    stuck = held(1, gpus=6, leaving=True, asked_to_leave_at=NOW - timedelta(minutes=10))
    decided = plan(world([stuck], [waits(50, gpus=8), waits(51, gpus=1, hours=2)]))
    assert (decided.preempts, [each.attempt_id.int for each in decided.starts]) == ((), [51])


def test_nobody_is_asked_for_what_waits_for_something_else_too() -> None:
    booking = Booking(
        reservation_id=UUID(int=7),
        backend="h200",
        needs=Resources(gpus=8),
        since=NOW + timedelta(minutes=30),
        until=NOW + timedelta(hours=3),
    )
    assert asked(world([held(1, gpus=8)], [waits(50, gpus=4)], bookings=[booking])) == []
    assert asked(world([held(1, gpus=8)], [waits(50, gpus=4, hours=0.4)], bookings=[booking])) == [1]


def test_spot_work_waits_and_standard_work_is_no_victim() -> None:
    assert asked(world([held(1, gpus=8)], [waits(50, gpus=4, service_class=SPOT)])) == []
    assert asked(world([held(1, gpus=8, service_class=STANDARD)], [waits(50, gpus=4)])) == []
    assert asked(world([held(1, gpus=8, is_call=True)], [waits(50, gpus=4)])) == []


def test_the_first_in_the_backends_own_queue_is_made_room_for() -> None:
    sent = held(9, gpus=4, organisation=2, service_class=STANDARD, started=False, started_at=None, sent_at=NOW)
    snapshot = world([held(1, gpus=8), sent], [])
    pools = {"h200": replace(snapshot.pools["h200"], look_ahead=2)}
    assert asked(replace(snapshot, pools=pools)) == [1]


def test_the_limits_count_over_all_backends_of_one_cycle() -> None:
    snapshot = world([held(1, gpus=8), held(2, gpus=8, backend="b200")], [waits(50, gpus=4)])
    pools = {name: replace(snapshot.pools["h200"], name=name, free=Resources()) for name in ("h200", "b200")}
    both = replace(
        snapshot,
        pools=pools,
        waiting=[waits(50, gpus=4), waits(51, gpus=4, backend="b200")],
        policy=Policy(preemption=replace(RULES, per_organisation=1)),
    )
    assert len(asked(both)) == 1
    assert len(asked(replace(both, policy=Policy(preemption=RULES)))) == 2
    assert asked(replace(both, preempted={UUID(int=101): 1})) == []


@pytest.mark.parametrize(
    ("snapshot", "rules"),
    [
        (world([], [waits(50, gpus=4)]), ["in_order"]),
        (world([held(1, gpus=6)], [waits(50, gpus=8, hours=0.01), waits(51, gpus=2, hours=0.02)]), ["behind"]),
    ],
)
def test_a_start_says_by_which_rule_it_went_and_with_which_figures(snapshot: Snapshot, rules: list[str]) -> None:
    starts = plan(snapshot).starts
    assert [each.facts["rule"] for each in starts] == rules
    facts = dict(starts[0].facts)
    assert facts.keys() == {
        *("rule", "service_class", "used_nu", "weight", "needed", "free", "waiting", "policy", "settings")
    }
    assert facts["waiting"] == len(snapshot.waiting)


def test_an_interactive_job_goes_before_its_own_organisations_work_and_nobody_elses() -> None:
    standings = {
        UUID(int=102): Standing(organisation_id=UUID(int=102), used_micro_nu=1_000_000),
        UUID(int=103): Standing(organisation_id=UUID(int=103)),
    }
    jobs = [
        waits(50, gpus=1),
        waits(51, gpus=1, service_class=ServiceClass.INTERACTIVE),
        waits(52, gpus=1, organisation=3),
        waits(53, gpus=1, organisation=3),
    ]
    started = [each.attempt_id.int for each in plan(world([], jobs, standings=standings)).starts]
    assert started == [52, 51, 53, 50]


def test_a_victim_says_what_was_lost_in_normalised_units() -> None:
    one = Victim(
        attempt_id=UUID(int=1), organisation_id=UUID(int=2), ran=timedelta(hours=1), lost=2_000_000 * 3_600_000_000
    )
    assert one.lost_nu == 2.0
