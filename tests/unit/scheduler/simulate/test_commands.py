"""The command line of the policy lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.simulate.commands import app

KEYS = (
    "jobs wait_mean_s wait_p50_s wait_p95_s wait_p99_s wait_max_s wait_p95_worst_org_s bsld_mean bsld_p95 "
    "share_error_p95 share_error_mean jain utilisation utilisation_backlog starvation_max_s preemption_waste "
    "violations jobs_per_s"
)
JOBS = "job_id,org,submit_s,duration_s,limit_s,gpus\n" + "".join(
    f"{number},{'ab'[number % 2]},{number * 40},{300 + 70 * (number % 5)},900,{1 + number % 4}\n"
    for number in range(60)
)


@pytest.fixture
def trace(tmp_path: Path) -> list[str]:
    (tmp_path / "jobs.csv").write_text(JOBS)
    (tmp_path / "shares.csv").write_text("org,share\na,2\nb,1\n")
    return ["--jobs", str(tmp_path / "jobs.csv"), "--shares", str(tmp_path / "shares.csv")]


@pytest.mark.parametrize("policy", ["kyoyo", "fifo", "fifo-easy", "fairtree-easy", "static"])
@pytest.mark.parametrize("more", [[], ["--nodes-of", "4"], ["--estimate", "x2"], ["--days", "0-1"]])
def test_a_replay_tells_its_figures_as_json(trace: list[str], tmp_path: Path, policy: str, more: list[str]) -> None:
    target = tmp_path / "figures.json"
    done = CliRunner().invoke(app, ["replay", *trace, "--gpus", "8", "--policy", policy, "--json", str(target), *more])
    assert done.exit_code == 0, done.output
    figures = json.loads(target.read_text())
    assert list(figures) == KEYS.split()
    assert json.loads(done.stdout) == figures
    assert (figures["jobs"], figures["violations"]) == (60, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gpus", "0"], "experiment-refused/out_of_range"),
        (["--gpus", "8", "--policy", "lottery"], "experiment-refused/unknown_policy"),
        (["--gpus", "8", "--estimate", "hope"], "experiment-refused/not_read"),
        (["--gpus", "8", "--days", "5-3"], "experiment-refused/not_read"),
        (["--gpus", "8", "--days", "7-9"], "trace-unreadable/no_rows"),
        (["--gpus", "8", "--nodes-of", "3"], "experiment-refused/out_of_range"),
        (["--gpus", "8", "--rate", "helmi=much"], "experiment-refused/not_read"),
        (["--gpus", "8", "--json", "/nowhere/x.json"], "experiment-refused/not_written"),
        (["--gpus", "3"], "trace-row-refused/gang_too_large: jobs.csv, row 5"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(trace: list[str], arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["replay", *trace, *arguments], env={"LC_ALL": "C"})
    assert done.exit_code == 2
    assert done.stderr.startswith(said)


def test_a_refusal_is_in_the_language_of_the_terminal(trace: list[str]) -> None:
    done = CliRunner().invoke(app, ["replay", *trace, "--gpus", "3"], env={"LC_ALL": "ja_JP.UTF-8"})
    assert "5 行目" in done.stderr
