"""Several runs side by side on one page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from scheduler.simulate import charts
from scheduler.simulate.charts import Series
from scheduler.simulate.metrics import Figures, percentile, waits_by_organisation
from scheduler.simulate.page import folded, page, scrolling, section, table
from scheduler.simulate.replay import Outcome
from scheduler.simulate.sampling import Samples
from scheduler.simulate.scales import duration, number
from scheduler.simulate.words import Words

_HIGHER_IS_BETTER = {"jain", "utilisation", "utilisation_backlog"}
_PLAIN = {"jobs", "violations", "jobs_per_s"}


@dataclass(frozen=True, slots=True)
class Run:
    """One policy in one scenario, replayed and measured."""

    name: str
    outcome: Outcome
    samples: Samples
    figures: Figures


def report(runs: Sequence[Run], words: Words, *, source: str) -> str:
    """The whole document; runs: at least one, of the same history."""
    first = runs[0]
    lead = words.text(
        "lead",
        source=source,
        jobs=number(first.figures.jobs),
        days=len(first.samples.days),
        organisations=len(first.outcome.workload.names),
    )
    machines = [_machines(run, words) for run in runs if len(_shared(run)) > 1]
    sections = [_figures(runs, words), _waits(runs, words), _frontier(runs, words)]
    sections += [_stacks(run, words) if len(_shared(run)) > 1 else _shares(run, words) for run in runs]
    return page(words, lead=lead, sections=[*sections, *machines, _utilisation(runs, words), _queue(runs, words)])


def _figures(runs: Sequence[Run], words: Words) -> str:
    figures = [asdict(run.figures) for run in runs]
    keys = list(figures[0])
    rows = [[words.text(key), *(_told(key, each[key], words) for each in figures)] for key in keys]
    best = [_best(key, [each[key] for each in figures]) for key in keys]
    head = [words.text("run"), *(run.name for run in runs)]
    return section(words.text("figures"), "", scrolling(table(head, rows, best=best), words.text("figures")))


def _told(key: str, value: float, words: Words) -> str:
    if key.endswith("_s") and key not in _PLAIN:
        return duration(value, words)
    return number(value) if key in _PLAIN or value >= 10 else f"{value:.3f}"  # noqa: PLR2004


def _best(key: str, values: Sequence[float]) -> int | None:
    if len(set(values)) == 1 or key in {"jobs", "jobs_per_s"}:
        return None
    return values.index(max(values) if key in _HIGHER_IS_BETTER else min(values))


def _waits(runs: Sequence[Run], words: Words) -> str:
    names = runs[0].outcome.workload.names
    waits = [Series(run.name, [percentile(each, 95) for each in waits_by_organisation(run.outcome)]) for run in runs]
    rows = [[name, *(duration(each.values[index], words) for each in waits)] for index, name in enumerate(names)]
    title = words.text("waits.title")
    return section(
        title,
        words.text("waits.lead"),
        charts.legend([run.name for run in runs], marks=True),
        scrolling(charts.dots(names, waits, words, label=title), title),
        folded(words, table([words.text("organisation"), *(run.name for run in runs)], rows)),
    )


def _frontier(runs: Sequence[Run], words: Words) -> str:
    points = [(run.name, run.figures.share_error_p95, run.figures.wait_max_s) for run in runs]
    rows = [[name, f"{error:.4f}", duration(wait, words)] for name, error, wait in points]
    title, head = words.text("frontier.title"), [words.text(each) for each in ("run", "frontier.x", "frontier.y")]
    return section(
        title,
        words.text("frontier.lead"),
        scrolling(charts.scatter(points, words, label=title), title),
        folded(words, table(head, rows)),
    )


def _shares(run: Run, words: Words) -> str:
    days, capacity, load = run.samples.days, run.samples.capacity, run.outcome.workload
    held = [[day.held[index] / day.count / capacity for day in days] for index in range(len(load.names))]
    names, entitled = _claims(run, words)
    keys = words.text("shares.held"), words.text("shares.entitled")
    rows = [[name, _percent(mine), _percent(due)] for name, mine, due in zip(names, held, entitled, strict=True)]
    title = words.text("shares.title", run=run.name)
    return section(
        title,
        words.text("shares.lead"),
        charts.legend(keys[:1], shaded=keys[1]),
        scrolling(
            charts.panels(names, [[Series(keys[0], each)] for each in held], entitled, words, label=title), title
        ),
        folded(words, table([words.text("organisation"), *keys], rows)),
    )


def _claims(run: Run, words: Words) -> tuple[list[str], list[list[float]]]:
    """Organisations with their weights, and what each was entitled to, day by day, as part of the whole."""
    tops = [node for node in run.outcome.workload.nodes if node.parent is None]
    names = [f"{node.name} ({words.text('weight')} {node.weight})" for node in tops]
    of_all = [day.count * run.samples.capacity for day in run.samples.days]
    days = list(zip(run.samples.days, of_all, strict=True))
    return names, [[day.share[index] / whole for day, whole in days] for index in range(len(tops))]


def _stacks(run: Run, words: Words) -> str:
    """What each held at each machine, in normalised units: one currency, so that the parts add up."""
    days, capacity, load = run.samples.days, run.samples.capacity, run.outcome.workload
    names, entitled = _claims(run, words)
    machines = _shared(run)
    stacks = [
        [
            Series(load.places[each].name, [day.by_machine[each][org] / day.count / capacity for day in days])
            for each in machines
        ]
        for org in range(len(load.names))
    ]
    keys = [load.places[each].name for each in machines]
    due = words.text("shares.entitled")
    rows = [
        [name, *(_percent(each.values) for each in mine), _percent(ours)]
        for name, mine, ours in zip(names, stacks, entitled, strict=True)
    ]
    title = words.text("shares.title", run=run.name)
    return section(
        title,
        words.text("stacks.lead", rates=_rates(run, words)),
        charts.legend([due], layers=keys),
        scrolling(charts.panels(names, stacks, entitled, words, label=title, stacked=True), title),
        folded(words, table([words.text("organisation"), *keys, due], rows)),
    )


def _rates(run: Run, words: Words) -> str:
    load = run.outcome.workload
    told = [
        words.text("rate", machine=load.places[each].name, nu=number(load.places[each].rate / 1000))
        for each in _shared(run)
    ]
    return words.text("rates.between").join(told)


def _percent(values: Sequence[float]) -> str:
    return f"{100 * sum(values) / max(1, len(values)):.1f} %"


def _shared(run: Run) -> list[int]:
    """The machines that all share."""
    return [index for index, place in enumerate(run.outcome.workload.places) if not place.is_part]


def _machines(run: Run, words: Words) -> str:
    load, days = run.outcome.workload, run.samples.days
    series = [
        [
            Series(
                load.places[machine].name,
                [
                    day.by_machine[machine][org] / day.count / (load.places[machine].units * load.places[machine].rate)
                    for day in days
                ],
            )
            for machine in _shared(run)
        ]
        for org in range(len(load.names))
    ]
    names = [load.places[machine].name for machine in _shared(run)]
    rows = [[name, *(_percent(each.values) for each in mine)] for name, mine in zip(load.names, series, strict=True)]
    title = words.text("machines.title", run=run.name)
    return section(
        title,
        words.text("machines.lead"),
        charts.legend(names),
        scrolling(charts.panels(load.names, series, [], words, label=title), title),
        folded(words, table([words.text("organisation"), *names], rows)),
    )


def _utilisation(runs: Sequence[Run], words: Words) -> str:
    series = [
        Series(run.name, [sum(day.busy) / day.count / run.samples.capacity for day in run.samples.days]) for run in runs
    ]
    return _over_time("utilisation", series, words, as_percent=True)


def _queue(runs: Sequence[Run], words: Words) -> str:
    series = [Series(run.name, [day.waiting / day.count for day in run.samples.days]) for run in runs]
    return _over_time("queue", series, words)


def _over_time(kind: str, series: Sequence[Series], words: Words, *, as_percent: bool = False) -> str:
    title = words.text(f"{kind}.title")
    rows = [
        [str(day), *(f"{100 * each.values[day]:.1f} %" if as_percent else number(each.values[day]) for each in series)]
        for day in range(len(series[0].values))
    ]
    names = [each.name for each in series]
    return section(
        title,
        words.text(f"{kind}.lead"),
        charts.legend(names),
        scrolling(charts.lines(series, words, label=title, as_percent=as_percent), title),
        folded(words, table([words.text("day"), *names], rows)),
    )
