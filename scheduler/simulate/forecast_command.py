"""`forecast`: replays a workload, asks for predictions meanwhile, and tells how good they were."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from scheduler.simulate import options
from scheduler.simulate.calibration import calibrated
from scheduler.simulate.commands import (
    Days,
    EstimateWord,
    Gpus,
    Jobs,
    Json,
    NodesOf,
    Own,
    Qpus,
    Rates,
    Shares,
    Since,
    Until,
    app,
    asked_of,
    read,
    refusals_told,
    shown,
    terminal_language,
)
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.forecast_report import Measured, forecast_report
from scheduler.simulate.forecast_words import ForecastWords
from scheduler.simulate.forecasting import Asking, Watching
from scheduler.simulate.policies import suited
from scheduler.simulate.replay import replay
from scheduler.simulate.sources import Source, with_machines
from scheduler.simulate.workload import Setting, prepared

__all__ = ["app", "forecast_command", "measure"]

_HOUR_S = 3600
_MOST_FUTURES = 1000
_MOST_HOURS = 24 * 365


@app.command(name="forecast")
def forecast_command(
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    history: Own = False,
    since: Since = None,
    until: Until = None,
    gpus: Gpus = None,
    shares: Shares = None,
    policy: Annotated[str, typer.Option("--policy", help="Names with commas between.")] = "kyoyo",
    estimate: EstimateWord = "limit",
    days: Days = None,
    nodes_of: NodesOf = 0,
    qpus: Qpus = None,
    rate: Rates = None,
    every: Annotated[int, typer.Option("--every", help="Hours between two questions.")] = 6,
    warm_up: Annotated[int, typer.Option("--warm-up", help="Hours before the first question.")] = 7 * 24,
    horizon: Annotated[int, typer.Option("--horizon", help="Hours that are looked ahead.")] = 7 * 24,
    futures: Annotated[int, typer.Option("--futures", help="So many futures for each question.")] = 20,
    html: Annotated[Path | None, typer.Option("--html", help="Where a report goes.")] = None,
    to_json: Json = None,
    language: Annotated[str | None, typer.Option("--language", help="ja or en; else the terminal's.")] = None,
) -> None:
    """Asks for predictions while a workload is replayed, and tells how good they were."""
    with refusals_told():
        asking = Asking(
            every_s=options.in_range("--every", every, 1, _MOST_HOURS) * _HOUR_S,
            warm_up_s=options.in_range("--warm-up", warm_up, 0, _MOST_HOURS) * _HOUR_S,
            horizon_s=options.in_range("--horizon", horizon, 1, _MOST_HOURS) * _HOUR_S,
            futures=options.in_range("--futures", futures, 2, _MOST_FUTURES),
        )
        sizes, policies = options.sizes(gpus or []), options.policies(policy)
        asked = asked_of(estimate, days, qpus, rate)
        words = ForecastWords(options.language(language) if language else terminal_language())
        source = read(ctx.obj, jobs, shares, history=history, since=since, until=until)
        base = with_machines(asked, source, sizes, nodes_of=nodes_of)
        runs = [measure(source, replace(base, policy=each), asking) for each in policies]
        if html is not None:
            told = forecast_report(runs, words, source=source.name, futures=asking.futures)
            html.write_text(told, encoding="utf-8")
        figures = json.dumps({each.policy: asdict(each) for each in runs}, indent=2)
        if to_json is not None:
            to_json.write_text(figures + "\n", encoding="utf-8")
        typer.echo(figures)


def measure(source: Source, setting: Setting, asking: Asking) -> Measured:
    """One replay, with questions. ExperimentRefused: nothing waited when it was asked."""
    workload = prepared(source.jobs, source.shares, setting, source=source.name)
    watching = Watching(suited(workload, setting.policy), asking)
    with shown(setting.policy, len(workload.requests)) as progress:
        outcome = replay(workload, setting, progress, watching)
    heard = watching.heard
    if not heard.instants:
        raise ExperimentRefused(option="--warm-up", value=asking.warm_up_s // _HOUR_S, problem="never_waited", known="")
    ways = {name: calibrated(each, outcome.starts) for name, each in heard.predictions.items()}
    return Measured(setting.policy, heard.instants, ways)
