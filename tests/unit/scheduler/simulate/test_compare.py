"""Several runs side by side: scenarios, and a page that anybody can read."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.simulate import options
from scheduler.simulate.commands import app
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.scales import Scale, duration, duration_steps, number, round_steps
from scheduler.simulate.scenarios import scenarios
from scheduler.simulate.words import Words
from scheduler.simulate.workload import Setting

EN, JA = Words("en"), Words("ja")
JOBS = "job_id,org,submit_s,duration_s,limit_s,gpus\n" + "".join(
    f"{number},{'abc'[number % 3]},{number * 1500},{9000 + 70 * (number % 5)},9900,{1 + number % 4}\n"
    for number in range(120)
)


class Page(HTMLParser):
    """What stands on it: tags that are open at the end, pictures and their names, tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.tables = 0
        self.linked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tables += tag == "table"
        self.linked += [value for name, value in attrs if name in {"src", "href"} and value]
        if given.get("role") == "img":
            self.pictures.append(given["aria-label"] or "")
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


@pytest.fixture
def trace(tmp_path: Path) -> list[str]:
    (tmp_path / "jobs.csv").write_text(JOBS)
    (tmp_path / "shares.csv").write_text("org,share\na,2\nb,1\nc,1\n")
    return ["--jobs", str(tmp_path / "jobs.csv"), "--shares", str(tmp_path / "shares.csv")]


def compared(trace: list[str], folder: Path, *more: str) -> tuple[Page, str, dict[str, dict[str, float]]]:
    html, figures = folder / "report.html", folder / "figures.json"
    done = CliRunner().invoke(app, ["compare", *trace, "--html", str(html), "--json", str(figures), *more])
    assert done.exit_code == 0, done.output
    text = html.read_text()
    return Page(text), text, json.loads(figures.read_text())


def test_one_command_answers_what_if(trace: list[str], tmp_path: Path) -> None:
    """What if b had weight 2, and there were 8 more GPUs, on those days?"""
    asked = ("--gpus", "4", "--gpus", "+8", "--what-if", "b=2", "--days", "0-2", "--language", "en")
    page, text, figures = compared(trace, tmp_path, *asked)
    assert list(figures) == ["kyoyo · as it is", "kyoyo · b=2, gpus=+8"]
    now, then = figures.values()
    assert then["wait_mean_s"] < now["wait_mean_s"]
    assert page.open == []
    assert page.linked == []
    assert "b (weight 2)" in text


@pytest.mark.parametrize(("words", "title"), [(EN, "Wait by organisation"), (JA, "組織ごとの待ち時間")])
def test_every_picture_has_a_name_and_a_table(trace: list[str], tmp_path: Path, words: Words, title: str) -> None:
    arguments = ("--gpus", "4", "--policy", "kyoyo,fifo,static", "--language", words.language)
    page, text, _ = compared(trace, tmp_path, *arguments)
    assert page.open == []
    assert len(page.pictures) == 2 + 3 + 2
    assert all(page.pictures)
    assert page.tables == len(page.pictures) + 1
    assert f'<html lang="{words.language}">' in text
    assert title in text
    assert not re.search(r"\bnan\b|\binf\b|None", text)


def test_names_of_a_trace_do_no_harm_to_the_page(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(JOBS.replace(",a,", ",<script>,"))
    page, text, _ = compared(["--jobs", str(tmp_path / "jobs.csv")], tmp_path, "--gpus", "4")
    assert page.open == []
    assert "<script>" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gpus", "4", "--what-if", "zoo=2"],
        ["--gpus", "4", "--what-if", "a=0"],
        ["--gpus", "4", "--what-if", "a+1"],
        ["--gpus", "4", "--what-if", "gpus=8"],
        ["--gpus", "+4"],
        ["--gpus", "4", "--gpus", "5"],
        ["--gpus", "four"],
        ["--gpus", "4", "--policy", "kyoyo,lottery"],
        ["--gpus", "4", "--policy", ","],
        ["--gpus", "4", "--language", "fr"],
        ["--gpus", "4", "--json", "/nowhere/x.json"],
        ["--gpus", "4", "--html", "/nowhere/x.html"],
        ["--gpus", "4", "--what-if", "east=+4"],
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(trace: list[str], tmp_path: Path, arguments: list[str]) -> None:
    target = tmp_path / "no.html"
    done = CliRunner().invoke(app, ["compare", *trace, "--html", str(target), *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith("experiment-refused/")
    assert not target.exists()


def test_scenarios_are_policies_times_worlds() -> None:
    base = Setting(gpus=8)
    assert [each.name for each in scenarios(base, ["fifo"], [], 0, as_it_is="now")] == ["fifo"]
    both = scenarios(base, ["kyoyo", "fifo"], ["a=2", "gpus=+1"], 4, as_it_is="now")
    assert [(each.name, each.gpus) for each in both] == [
        ("kyoyo · now", 8),
        ("kyoyo · a=2, gpus=+4", 12),
        ("kyoyo · gpus=+1", 9),
        ("fifo · now", 8),
        ("fifo · a=2, gpus=+4", 12),
        ("fifo · gpus=+1", 9),
    ]
    assert [each.gpus for each in scenarios(base, ["fifo"], [], 4, as_it_is="now")] == [8, 12]


def test_rates_are_read_in_thousandths() -> None:
    assert options.rates(["helmi=40", "q50=0.5"]) == {"helmi": 40_000, "q50": 500}
    for word in ("helmi", "=3", "helmi=-1", "helmi=nan", "helmi=inf"):
        with pytest.raises(ExperimentRefused):
            options.rates([word])


def test_scales() -> None:
    assert round_steps(0.83) == [0, 0.25, 0.5, 0.75, 1.0]
    assert round_steps(9100) == [0, 2500, 5000, 7500, 10000]
    assert round_steps(0) == [0, 1]
    assert duration_steps([0, 0]) == [1, 10]
    assert duration_steps([90, 100_000]) == [60, 600, 3600, 21_600, 86_400, 604_800]
    assert [duration(each, EN) for each in (0, 12.34, 90, 7200, 200_000)] == [
        "0 s",
        "12.3 s",
        "1.5 min",
        "2 h",
        "2.31 d",
    ]
    assert duration(90_000, JA) == "1.04 日"
    assert [number(each) for each in (0.0421, 3, 12_345.6)] == ["0.0421", "3", "12,346"]
    assert Scale(1, 100, 0, 10, is_log=True)(10) == pytest.approx(5)
    assert Scale(0, 10, 100, 0)(2.5) == 75
