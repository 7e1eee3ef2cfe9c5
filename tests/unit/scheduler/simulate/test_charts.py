"""What the report's pictures and tables show: one share over two kinds of machine, and which runs nothing beats."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from scheduler.simulate import charts
from scheduler.simulate.charts import Series
from scheduler.simulate.commands import run
from scheduler.simulate.report import report
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share
from scheduler.simulate.words import Words
from scheduler.simulate.workload import Setting

EN = Words("en")
HOUR_S, HOURS = 3600, 48
SHARES = [Share("alpha", 1), Share("beta", 1)]


def both_want_gpus_and_alpha_the_qpu() -> list[TraceJob]:
    """For two days, hour by hour, more than there is."""
    jobs: list[TraceJob] = []
    for hour in range(HOURS):
        at = hour * HOUR_S
        for org, wanted in (("alpha", 12), ("beta", 60)):
            jobs += [TraceJob(0, f"{org}-{hour}-{index}", org, "", at, 600, 600, 1) for index in range(wanted)]
        jobs.append(TraceJob(0, f"qpu-{hour}", "alpha", "", at, HOUR_S, HOUR_S, 0, HOUR_S, "helmi"))
    return jobs


def told(milli_nu: int) -> tuple[str, dict[str, list[float]]]:
    """The section of the report and its table: per cent at the GPUs, at the QPU, entitled to."""
    setting = Setting(gpus=4, rates={"helmi": milli_nu})
    runs = [run(both_want_gpus_and_alpha_the_qpu(), SHARES, setting, source="jobs.csv")]
    page = report(runs, EN, source="jobs.csv")
    part = next(each for each in page.split("<section>") if "What each held against" in each)
    rows = re.findall(r'<th scope="row">(\w+) \(weight 1\)</th>((?:<td>[\d.]+ %</td>)+)', part)
    return part, {name: [float(cell) for cell in re.findall(r"[\d.]+", cells)] for name, cells in rows}


@pytest.mark.parametrize(
    ("milli_nu", "alpha", "beta"),
    [
        (2000, (16.7, 33.3, 50), (50, 0, 50)),  # of 6 NU an hour 3 for each: the QPU is 2 of alpha's
        (1, (50, 0, 50), (50, 0, 50)),  # the QPU is worth next to nothing
    ],
)
def test_use_of_a_qpu_is_seen_to_take_from_the_share_of_gpus(
    milli_nu: int, alpha: tuple[float, ...], beta: tuple[float, ...]
) -> None:
    picture, held = told(milli_nu)
    assert held["alpha"] == pytest.approx(alpha, abs=4)
    assert held["beta"] == pytest.approx(beta, abs=4)
    assert picture.count('class="layer"') == 2 * 2 + 2  # two machines of two organisations, and the legend
    assert picture.count('class="due"') == 2 + 1
    assert f"helmi {milli_nu / 1000:g} NU" in picture


def test_layers_lie_on_each_other_on_one_axis_for_all() -> None:
    held = [[Series("gpus", [0.1, 0.2]), Series("qpu", [0.2, 0.2])], [Series("gpus", [0, 0]), Series("qpu", [0, 0.1])]]
    picture = charts.panels(["a", "b"], held, [[0.3, 0.4], [0, 0.1]], EN, label="x", stacked=True)
    assert picture.count("40 %") == 2
    tops = [path.split("L")[1].split(" ")[1] for path in re.findall(r'class="layer"[^>]* d="M([^"]+)"', picture)]
    assert float(tops[0]) < float(tops[1])  # of the first panel the whole is drawn first, and then what is below


def test_one_day_alone_is_a_line_and_no_dot() -> None:
    picture = charts.lines([Series("fifo", [0.5])], EN, label="x", as_percent=True)
    ends = re.search(r'class="line[^"]*"[^>]* d="M([\d.]+) [\d.]+L([\d.]+) ', picture)
    assert ends is not None
    assert float(ends[1]) < float(ends[2])


def test_the_frontier_joins_what_nothing_beats_in_both() -> None:
    points = [("slow", 0.1, 900.0), ("worse", 0.2, 950.0), ("middle", 0.2, 500.0), ("fast", 0.3, 60.0)]
    assert [name for name, *_ in charts.best_of(points)] == ["slow", "middle", "fast"]
    picture = charts.scatter(points, EN, label="x")
    assert picture.count('class="stair"') == 1
    assert picture.count('class="mark') == 2 * len(points)  # on the picture, and beside the names


def test_names_beside_a_picture_do_not_cover_each_other() -> None:
    points = [(f"run {number}", 0.1, 3600.0 + number) for number in range(12)]
    heights = [
        float(each) for each in re.findall(r' y="([\d.]+)" text-anchor="start"', charts.scatter(points, EN, label="x"))
    ]
    assert len(heights) == 12
    assert min(after - before for before, after in pairwise(heights)) >= 18
