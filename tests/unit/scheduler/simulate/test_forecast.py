"""How well starts are predicted, measured on a workload: the command, its figures and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.core.forecast import NEVER
from scheduler.simulate.calibration import LEVELS, calibrated
from scheduler.simulate.forecast_command import app
from scheduler.simulate.forecasting import Prediction

JOBS = "job_id,org,user,submit_s,duration_s,limit_s,gpus\n" + "".join(
    f"{number},{'abc'[number % 3]},u{number % 2},{number * 70},{200 + 190 * (number % 7)},1800,{1 + number * 7 % 5}\n"
    for number in range(400)
)


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    (tmp_path / "jobs.csv").write_text(JOBS)
    return ["forecast", "--jobs", str(tmp_path / "jobs.csv"), "--every", "1", "--warm-up", "3", "--futures", "8"]


def test_a_forecast_is_better_calibrated_than_what_knows_no_arrivals_or_no_run_times(
    asked: list[str], tmp_path: Path
) -> None:
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    more = ["--gpus", "32", "--policy", "kyoyo", "--html", str(page), "--json", str(figures), "--language", "en"]
    done = CliRunner().invoke(app, [*asked, *more])
    assert done.exit_code == 0, done.output
    told = json.loads(figures.read_text())["kyoyo"]
    assert told == json.loads(done.stdout)["kyoyo"]
    assert list(told["ways"]) == ["forecast", "no_arrivals", "limits"]
    losses = [told["ways"][way]["all"]["p50"]["pinball_s"] for way in told["ways"]]
    assert losses[0] < losses[2]
    assert told["ways"]["forecast"]["all"]["p90"]["coverage"] >= told["ways"]["no_arrivals"]["all"]["p90"]["coverage"]
    assert page.read_text().count('role="img"') == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--gpus", "32", "--futures", "1"], "experiment-refused/out_of_range"),
        (["--gpus", "32", "--every", "0"], "experiment-refused/out_of_range"),
        (["--gpus", "100000"], "experiment-refused/never_waited"),
    ],
)
def test_what_measures_nothing_is_refused(asked: list[str], more: list[str], said: str) -> None:
    done = CliRunner().invoke(app, [*asked, *more], env={"LC_ALL": "C"})
    assert done.exit_code == 2
    assert done.stderr.startswith(said)


def test_coverage_loss_and_reliability_are_as_defined() -> None:
    """Four futures each: 10, 20, 30, 40 from now; what happened is at 20 and 45, and nobody knows of the third."""
    futures = [110, 120, 130, 140]
    told = [
        Prediction(0, 100, is_new=True, starts_s=futures),
        Prediction(1, 100, is_new=False, starts_s=futures),
        Prediction(2, 100, is_new=False, starts_s=[110, NEVER, NEVER, NEVER]),
    ]
    found = calibrated(told, [120, 145, 500])
    assert (found.jobs, found.all.p50.predicted, found.all.p50.beyond) == (3, 2, 1)
    assert found.all.p50.coverage == 0.5  # p50 is the third of four
    assert found.all.p50.error_median_s == pytest.approx(12.5)
    assert found.all.p50.pinball_s == pytest.approx((0.5 * 10 + 0.5 * 15) / 2)
    assert found.all.p90.pinball_s == pytest.approx((0.1 * 20 + 0.9 * 5) / 2)
    assert (found.new.p50.predicted, found.new.p50.coverage) == (1, 1.0)
    assert [group.until_s for group in found.horizons] == [600]
    assert found.reliability[LEVELS.index(0.5)] == pytest.approx(2 / 3)  # 0.375 and 0.25, but not 1
