"""Several machines in one trace: how large each is, what it is worth, and more of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.simulate.commands import app
from scheduler.simulate.errors import ExperimentRefused, TraceRowRefused
from scheduler.simulate.options import Sizes, qpus, sizes
from scheduler.simulate.replay import replay
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.scenarios import grown
from scheduler.simulate.shares import Share
from scheduler.simulate.sources import Source, with_machines
from scheduler.simulate.trace import read_jobs
from scheduler.simulate.violations import violations
from scheduler.simulate.workload import Setting, prepared

SHARES = [Share("a", 1), Share("b", 1)]
TWO = Setting(gpus=0, pools={"north": 4, "south": 2}, rates={"north": 2000, "helmi": 4000})


def job(number: int, org: str, gpus: int, machine: str) -> TraceJob:
    return TraceJob(number, str(number), org, "", 0, 60, 90, gpus, machine=machine)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["576"], Sizes(576, {})),
        (["576", "+8"], Sizes(576, {}, 8)),
        (["north=64", "south=32"], Sizes(None, {"north": 64, "south": 32})),
        (["+8"], Sizes(None, {}, 8)),
        ([], Sizes(None, {})),
    ],
)
def test_sizes(words: list[str], told: Sizes) -> None:
    assert sizes(words) == told


@pytest.mark.parametrize("words", [["north"], ["=3"], ["north=+3"], ["north=1", "north=2"], ["1", "2"], ["+1", "+2"]])
def test_sizes_that_cannot_be_read(words: list[str]) -> None:
    with pytest.raises(ExperimentRefused):
        sizes(words)


@pytest.mark.parametrize("word", ["helmi", "helmi=0", "helmi=+1", "=1"])
def test_qpus_that_cannot_be_read(word: str) -> None:
    with pytest.raises(ExperimentRefused):
        qpus([word])


def test_a_job_runs_on_its_machine_at_the_rate_of_that(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("job_id,org,submit_s,duration_s,limit_s,gpus,machine\n1,a,0,60,90,4,north\n2,b,0,60,90,2,south\n")
    load = prepared(read_jobs(path), SHARES, TWO)
    assert [(place.name, place.units, place.rate) for place in load.places] == [("north", 4, 2000), ("south", 2, 1000)]
    assert [(load.places[each.machine].name, load.rate_of(each)) for each in load.requests] == [
        ("north", 8000),
        ("south", 2000),
    ]


def test_a_machine_that_nobody_described_is_refused_and_so_is_a_gang_beyond_one() -> None:
    with pytest.raises(ExperimentRefused) as nameless:
        prepared([job(2, "a", 1, "east")], SHARES, TWO)
    assert (nameless.value.facts["value"], nameless.value.facts["problem"]) == ("east", "no_size")
    with pytest.raises(TraceRowRefused) as wide:
        prepared([job(2, "a", 3, "south")], SHARES, TWO)
    assert (wide.value.facts["row"], wide.value.facts["problem"]) == (2, "gang_too_large")


@pytest.mark.parametrize(
    ("setting", "more", "told"),
    [
        (Setting(gpus=8), {"gpus": 2}, {"gpus": 10}),
        (Setting(gpus=0, pools={"north": 4}), {"gpus": 2}, {"north": 6}),
        (TWO, {"south": 2}, {"north": 4, "south": 4}),
        (TWO, {"helmi": 1}, {"north": 4, "south": 2, "helmi": 2}),
    ],
)
def test_more_of_one_machine(setting: Setting, more: Mapping[str, int], told: Mapping[str, int]) -> None:
    seen = grown(setting, more)
    assert {**({"gpus": seen.gpus} if seen.gpus else {}), **seen.pools, **seen.qpus} == told


@pytest.mark.parametrize("more", [{"gpus": 2}, {"east": 2}])
def test_more_of_nobody_knows_which_is_refused(more: Mapping[str, int]) -> None:
    with pytest.raises(ExperimentRefused) as refused:
        grown(TWO, more)
    assert refused.value.facts["problem"] == "unknown_machine"


def test_one_number_is_of_the_only_machine() -> None:
    own = Source(name="own", jobs=[], shares=[], pools={"north": 4})
    assert with_machines(Setting(gpus=0), own, sizes(["6"])).pools == {"north": 6}
    with pytest.raises(ExperimentRefused):
        with_machines(Setting(gpus=0), Source(name="own", jobs=[], shares=[], pools=TWO.pools), sizes(["6"]))
    with pytest.raises(ExperimentRefused):
        with_machines(Setting(gpus=0), Source(name="file", jobs=[], shares=[]), sizes([]))


def test_static_divides_each_machine() -> None:
    setting = Setting(gpus=0, pools={"north": 4, "south": 2}, policy="static")
    outcome = replay(prepared([job(1, "a", 4, "north"), job(2, "b", 2, "south")], SHARES, setting), setting)
    load = outcome.workload
    assert [load.places[each.machine].name for each in load.requests] == ["north/a", "south/b"]
    assert list(load.durations) == [120, 120]
    assert violations(outcome) == []


def test_there_may_be_several_qpus_of_one_name() -> None:
    jobs = [TraceJob(number, str(number), "a", "", 0, 60, 60, 0, 60, "helmi") for number in (1, 2, 3)]
    setting = Setting(gpus=0, qpus={"helmi": 2}, rates={"helmi": 4000})
    assert replay(prepared(jobs, SHARES, setting), setting).starts == [0, 0, 60]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--jobs", "a.csv", "--history"],
        ["--history", "--shares", "shares.csv"],
        ["--jobs", "a.csv", "--from", "2026-10-01"],
    ],
)
def test_a_file_or_the_history_but_not_both(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["replay", "--gpus", "4", *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith("experiment-refused/one_source")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "experiment-refused/not_read"),
        (["--to", "2026-02-30"], "experiment-refused/not_read"),
        (["--from", "2026-10-02", "--to", "2026-10-01"], "experiment-refused/out_of_range"),
        ([], "trace-unreadable/no_database"),
    ],
)
def test_a_history_that_cannot_be_read(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["replay", "--history", *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith(said)
