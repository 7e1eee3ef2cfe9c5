"""The commands of the policy lab. Exit codes: 0 done, 2 refused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from infra.clock import utc_now
from infra.db.connection import Pool, transaction
from infra.refusal import Refusal
from scheduler.simulate import export, options
from scheduler.simulate.errors import ExperimentRefused, TraceUnreadable
from scheduler.simulate.history import source_of
from scheduler.simulate.invented import MAX_JOBS, Wish, invented
from scheduler.simulate.metrics import measured
from scheduler.simulate.replay import Progress, replay
from scheduler.simulate.report import Run, report
from scheduler.simulate.rows import TraceJob
from scheduler.simulate.sampling import sampled
from scheduler.simulate.scenarios import grown, scenarios
from scheduler.simulate.shares import Share, equal_shares, read_shares
from scheduler.simulate.sources import Source, with_machines
from scheduler.simulate.trace import read_jobs
from scheduler.simulate.wording import said
from scheduler.simulate.words import Words
from scheduler.simulate.workload import UNNAMED, Setting, prepared
from scheduler.store.history import history as history_in

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Try a scheduling policy on a recorded workload.")
_REFUSED = 2

OpenDatabase = Callable[[], AbstractAsyncContextManager[Pool]]
"""How the lab reaches this installation: whoever starts it hands this over as the context's object."""

Jobs = Annotated[Path | None, typer.Option("--jobs", help="jobs.csv, jobs.csv.gz, or SWF by the ending .swf.")]
Own = Annotated[bool, typer.Option("--history", help="Instead: what ran on this installation.")]
Since = Annotated[str | None, typer.Option("--from", help="Of the history: submitted on this day (Japan) or later.")]
Until = Annotated[str | None, typer.Option("--to", help="Of the history: submitted before this day.")]
Shares = Annotated[Path | None, typer.Option("--shares", help="org,share[,parent]; without it all weigh the same.")]
Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpus", help="GPUs of the machine (N), of each by name (NAME=N), or so many more (+M)."),
]
Qpus = Annotated[list[str] | None, typer.Option("--qpus", help="QPU=N: how many there are of it, if not one.")]
EstimateWord = Annotated[str, typer.Option("--estimate", help="What the policy believes: exact, limit or x2.")]
Days = Annotated[str | None, typer.Option("--days", help="A-B: only what was submitted from day A until before day B.")]
NodesOf = Annotated[int, typer.Option("--nodes-of", help="GPUs of a node, packed for real; 0: a plain pool.")]
Rates = Annotated[list[str] | None, typer.Option("--rate", help="NAME=NU: what an hour of this QPU, or GPU, is worth.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@app.command(name="replay")
def replay_command(
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    history: Own = False,
    since: Since = None,
    until: Until = None,
    gpus: Gpus = None,
    shares: Shares = None,
    policy: Annotated[str, typer.Option("--policy", help="kyoyo, fifo, fifo-easy, fairtree-easy, static.")] = "kyoyo",
    estimate: EstimateWord = "limit",
    days: Days = None,
    nodes_of: NodesOf = 0,
    qpus: Qpus = None,
    rate: Rates = None,
    to_json: Json = None,
) -> None:
    """Replays a workload through the production core and tells how good the schedule is."""
    with refusals_told():
        sizes, asked = options.sizes(gpus or []), asked_of(estimate, days, qpus, rate)
        asked = replace(asked, policy=options.policy(policy))
        to_json = to_json and options.target("--json", to_json)
        source = read(ctx.obj, jobs, shares, history=history, since=since, until=until)
        setting = with_machines(asked, source, sizes, nodes_of=nodes_of)
        setting = grown(setting, {UNNAMED: sizes.more} if sizes.more else {})
        told = json.dumps(asdict(run(source.jobs, source.shares, setting, source=source.name).figures), indent=2)
        if to_json is not None:
            to_json.write_text(told + "\n", encoding="utf-8")
        typer.echo(told)


@app.command(name="compare")
def compare_command(
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    history: Own = False,
    since: Since = None,
    until: Until = None,
    gpus: Gpus = None,
    html: Annotated[Path, typer.Option("--html", help="Where the report goes.")] = Path("comparison.html"),
    shares: Shares = None,
    policy: Annotated[str, typer.Option("--policy", help="Names with commas between.")] = "kyoyo",
    what_if: Annotated[
        list[str] | None, typer.Option("--what-if", help="ORG=WEIGHT[,ORG=WEIGHT][,gpus=+M]: one scenario more.")
    ] = None,
    estimate: EstimateWord = "limit",
    days: Days = None,
    nodes_of: NodesOf = 0,
    qpus: Qpus = None,
    rate: Rates = None,
    to_json: Json = None,
    language: Annotated[str | None, typer.Option("--language", help="ja or en; else the terminal's.")] = None,
) -> None:
    """Replays the same history under several policies and scenarios, and draws the answers on one page."""
    with refusals_told():
        sizes, asked, policies = (
            options.sizes(gpus or []),
            asked_of(estimate, days, qpus, rate),
            options.policies(policy),
        )
        words = Words(options.language(language) if language else terminal_language())
        html, to_json = options.target("--html", html), to_json and options.target("--json", to_json)
        source = read(ctx.obj, jobs, shares, history=history, since=since, until=until)
        base = with_machines(asked, source, sizes, nodes_of=nodes_of)
        settings = scenarios(base, policies, what_if or [], sizes.more, as_it_is=words.text("base"))
        runs = [run(source.jobs, source.shares, setting, source=source.name) for setting in settings]
        html.write_text(report(runs, words, source=source.name), encoding="utf-8")
        if to_json is not None:
            told = {each.name: asdict(each.figures) for each in runs}
            to_json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(str(html))


@app.command(name="export")
def export_command(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="A folder for jobs.csv.gz and shares.csv.")],
    *,
    since: Since = None,
    until: Until = None,
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Numbers instead of names and addresses.")] = False,
) -> None:
    """Writes what ran on this installation as a trace, and tells the command that replays it."""
    with refusals_told():
        source = read(ctx.obj, None, None, history=True, since=since, until=until)
        if pseudonyms:
            source = export.pseudonymous(source)
        export.write(source, out)
        typer.echo(export.how_to_replay(source, out))


