"""Traces are read exactly, or refused by name with the row."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from infra.refusal import Refusal
from scheduler.simulate.errors import ExperimentRefused, TraceRowRefused, TraceUnreadable
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share, equal_shares, read_shares
from scheduler.simulate.trace import read_jobs
from scheduler.simulate.wording import FILES, OPTIONS, ROWS, said
from scheduler.simulate.workload import Estimate, Setting, prepared

HEADER = "job_id,org,submit_s,duration_s,limit_s,gpus"
GOOD = "1,a,0,50,100,4"
SHARES = [Share("a", 2), Share("b", 1)]


def file(folder: Path, text: str | bytes, name: str = "jobs.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path, row: str, header: str = HEADER) -> TraceRowRefused:
    with pytest.raises(TraceRowRefused) as caught:
        read_jobs(file(folder, f"{header}\n{GOOD}{',' * (header.count(',') - 5)}\n{row}\n"))
    return caught.value


def test_a_row_is_a_job(tmp_path: Path) -> None:
    assert read_jobs(file(tmp_path, f"{HEADER}\n{GOOD}\n")) == [TraceJob(2, "1", "a", "", 0, 50, 100, 4)]


def test_columns_are_found_by_name_and_more_of_them_do_no_harm(tmp_path: Path) -> None:
    header = "gpus,colour,user,limit_s,duration_s,submit_s,org,job_id,qpu,qpu_s"
    text = f"{header}\n4,red,eve,100,50,7,a,x-1,,\n0,,,9,9,8,b,x-2,helmi,3\n"
    packed = file(tmp_path, gzip.compress(text.encode()), "jobs.csv.gz")
    assert read_jobs(packed) == [
        TraceJob(2, "x-1", "a", "eve", 7, 50, 100, 4),
        TraceJob(3, "x-2", "b", "", 8, 9, 9, 0, 3, "helmi"),
    ]


def test_fractions_are_rounded_to_the_safe_side(tmp_path: Path) -> None:
    job = read_jobs(file(tmp_path, f"{HEADER}\n1,a,1.9,50.1,1e2,4.0\n"))[0]
    assert (job.submit_s, job.duration_s, job.limit_s, job.gpus) == (1, 51, 100, 4)


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ("2,a,x,50,100,4", "submit_s", "not_a_number"),
        ("2,a,nan,50,100,4", "submit_s", "not_a_number"),
        ("2,a,0,-5,100,4", "duration_s", "negative"),
        ("2,a,0,50,1e300,4", "limit_s", "absurd"),
        ("2,a,0,99999999999,100,4", "duration_s", "absurd"),
        ("2,a,0,50,100,99999999", "gpus", "absurd"),
        ("2,a,0,50,100,-1", "gpus", "negative"),
        ("2,a,0,50,100,1.5", "gpus", "not_whole"),
        ("2,a,0,50,0,4", "limit_s", "limit_too_short"),
        ("2,a,0,50,100,0", "gpus", "nothing_asked"),
        ("2,a,0,50,100", "gpus", "missing_value"),
        ("2,,0,50,100,4", "org", "missing_value"),
        (",a,0,50,100,4", "job_id", "missing_value"),
        ("2,a,,50,100,4", "submit_s", "missing_value"),
        ("1,a,0,50,100,4", "job_id", "repeated"),
    ],
)
def test_a_bad_row_is_refused_by_name(tmp_path: Path, row: str, column: str, problem: str) -> None:
    facts = refused(tmp_path, row).facts
    assert (facts["row"], facts["column"], facts["problem"]) == (3, column, problem)


def test_a_field_without_an_end_is_refused_with_its_row(tmp_path: Path) -> None:
    facts = refused(tmp_path, '2,"' + "a" * 200_000).facts
    assert (facts["row"], facts["problem"]) == (3, "not_read")


def test_qpu_time_needs_the_name_of_a_qpu(tmp_path: Path) -> None:
    assert refused(tmp_path, "2,a,0,50,100,0,9,", f"{HEADER},qpu_s,qpu").facts["problem"] == "no_qpu"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("job_id,org,submit_s,duration_s\n1,a,0,1\n", "missing_columns"),
        ("", "missing_columns"),
        (HEADER + "\n", "no_rows"),
        (HEADER + ",gpus\n1,a,0,50,100,4,2\n", "repeated_columns"),
        (b"\xff\xfe\x00", "not_text"),
        (b"\x1f\x8b broken", "not_text"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(TraceUnreadable) as caught:
        read_jobs(file(tmp_path, text))
    assert caught.value.facts["problem"] == problem


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceUnreadable) as caught:
        read_jobs(file(tmp_path, "job_id,org,submit_s,duration_s\n1,a,0,1\n"))
    assert caught.value.facts["columns"] == ["limit_s", "gpus"]
    with pytest.raises(TraceUnreadable) as caught:
        read_jobs(tmp_path / "nothing.csv")
    assert caught.value.facts["problem"] == "missing_file"


def test_the_standard_workload_format(tmp_path: Path) -> None:
    lines = [
        "; Version: 2.2",
        "1 10 5 100 4 -1 -1 8 600 -1 1 7 3 -1 1 -1 -1 -1",
        "2 20 5 100 4 -1 -1 -1 -1 -1 1 7 -1 -1 1 -1 -1 -1",
        "3 30 5 -1 4 -1 -1 8 600 -1 0 7 3 -1 1 -1 -1 -1",
    ]
    assert read_jobs(file(tmp_path, "\n".join(lines), "old.swf")) == [
        TraceJob(2, "1", "3", "7", 10, 100, 600, 8),
        TraceJob(3, "2", "7", "", 20, 100, 100, 4),
    ]
    with pytest.raises(TraceRowRefused) as caught:
        read_jobs(file(tmp_path, "1 10 5\n", "old.swf"))
    assert (caught.value.facts["row"], caught.value.facts["problem"]) == (1, "missing_value")


def test_shares_may_be_a_tree(tmp_path: Path) -> None:
    path = file(tmp_path, "org,share,parent\nlab,3,\nteam,1,lab\n", "shares.csv")
    assert read_shares(path) == [Share("lab", 3), Share("team", 1, "lab")]


def test_a_tree_may_be_deeper_than_python_recurses(tmp_path: Path) -> None:
    rows = "".join(f"n{level},1,{f'n{level - 1}' if level else ''}\n" for level in range(1500))
    shares = read_shares(file(tmp_path, f"org,share,parent\n{rows}", "shares.csv"))
    load = prepared([TraceJob(2, "1", "n1499", "", 0, 5, 5, 4)], shares, Setting(gpus=8))
    assert load.nodes[load.requests[0].leaf].parent == 1498


@pytest.mark.parametrize(
    ("rows", "row", "problem"),
    [
        ("a,1,\nb,0,", 3, "weight_zero"),
        ("a,-1,", 2, "negative"),
        ("a,half,", 2, "not_a_number"),
        ("a,1.5,", 2, "not_whole"),
        ("a,1,\na,2,", 3, "repeated"),
        (",1,", 2, "missing_value"),
        ("a,1", 2, "missing_value"),
        ("a,1,zoo", 2, "unknown_parent"),
        ("a,1,b\nb,1,a", 2, "cycle"),
        ("a,1,a", 2, "cycle"),
    ],
)
def test_bad_shares_are_refused_with_the_row(tmp_path: Path, rows: str, row: int, problem: str) -> None:
    with pytest.raises(TraceRowRefused) as caught:
        read_shares(file(tmp_path, f"org,share,parent\n{rows}\n", "shares.csv"))
    assert (caught.value.facts["row"], caught.value.facts["problem"]) == (row, problem)


def test_what_can_never_run_is_refused_before_the_replay() -> None:
    jobs = [TraceJob(2, "1", "a", "", 0, 5, 5, 4), TraceJob(9, "2", "c", "", 0, 5, 5, 4)]
    with pytest.raises(TraceRowRefused) as caught:
        prepared(jobs, SHARES, Setting(gpus=8))
    assert (caught.value.facts["row"], caught.value.facts["problem"]) == (9, "unknown_organisation")
    with pytest.raises(TraceRowRefused) as caught:
        prepared(jobs[:1], SHARES, Setting(gpus=3))
    assert (caught.value.facts["row"], caught.value.facts["problem"]) == (2, "gang_too_large")
    with pytest.raises(ExperimentRefused) as refusal:
        prepared([TraceJob(2, "1", "a", "", 0, 5, 5, 0, 5, "helmi")], SHARES, Setting(gpus=3))
    assert (refusal.value.facts["value"], refusal.value.facts["problem"]) == ("helmi", "no_rate")
    with pytest.raises(ExperimentRefused):
        prepared(jobs[:1], SHARES, Setting(gpus=8, weights={"zoo": 1}))
    with pytest.raises(TraceUnreadable):
        prepared(jobs[:1], SHARES, Setting(gpus=8, days=(3, 5)))


def test_requests_are_in_the_order_of_submission_whatever_the_order_of_the_file() -> None:
    jobs = [
        TraceJob(2, "10", "a", "", 1000, 5, 50, 4),
        TraceJob(3, "9", "b", "", 1000, 6, 60, 3),
        TraceJob(4, "1", "b", "", 1010, 7, 70, 2),
    ]
    one = prepared(jobs, SHARES, Setting(gpus=8))
    assert one == prepared(jobs[::-1], SHARES[::-1], Setting(gpus=8))
    assert [(job.submitted_s, job.units) for job in one.requests] == [(0, 3), (0, 4), (10, 2)]
    doubled = prepared(jobs, SHARES, Setting(gpus=8, estimate=Estimate.X2))
    assert [job.limit_s for job in doubled.requests] == [12, 10, 14]


def test_users_are_leaves_below_their_organisation() -> None:
    jobs = [TraceJob(2, "1", "a", "eve", 0, 5, 5, 1), TraceJob(3, "2", "a", "bob", 0, 5, 5, 1)]
    load = prepared(jobs, equal_shares(jobs), Setting(gpus=8))
    assert [(node.name, node.parent) for node in load.nodes] == [("a", None), ("bob", 0), ("eve", 0)]
    assert [load.nodes[job.leaf].name for job in load.requests] == ["eve", "bob"]
    assert [load.organisations[job.leaf] for job in load.requests] == [0, 0]


@pytest.mark.parametrize("japanese", [True, False])
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        *((TraceUnreadable, problem) for problem in FILES),
        *((TraceRowRefused, problem) for problem in ROWS),
        *((ExperimentRefused, problem) for problem in OPTIONS),
    ],
)
def test_every_refusal_says_what_and_what_to_do(kind: type[Refusal], problem: str, japanese: bool) -> None:  # noqa: FBT001
    facts = {"source": "jobs.csv", "row": 3, "column": "gpus", "value": "7", "limit": 4, "columns": ["org"]}
    sentence = said(kind(problem=problem, option="--gpus", known="1–4", **facts), japanese=japanese)
    assert sentence.startswith(f"{kind.code}/{problem}: ")
    assert "{" not in sentence
    assert any(ord(letter) > 0x3000 for letter in sentence) == japanese
