"""How well starts were predicted, on one page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.simulate.calibration import LEVELS, Calibration, Group
from scheduler.simulate.charts import Series, legend
from scheduler.simulate.forecast_words import ForecastWords
from scheduler.simulate.page import folded, page, scrolling, section, table
from scheduler.simulate.reliability import reliability
from scheduler.simulate.scales import duration, number


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one policy. ways: by name, the forecast first. instants: so often was asked."""

    policy: str
    instants: int
    ways: Mapping[str, Calibration]


def forecast_report(measured: Sequence[Measured], words: ForecastWords, *, source: str, futures: int) -> str:
    """The whole document; measured: at least one."""
    policies = ", ".join(each.policy for each in measured)
    lead = words.text("lead", source=source, policies=policies, futures=futures)
    sections = [part(each, words) for each in measured for part in (_reliability, _figures, _horizons)]
    return page(words, lead=lead, sections=sections)


def _reliability(each: Measured, words: ForecastWords) -> str:
    names = [words.text(name) for name in each.ways]
    series = [Series(name, way.reliability) for name, way in zip(names, each.ways.values(), strict=True)]
    title = words.text("reliability", policy=each.policy)
    rows = [[_percent(level), *(_percent(one.values[index]) for one in series)] for index, level in enumerate(LEVELS)]
    picture = reliability(LEVELS, series, label=title, across=words.text("predicted"), up=words.text("observed"))
    return section(
        title,
        words.text("reliability.lead"),
        legend(names),
        scrolling(picture, title),
        folded(words, table([words.text("predicted"), *names], rows)),
    )


def _figures(each: Measured, words: ForecastWords) -> str:
    rows = []
    for name, way in each.ways.items():
        named = words.text(name)
        rows += [_row(named, way.all, words), _row(words.text("new", name=named), way.new, words)]
    title = words.text("figures", policy=each.policy, instants=number(each.instants))
    return section(title, "", scrolling(table(_head("way", words), rows), title))


def _horizons(each: Measured, words: ForecastWords) -> str:
    groups = next(iter(each.ways.values())).horizons
    rows = [_row(_until(group, words), group, words) for group in groups]
    title = words.text("horizons", policy=each.policy)
    return section(title, "", scrolling(table(_head("wait", words), rows), title))


def _until(group: Group, words: ForecastWords) -> str:
    if group.until_s is None:
        return words.text("longer")
    return words.text("below", until=duration(group.until_s, words))


def _head(first: str, words: ForecastWords) -> list[str]:
    return [words.text(key) for key in (first, "count", "p50", "p90", "error", "pinball", "beyond")]


def _row(name: str, group: Group, words: ForecastWords) -> list[str]:
    return [
        name,
        number(group.p50.predicted),
        _percent(group.p50.coverage),
        _percent(group.p90.coverage),
        duration(group.p50.error_median_s, words),
        f"{duration(group.p50.pinball_s, words)} / {duration(group.p90.pinball_s, words)}",
        f"{group.p50.beyond} / {group.p90.beyond}",
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
