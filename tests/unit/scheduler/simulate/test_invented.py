"""Workloads that nobody ran: the same for the same seed, as much as was asked for, and fit to be replayed."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.simulate.commands import app
from scheduler.simulate.invented import QPU, Wish, invented

WISH = Wish(seed=7, jobs=2000, gpus=64)


def test_the_same_seed_gives_the_same_workload() -> None:
    assert invented(WISH) == invented(WISH)
    assert invented(WISH).jobs != invented(replace(WISH, seed=8)).jobs


@pytest.mark.parametrize("load", [0.5, 1.0, 1.5])
def test_as_much_is_asked_for_as_was_wished(load: float) -> None:
    source = invented(replace(WISH, load=load))
    asked = sum(job.gpus * job.duration_s for job in source.jobs)
    last_s = max(job.submit_s for job in source.jobs)
    assert asked / (64 * last_s) == pytest.approx(load, rel=0.05)
    assert all(job.duration_s <= job.limit_s and job.gpus <= 64 for job in source.jobs)


def test_campaigns_are_many_jobs_of_one_organisation_within_an_hour() -> None:
    def in_a_row(campaigns: float) -> int:
        orgs = [job.org for job in sorted(invented(replace(WISH, campaigns=campaigns)).jobs, key=lambda job: job.row)]
        return sum(before == after for before, after in pairwise(orgs))

    assert in_a_row(0.9) > in_a_row(0.0) * 1.5


def test_a_part_asks_for_the_qpu() -> None:
    jobs = invented(replace(WISH, on_qpu=0.3)).jobs
    assert sum(job.qpu == QPU for job in jobs) / len(jobs) == pytest.approx(0.3, abs=0.05)


def test_it_is_written_with_the_command_that_replays_it(tmp_path: Path) -> None:
    asked = ["--seed", "3", "--jobs", "300", "--gpus", "16", "--on-qpu", "0.2"]
    done = CliRunner().invoke(app, ["invent", "--out", str(tmp_path), *asked])
    assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, shlex.split(done.stdout)[3:])
    assert again.exit_code == 0, again.output
    figures = json.loads(again.stdout)
    assert (figures["jobs"], figures["violations"]) == (300, 0)


@pytest.mark.parametrize(
    "words", [["--jobs", "0"], ["--load", "0"], ["--load", "nan"], ["--campaigns", "1"], ["--on-qpu", "-0.1"]]
)
def test_what_cannot_be_invented_is_refused_by_name(tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(app, ["invent", "--out", str(tmp_path), *words])
    assert done.exit_code == 2
    assert done.stderr.startswith("experiment-refused/out_of_range")
