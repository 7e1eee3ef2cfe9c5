"""GPUs and QPUs of the same organisations in one run: use of either counts for the turn at both."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from scheduler.simulate.metrics import measured
from scheduler.simulate.replay import Outcome, replay
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share
from scheduler.simulate.workload import Setting, prepared

SHARES = [Share("alpha", 1), Share("beta", 1)]
HOUR_S = 3600


def gpu(number: int, org: str, at: int, *, ran_s: int = HOUR_S, gpus: int = 1) -> TraceJob:
    return TraceJob(number, str(number), org, "", at, ran_s, ran_s, gpus)


def qpu(number: int, org: str, at: int, *, ran_s: int = 600) -> TraceJob:
    return TraceJob(number, str(number), org, "", at, ran_s, ran_s, 0, ran_s, "helmi")


def ran(jobs: list[TraceJob], *, milli_nu: int = 4000) -> tuple[Outcome, Mapping[int, int]]:
    """On four GPUs and a QPU worth so much an hour; starts by the jobs' numbers."""
    setting = Setting(gpus=4, policy="kyoyo", rates={"helmi": milli_nu})
    outcome = replay(prepared(jobs, SHARES, setting), setting)
    ordered = sorted(jobs, key=lambda job: (job.submit_s, len(job.job_id), job.job_id))
    return outcome, {job.row: start for job, start in zip(ordered, outcome.starts, strict=True)}


def both_hold_two_gpus_and_ask_for_one_more() -> list[TraceJob]:
    """The one who asks first is beta. What ends first was beta's, so that it holds less when a GPU falls free."""
    held = [
        gpu(10, "beta", 0),
        *(gpu(10 + index, "alpha" if index < 3 else "beta", 0, ran_s=2 * HOUR_S) for index in (1, 2, 3)),
    ]
    return [*held, gpu(30, "beta", 60), gpu(31, "alpha", 61)]


def test_use_of_a_qpu_lowers_the_turn_for_gpus() -> None:
    jobs = both_hold_two_gpus_and_ask_for_one_more()
    _, without = ran(jobs)
    _, beside = ran([*jobs, qpu(20, "beta", 0, ran_s=3 * HOUR_S)])
    assert (without[30], without[31]) == (HOUR_S, 2 * HOUR_S)
    assert (beside[30], beside[31]) == (2 * HOUR_S, HOUR_S)


def test_use_of_gpus_lowers_the_turn_for_the_qpu() -> None:
    jobs = [qpu(1, "alpha", 0), qpu(2, "beta", 10), qpu(3, "alpha", 20)]
    _, alike = ran(jobs)
    _, busy = ran([*jobs, *(gpu(10 + index, "beta", 0, ran_s=2 * HOUR_S) for index in range(4))])
    assert (alike[2], alike[3]) == (600, 1200)
    assert (busy[2], busy[3]) == (1200, 600)


@pytest.mark.parametrize(("milli_nu", "first", "second"), [(40_000, 91, 90), (500, 90, 91)])
def test_the_exchange_table_says_how_much_either_counts(milli_nu: int, first: int, second: int) -> None:
    """After an hour alpha holds a GPU and the QPU, beta two GPUs, and one is free that both want."""
    held = [qpu(1, "alpha", 0, ran_s=3 * HOUR_S), gpu(2, "alpha", 0, ran_s=3 * HOUR_S), gpu(3, "beta", 0)]
    held += [gpu(4 + index, "beta", 0, ran_s=3 * HOUR_S) for index in range(2)]
    _, starts = ran([*held, gpu(90, "alpha", 60), gpu(91, "beta", 60)], milli_nu=milli_nu)
    assert starts[first] == HOUR_S < starts[second]


def test_figures_are_in_units_of_both() -> None:
    """For an hour beta holds the QPU, worth 4 NU an hour, and alpha the four GPUs: each half of all."""
    jobs = [qpu(1, "beta", 0, ran_s=HOUR_S), *(gpu(10 + index, "alpha", 0) for index in range(4))]
    outcome, _ = ran([*jobs, qpu(2, "beta", HOUR_S - 1)])
    figures = measured(outcome)
    assert figures.utilisation == 1
    assert figures.share_error_mean == 0
    assert figures.violations == 0
