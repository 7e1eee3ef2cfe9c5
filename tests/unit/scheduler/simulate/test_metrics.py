"""Figures against small cases computed by hand."""

from __future__ import annotations

import pytest

from scheduler.core.request import Request
from scheduler.core.tree import Node
from scheduler.simulate.metrics import measured, percentile
from scheduler.simulate.replay import Outcome, replay
from scheduler.simulate.sampling import sampled, water_filled
from scheduler.simulate.violations import violations
from scheduler.simulate.workload import Place, Setting, Workload

DAY_S = 86_400


def outcome(jobs: list[tuple[int, int, int, int, int]], *, weights: tuple[int, ...] = (1, 1), gpus: int = 4) -> Outcome:
    """jobs: (organisation, units, submitted, started, ran)."""
    requests = [Request(number, org, units, 10 * DAY_S, at) for number, (org, units, at, _, _) in enumerate(jobs)]
    load = Workload(
        [Node(f"org{index}", weight) for index, weight in enumerate(weights)],
        list(range(len(weights))),
        [f"org{index}" for index in range(len(weights))],
        [Place("gpus", gpus, 1000)],
        requests,
        [job[4] for job in jobs],
    )
    return Outcome(load, Setting(gpus=gpus), [job[3] for job in jobs])


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5], 95, 5),
        ([1, 2, 3, 4], 50, 2.5),
        ([10, 20], 95, 19.5),
        (range(101), 99, 99),
        ([3, 1, 2], 100, 3),
        ([], 50, 0),
    ],
)
def test_percentiles_are_linear(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


def test_waits_and_bounded_slowdowns() -> None:
    """Waits 0, 30, 90; run times 100, 5 (counts as 10), 10."""
    figures = measured(outcome([(0, 1, 0, 0, 100), (0, 1, 10, 40, 5), (1, 1, 10, 100, 10)]), replay_s=2)
    assert figures.jobs == 3
    assert figures.wait_mean_s == 40
    assert figures.wait_p50_s == 30
    assert figures.wait_p95_s == pytest.approx(30 + 0.9 * 60)
    assert figures.wait_max_s == 90
    assert figures.bsld_mean == pytest.approx((1 + 3.5 + 10) / 3)
    assert figures.jobs_per_s == 1.5


def test_the_worst_organisation_has_at_least_fifty_jobs() -> None:
    few = [(1, 1, 0, 500, 1) for _ in range(49)]
    many = [(0, 1, 0, 100, 1) for _ in range(50)]
    assert measured(outcome(few + many, gpus=100)).wait_p95_worst_org_s == 100
    assert measured(outcome([*few, few[0], *many], gpus=100)).wait_p95_worst_org_s == 500


def test_water_filling_by_weight_and_demand() -> None:
    assert water_filled([1, 1], [3, 9], 8) == [3, 5]
    assert water_filled([3, 1], [9, 9], 8) == [6, 2]
    assert water_filled([1, 1, 2], [1, 0, 9], 8) == [1, 0, 7]
    assert water_filled([1, 1], [3, 4], 8) == [3, 4]


def test_share_error_is_of_daily_means_against_water_filled_shares() -> None:
    """Two days. org0 holds all 4 GPUs; org1 asks for 4 from the middle of day 0 on: then each is entitled to 2."""
    half = DAY_S // 2
    figures = measured(
        outcome([(0, 4, 0, 0, 3 * DAY_S), (1, 4, half, 3 * DAY_S, 10), (1, 1, 2 * DAY_S - 1, 3 * DAY_S, 9)])
    )
    day0, day1 = 0.25, 0.5  # |4 − 3| ÷ 4 and |4 − 2| ÷ 4
    assert figures.share_error_mean == pytest.approx((day0 + day1) / 2)
    assert figures.share_error_p95 == pytest.approx(day0 + 0.95 * (day1 - day0))


def test_jain_utilisation_and_starvation() -> None:
    """Samples at 0, 600, 1200, 1800: org1 waits at the last two, entitled to 2 of 4 and holding none."""
    seen = outcome([(0, 4, 0, 0, 5000), (1, 2, 601, 5000, 10), (0, 1, 1800, 5010, 10)])
    figures = measured(seen)
    assert figures.utilisation == figures.utilisation_backlog == 1
    assert figures.starvation_max_s == 2 * 600
    # x = (2, 0) at two samples: Jain 1/2; before, org0 alone: 1
    assert figures.jain == pytest.approx(0.75)


def test_utilisation_counts_samples_with_a_backlog_apart() -> None:
    figures = measured(outcome([(0, 1, 0, 0, 600), (0, 2, 600, 700, 5000), (0, 1, 1200, 1200, 10)]))
    assert figures.utilisation == pytest.approx((0.25 + 0 + 0.75) / 3)
    assert figures.utilisation_backlog == 0


def test_violations_are_found_without_the_engine() -> None:
    assert violations(outcome([(0, 3, 0, 0, 10), (0, 1, 0, 0, 10), (1, 4, 0, 10, 5)])) == []
    assert violations(outcome([(0, 3, 0, 0, 10), (0, 2, 0, 9, 10)])) == ["gpus: 5 of 4 units held at 9 s"]
    assert len(violations(outcome([(0, 1, 5, 4, 10)]))) == 1


def test_at_one_instant_ends_come_first_then_arrivals_then_one_pass() -> None:
    jobs = [(0, 4, 0, 0, 10), (1, 4, 5, 0, 0), (0, 2, 10, 0, 10), (1, 2, 10, 0, 10)]
    load = outcome(jobs).workload
    assert replay(load, Setting(gpus=4, policy="fifo")).starts == [0, 10, 10, 10]


def test_a_day_sums_what_was_held_and_what_waited() -> None:
    day = sampled(outcome([(0, 4, 0, 0, 1200), (1, 2, 600, 1200, 10), (1, 2, 1200, 1200, 10)])).days[0]
    assert (day.held, day.waiting, day.backlog, day.count) == ([8000, 4000], 1, 2000, 3)
