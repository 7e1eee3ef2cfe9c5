"""The refund matrix and what may be given back."""

from __future__ import annotations

import pytest

from pricing import refunds
from pricing.errors import PolicyWrong, RefundTooLarge, RefundWrong
from pricing.model import Cause, Ending
from pricing.service.job_refunds import percent_bp
from pricing.units import micro
from scheduler.core.causes import cause_of
from scheduler.core.model import EndReason


def test_without_a_policy_what_we_lost_costs_nothing_and_what_users_did_costs_its_price() -> None:
    matrix = refunds.matrix(None)
    assert {cause for cause, share in matrix.items() if share == 0} == {
        Cause.PREEMPTED,
        Cause.NODE_FAILURE,
        Cause.VENDOR_ERROR,
        Cause.OUR_FAULT,
        Cause.MAINTENANCE_OVERRUN,
        Cause.NEVER_RAN,
    }
    assert set(matrix) == set(Cause)
    for ending in Ending:
        assert (matrix[refunds.usual_cause(ending)] > 0) == ending.is_charged


def test_a_policy_changes_some_causes_and_keeps_the_others() -> None:
    matrix = refunds.matrix({"out_of_memory": 5000})
    assert matrix[Cause.OUT_OF_MEMORY] == 5000
    assert matrix[Cause.WALLTIME] == 10_000


@pytest.mark.parametrize(
    "value",
    [
        {"act_of_god": 0},
        {"walltime": -1},
        {"walltime": 10_001},
        {"walltime": "5000"},
        {"walltime": True},
        {"walltime": 0.5},
        {"succeeded": 0},
        {"never_ran": 1},
    ],
)
def test_no_policy_can_be_absurd(value: dict[str, object]) -> None:
    with pytest.raises(PolicyWrong):
        refunds.matrix(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"above_yen": "-1"},
        {"above_yen": "x"},
        {"above_yen": "1", "more": 1},
        {"above_yen": "2", "day_above_yen": "1"},
        {"day_above_yen": "1"},
    ],
)
def test_no_limit_can_be_absurd(value: dict[str, object]) -> None:
    with pytest.raises(PolicyWrong):
        refunds.limits(value)


def test_what_one_gave_back_alone_counts_towards_the_limits_of_a_job_and_of_a_day() -> None:
    assert refunds.limits(None) == refunds.limits({"above_yen": "10000"})
    limits = refunds.limits({"above_yen": "3", "day_above_yen": "5"})
    assert limits.allows(micro("1"), of_job=micro("2"), of_day=micro("4"))
    assert not limits.allows(micro("1"), of_job=micro("2.5"), of_day=micro("2.5"))
    assert not limits.allows(micro("1"), of_job=0, of_day=micro("4.5"))


def test_no_more_is_given_back_than_is_charged() -> None:
    refunds.require_refund(5, "x", charged_micro_yen=5)
    with pytest.raises(RefundTooLarge):
        refunds.require_refund(6, "x", charged_micro_yen=5)
    for amount, reason in ((0, "x"), (-1, "x"), (1, ""), (1, "x" * 501)):
        with pytest.raises(RefundWrong):
            refunds.require_refund(amount, reason, charged_micro_yen=5)


def test_a_share_is_rounded_in_the_customers_favour() -> None:
    assert refunds.part(3, percent_bp=5000) == 2
    assert refunds.part(3, percent_bp=10_000) == 3
    assert percent_bp("12.5%") == 1250
    for wrong in ("", "x", "0.001", "1e9999999"):
        with pytest.raises(RefundWrong):
            percent_bp(wrong)


@pytest.mark.parametrize(
    ("ending", "reason", "cause"),
    [
        (Ending.FAILED, EndReason.OUT_OF_MEMORY, Cause.OUT_OF_MEMORY),
        (Ending.FAILED, EndReason.TIMED_OUT, Cause.WALLTIME),
        (Ending.FAILED, EndReason.EXIT_CODE, None),
        (Ending.LOST, EndReason.NODE_FAILED, Cause.NODE_FAILURE),
        (Ending.LOST, EndReason.VANISHED, Cause.VENDOR_ERROR),
        (Ending.SUCCEEDED, None, None),
    ],
)
def test_what_the_scheduler_knows_of_an_end_is_its_cause(
    ending: Ending, reason: str | None, cause: Cause | None
) -> None:
    assert cause_of(ending, reason) is cause
