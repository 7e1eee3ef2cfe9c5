"""What a job is charged, given everything known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from pricing import charging
from pricing.charging import JobFacts, Key, Line, Outcome
from pricing.model import BillableAttempt, Ending, UsageToRate, Waiver
from pricing.units import micro
from tests.support.market import gpu_price, gpu_usage
from tests.support.prices import a_version, an_attempt

# 0.1 yen a second, at most 100 yen: 1,000 seconds
VERSION = a_version(prices=[gpu_price("360")])
CEILING = micro(100)


def _facts(
    *attempts: BillableAttempt,
    usages: Sequence[Sequence[UsageToRate]] = (),
    booked: Mapping[Key, Line] | None = None,
    hold_open: bool = True,
    parked: frozenset[UUID] = frozenset(),
) -> JobFacts:
    return JobFacts(
        versions={VERSION.offering_id: VERSION},
        ceiling_micro_yen=CEILING,
        hold_open=hold_open,
        attempts=attempts,
        usages={attempt.attempt_id: used for attempt, used in zip(attempts, usages, strict=False)},
        parked=parked,
        booked=booked or {},
    )


def _book(facts: JobFacts, outcome: Outcome) -> dict[Key, Line]:
    """The live lines after booking an outcome."""
    live = dict(facts.booked)
    for line in outcome.lines:
        if live.pop(line.key, None) is None:
            live[line.key] = line
    return live


def _charges(outcome: Outcome) -> list[tuple[int, int, Waiver | None]]:
    return [(line.piece.price_micro_yen, line.charged_micro_yen, line.waiver) for line in outcome.lines]


@pytest.mark.parametrize("ending", [Ending.SUCCEEDED, Ending.FAILED, Ending.CANCELLED])
def test_what_the_user_ran_is_charged_however_it_ended(ending: Ending) -> None:
    outcome = charging.outcome(_facts(an_attempt(1, ending, final=True), usages=[[gpu_usage("u", 300)]]))
    assert _charges(outcome) == [(micro(30), micro(30), None)]
    assert (outcome.settled, outcome.releases) == ((an_attempt().attempt_id,), True)


@pytest.mark.parametrize("ending", [Ending.PREEMPTED, Ending.LOST, Ending.NEVER_RAN])
def test_work_that_was_lost_costs_nothing_and_says_why(ending: Ending) -> None:
    outcome = charging.outcome(_facts(an_attempt(1, ending, final=True), usages=[[gpu_usage("u", 300)]]))
    assert _charges(outcome) == [(micro(30), 0, Waiver(ending.value))]
    assert (outcome.charged_after_micro_yen, outcome.overrun_micro_yen) == (0, 0)


@pytest.mark.parametrize("ending", [Ending.PREEMPTED, Ending.LOST, Ending.NEVER_RAN])
def test_lost_work_is_settled_without_waiting_for_its_accounting(ending: Ending) -> None:
    outcome = charging.outcome(_facts(an_attempt(1, ending, final=False)))
    assert (outcome.settled, outcome.releases) == ((an_attempt().attempt_id,), True)


def test_nothing_is_charged_before_the_end_is_known() -> None:
    outcome = charging.outcome(_facts(an_attempt(1, None, final=True), usages=[[gpu_usage("u", 300)]]))
    assert outcome.lines == ()
    assert outcome.settled == ()


def test_nothing_is_charged_before_the_accounting_is_final_and_the_hold_stays() -> None:
    outcome = charging.outcome(_facts(an_attempt(1, Ending.SUCCEEDED), usages=[[gpu_usage("u", 300)]]))
    assert (outcome.lines, outcome.settled, outcome.releases) == ((), (), False)


def test_an_attempt_without_usage_is_settled_at_nothing() -> None:
    outcome = charging.outcome(_facts(an_attempt(1, Ending.SUCCEEDED, final=True)))
    assert (outcome.lines, outcome.settled, outcome.releases) == ((), (an_attempt().attempt_id,), True)


def test_what_runs_beyond_the_ceiling_is_the_houses() -> None:
    outcome = charging.outcome(_facts(an_attempt(1, Ending.FAILED, final=True), usages=[[gpu_usage("u", 1200)]]))
    assert _charges(outcome) == [(micro(120), micro(100), Waiver.BEYOND_CEILING)]
    assert (outcome.charged_after_micro_yen, outcome.overrun_micro_yen) == (micro(100), micro(20))


def test_attempts_share_one_ceiling_the_earlier_one_first() -> None:
    first = an_attempt(1, Ending.FAILED, last=False, final=True)
    second = an_attempt(2, Ending.SUCCEEDED, final=True)
    usages = [[gpu_usage("u", 800)], [gpu_usage("v", 500)]]
    expected = [(micro(80), micro(80), None), (micro(50), micro(20), Waiver.BEYOND_CEILING)]
    assert _charges(charging.outcome(_facts(first, second, usages=usages))) == expected
    assert _charges(charging.outcome(_facts(second, first, usages=usages[::-1]))) == expected


def test_lost_work_does_not_use_up_the_ceiling() -> None:
    lost = an_attempt(1, Ending.PREEMPTED, last=False, final=True)
    second = an_attempt(2, Ending.SUCCEEDED, final=True)
    outcome = charging.outcome(_facts(lost, second, usages=[[gpu_usage("u", 900)], [gpu_usage("v", 900)]]))
    assert _charges(outcome) == [(micro(90), 0, Waiver.PREEMPTED), (micro(90), micro(90), None)]


def test_the_hold_stays_open_while_another_attempt_is_to_follow() -> None:
    outcome = charging.outcome(_facts(an_attempt(1, Ending.LOST, last=False)))
    assert (outcome.settled, outcome.releases) == ((an_attempt().attempt_id,), False)


def test_the_hold_stays_open_until_every_attempt_is_settled() -> None:
    waits = an_attempt(1, Ending.FAILED, last=False)
    outcome = charging.outcome(_facts(waits, an_attempt(2, Ending.LOST)))
    assert (outcome.settled, outcome.releases) == ((an_attempt(2).attempt_id,), False)


def test_parked_usage_keeps_its_attempt_unsettled() -> None:
    attempt = an_attempt(1, Ending.SUCCEEDED, final=True)
    outcome = charging.outcome(_facts(attempt, usages=[[gpu_usage("u", 100)]], parked=frozenset({attempt.attempt_id})))
    assert (outcome.settled, outcome.releases) == ((), False)
    assert outcome.charged_after_micro_yen == micro(10)


def test_what_is_booked_already_is_not_booked_again() -> None:
    facts = _facts(an_attempt(1, Ending.SUCCEEDED, final=True), usages=[[gpu_usage("u", 300)]])
    again = replace(facts, booked=_book(facts, charging.outcome(facts)))
    assert charging.outcome(again).lines == ()


def test_a_correction_reverses_the_old_line_and_books_the_new_one() -> None:
    attempt = an_attempt(1, Ending.FAILED, last=False, final=True)
    before = _facts(attempt, usages=[[gpu_usage("u", 300)]])
    corrected = _facts(attempt, usages=[[gpu_usage("v", 200)]], booked=_book(before, charging.outcome(before)))
    outcome = charging.outcome(corrected)
    assert _charges(outcome) == [(-micro(30), -micro(30), None), (micro(20), micro(20), None)]
    assert (outcome.charged_before_micro_yen, outcome.charged_after_micro_yen) == (micro(30), micro(20))


def test_a_correction_makes_room_under_the_ceiling_for_a_later_attempt() -> None:
    first = an_attempt(1, Ending.FAILED, last=False, final=True)
    second = an_attempt(2, Ending.SUCCEEDED, final=True)
    late = [gpu_usage("v", 500)]
    before = _facts(first, second, usages=[[gpu_usage("u", 800)], late])
    after = _facts(first, second, usages=[[gpu_usage("w", 600)], late], booked=_book(before, charging.outcome(before)))
    outcome = charging.outcome(after)
    assert outcome.charged_after_micro_yen == micro(100)
    assert outcome.overrun_micro_yen == micro(10 - 30)
    assert {line.charged_micro_yen for line in charging.charge(after)} == {micro(60), micro(40)}


def _released(seconds: int) -> tuple[BillableAttempt, dict[Key, Line]]:
    attempt = an_attempt(1, Ending.SUCCEEDED, final=True, settled=True)
    facts = _facts(attempt, usages=[[gpu_usage("u", seconds)]])
    return attempt, _book(facts, charging.outcome(facts))


def test_after_the_release_a_higher_count_is_the_houses_for_the_customer_has_its_bill() -> None:
    attempt, booked = _released(300)
    outcome = charging.outcome(_facts(attempt, usages=[[gpu_usage("v", 400)]], booked=booked, hold_open=False))
    assert (outcome.charged_before_micro_yen, outcome.charged_after_micro_yen) == (micro(30), micro(30))
    assert outcome.overrun_micro_yen == micro(10)
    assert [line.waiver for line in outcome.lines] == [None, Waiver.LATE_CORRECTION]


def test_after_the_release_a_lower_count_is_refunded() -> None:
    attempt, booked = _released(300)
    outcome = charging.outcome(_facts(attempt, usages=[[gpu_usage("v", 100)]], booked=booked, hold_open=False))
    assert (outcome.charged_before_micro_yen, outcome.charged_after_micro_yen) == (micro(30), micro(10))
    assert outcome.overrun_micro_yen == 0


def test_what_was_refunded_is_not_taken_back() -> None:
    attempt, booked = _released(300)
    lower = _facts(attempt, usages=[[gpu_usage("v", 100)]], booked=booked, hold_open=False)
    higher = replace(
        lower, usages={attempt.attempt_id: [gpu_usage("w", 250)]}, booked=_book(lower, charging.outcome(lower))
    )
    outcome = charging.outcome(higher)
    assert outcome.charged_after_micro_yen == micro(10)
    assert outcome.overrun_micro_yen == micro(15)


def test_late_usage_of_lost_work_is_recorded_at_nothing_after_the_release() -> None:
    lost = an_attempt(1, Ending.LOST, final=True, settled=True)
    outcome = charging.outcome(_facts(lost, usages=[[gpu_usage("u", 300)]], hold_open=False))
    assert _charges(outcome) == [(micro(30), 0, Waiver.LOST)]
    assert (outcome.charged_after_micro_yen, outcome.overrun_micro_yen) == (0, 0)
