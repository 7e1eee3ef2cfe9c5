"""The commands of the policy lab. Exit codes: 0 done, 2 refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from infra.refusal import Refusal
from scheduler.simulate import options
from scheduler.simulate.metrics import measured
from scheduler.simulate.replay import Progress, replay
from scheduler.simulate.report import Run, report
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.sampling import sampled
from scheduler.simulate.scenarios import scenarios
from scheduler.simulate.shares import Share, equal_shares, read_shares
from scheduler.simulate.trace import read_jobs
from scheduler.simulate.wording import said
from scheduler.simulate.words import Words
from scheduler.simulate.workload import Setting, prepared

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Try a scheduling policy on a recorded workload.")
_REFUSED = 2

Jobs = Annotated[Path, typer.Option("--jobs", help="jobs.csv, jobs.csv.gz, or SWF by the ending .swf.")]
Shares = Annotated[Path | None, typer.Option("--shares", help="org,share[,parent]; without it all weigh the same.")]
EstimateWord = Annotated[str, typer.Option("--estimate", help="What the policy believes: exact, limit or x2.")]
Days = Annotated[str | None, typer.Option("--days", help="A-B: only what was submitted from day A until before day B.")]
NodesOf = Annotated[int, typer.Option("--nodes-of", help="GPUs of a node, packed for real; 0: a plain pool.")]
Rates = Annotated[list[str] | None, typer.Option("--rate", help="QPU=NU: what an hour of it is worth.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@app.command(name="replay")
def replay_command(
    jobs: Jobs,
    gpus: Annotated[int, typer.Option("--gpus", help="GPUs of the machine.")],
    shares: Shares = None,
    policy: Annotated[str, typer.Option("--policy", help="kyoyo, fifo, fifo-easy, fairtree-easy, static.")] = "kyoyo",
    estimate: EstimateWord = "limit",
    days: Days = None,
    nodes_of: NodesOf = 0,
    rate: Rates = None,
    to_json: Json = None,
) -> None:
    """Replays a workload through the production core and tells how good the schedule is."""
    with refusals_told():
        setting = Setting(
            gpus=options.gpus(gpus),
            policy=options.policy(policy),
            estimate=options.estimate(estimate),
            days=options.days(days),
            nodes_of=options.nodes_of(nodes_of, gpus=gpus),
            rates=options.rates(rate or []),
        )
        trace, weights = read(jobs, shares)
        told = json.dumps(asdict(run(trace, weights, setting, source=jobs.name).figures), indent=2)
        if to_json is not None:
            to_json.write_text(told + "\n", encoding="utf-8")
        typer.echo(told)


@app.command(name="compare")
def compare_command(
    jobs: Jobs,
    gpus: Annotated[list[str], typer.Option("--gpus", help="GPUs of the machine; and +M: also with so many more.")],
    html: Annotated[Path, typer.Option("--html", help="Where the report goes.")] = Path("comparison.html"),
    shares: Shares = None,
    policy: Annotated[str, typer.Option("--policy", help="Names with commas between.")] = "kyoyo",
    what_if: Annotated[
        list[str] | None, typer.Option("--what-if", help="ORG=WEIGHT[,ORG=WEIGHT][,gpus=+M]: one scenario more.")
    ] = None,
    estimate: EstimateWord = "limit",
    days: Days = None,
    nodes_of: NodesOf = 0,
    rate: Rates = None,
    to_json: Json = None,
    language: Annotated[str | None, typer.Option("--language", help="ja or en; else the terminal's.")] = None,
) -> None:
    """Replays the same history under several policies and scenarios, and draws the answers on one page."""
    with refusals_told():
        size, more = options.sizes(gpus)
        base = Setting(
            gpus=size,
            estimate=options.estimate(estimate),
            days=options.days(days),
            nodes_of=options.nodes_of(nodes_of, gpus=size),
            rates=options.rates(rate or []),
        )
        words = Words(options.language(language) if language else "ja" if is_japanese() else "en")
        settings = scenarios(base, options.policies(policy), what_if or [], more, as_it_is=words.text("base"))
        trace, weights = read(jobs, shares)
        runs = [run(trace, weights, setting, source=jobs.name) for setting in settings]
        html.write_text(report(runs, words, source=jobs.name), encoding="utf-8")
        if to_json is not None:
            told = {each.name: asdict(each.figures) for each in runs}
            to_json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(str(html))


def read(jobs: Path, shares: Path | None) -> tuple[list[TraceJob], list[Share]]:
    """Both files, checked."""
    trace = read_jobs(jobs)
    return trace, equal_shares(trace) if shares is None else read_shares(shares)


def run(trace: list[TraceJob], shares: list[Share], setting: Setting, *, source: str) -> Run:
    """One replay, with its progress on the terminal."""
    workload = prepared(trace, shares, setting, source=source)
    name = setting.name or setting.policy
    with shown(name, len(workload.requests)) as progress:
        began = perf_counter()
        outcome = replay(workload, setting, progress)
        took = perf_counter() - began
    samples = sampled(outcome)
    return Run(name, outcome, samples, measured(outcome, replay_s=took, samples=samples))


@contextmanager
def shown(what: str, total: int) -> Iterator[Progress]:
    """A bar on the error stream where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _ended: None
        return
    from rich.console import Console  # noqa: PLC0415  only where somebody looks
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda ended: bar.update(task, completed=ended)


@contextmanager
def refusals_told() -> Iterator[None]:
    """A refusal in the language of the terminal, and exit code 2."""
    try:
        yield
    except Refusal as refused:
        typer.echo(said(refused, japanese=is_japanese()), err=True)
        raise typer.Exit(_REFUSED) from None


def is_japanese() -> bool:
    """The terminal's language, by the variables in the order that POSIX gives."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next(filter(None, named), "").startswith("ja")