@app.command(name="invent")
def invent_command(
    out: Annotated[Path, typer.Option("--out", help="A folder for jobs.csv.gz and shares.csv.")],
    *,
    seed: Annotated[int, typer.Option("--seed", help="The same gives the same.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", help="How many.")] = 10_000,
    gpus: Annotated[int, typer.Option("--gpus", help="GPUs of the machine that they are for.")] = 256,
    organisations: Annotated[int, typer.Option("--organisations", help="Of very different demand.")] = 12,
    load: Annotated[float, typer.Option("--load", help="Asked for, as a part of what the GPUs can give.")] = 1.0,
    campaigns: Annotated[float, typer.Option("--campaigns", help="Part of the jobs that come in bursts.")] = 0.5,
    on_qpu: Annotated[float, typer.Option("--on-qpu", help="Part of the jobs that ask for a QPU.")] = 0.0,
) -> None:
    """Writes a workload that nobody ran, and tells the command that replays it."""
    with refusals_told():
        wish = Wish(
            seed=seed,
            jobs=options.in_range("--jobs", jobs, 1, MAX_JOBS),
            gpus=options.gpus(gpus),
            organisations=options.in_range("--organisations", organisations, 1, 99),
            load=options.in_range("--load", load, 0.01, 100),
            campaigns=options.in_range("--campaigns", campaigns, 0, 0.99),
            on_qpu=options.in_range("--on-qpu", on_qpu, 0, 0.99),
        )
        source = invented(wish)
        export.write(source, out)
        typer.echo(export.how_to_replay(source, out))


def asked_of(estimate: str, days: str | None, qpus: Sequence[str] | None, rate: Sequence[str] | None) -> Setting:
    """What all commands ask for alike; without the machines yet."""
    return Setting(
        gpus=0,
        estimate=options.estimate(estimate),
        days=options.days(days),
        qpus=options.qpus(qpus or []),
        rates=options.rates(rate or []),
    )


def read(
    open_database: OpenDatabase | None,
    jobs: Path | None,
    shares: Path | None,
    *,
    history: bool,
    since: str | None,
    until: str | None,
) -> Source:
    """The files, or the history of this installation: one of the two, checked."""
    if history == (jobs is not None):
        raise ExperimentRefused(option="--jobs", value="", problem="one_source", known="--jobs | --history")
    if jobs is not None:
        for option, value in (("--from", since), ("--to", until)):
            if value is not None:
                raise ExperimentRefused(option=option, value=value, problem="one_source", known="--history")
        trace = read_jobs(jobs)
        weights = equal_shares(trace) if shares is None else read_shares(shares)
        return Source(name=jobs.name, jobs=trace, shares=weights)
    if shares is not None:
        raise ExperimentRefused(option="--shares", value=shares.name, problem="one_source", known="--jobs")
    return asyncio.run(own_history(open_database, *options.span(since, until, now=utc_now())))


async def own_history(open_database: OpenDatabase | None, since: datetime, until: datetime) -> Source:
    """What was submitted in [since, until), read at one instant; what is not in it is told on the error stream."""
    if open_database is None:
        raise TraceUnreadable(source="", problem="no_database", columns=[])
    async with open_database() as pool, transaction(pool, snapshot=True) as conn:
        source = source_of(await history_in(conn, since=since, until=until))
    words = Words(terminal_language())
    if source.left_out:
        typer.echo(words.text("history.left_out", jobs=source.left_out), err=True)
    return replace(source, name=words.text("history", span=source.name))


def run(trace: Sequence[TraceJob], shares: Sequence[Share], setting: Setting, *, source: str) -> Run:
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
        typer.echo(said(refused, japanese=terminal_language() == "ja"), err=True)
        raise typer.Exit(_REFUSED) from None


def terminal_language() -> str:
    """'ja' or 'en', by the variables in the order that POSIX gives."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "ja" if next(filter(None, named), "").startswith("ja") else "en"
