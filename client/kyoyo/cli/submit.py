"""estimate, submit, run."""

from __future__ import annotations

import os
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import ended, progress
from kyoyo.errors import Problem, UsageError
from kyoyo.jobs import Job
from kyoyo.models import Estimate, JobRecord
from kyoyo.script import walltime_s
from kyoyo.spec import Choices, JobSpec, spec_of_command, spec_of_script
from kyoyo.terminal import harmless, one_line, yen

JOB_FAILED = 1
SETTLE_LIMIT_S = 8.0
"""How long the end of a job is held back so that its charge can be told with it."""
LAST_LINES = 20
"""How much of its standard error is shown when a job fails."""

Script = Annotated[Path, typer.Argument(help="option.script", metavar="SCRIPT")]
Gpus = Annotated[int | None, typer.Option("--gpus", "-G", min=0, help="option.gpus")]
Time = Annotated[str | None, typer.Option("--time", "-t", help="option.time")]
Name = Annotated[str | None, typer.Option("--name", "--job-name", "-J", help="option.name")]
OfferingId = Annotated[str | None, typer.Option("--offering", "--partition", "-p", help="option.offering")]
Project = Annotated[str | None, typer.Option("--project", "--account", "-A", help="option.project")]
Kind = Annotated[str, typer.Option("--kind", help="option.kind")]
ServiceClass = Annotated[str, typer.Option("--service-class", help="option.service_class")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="option.env")]
MaxAttempts = Annotated[int, typer.Option("--max-attempts", min=1, max=10, help="option.max_attempts")]
MaxCost = Annotated[int | None, typer.Option("--max-cost", min=0, help="option.max_cost")]
Parsable = Annotated[bool, typer.Option("--parsable", help="option.parsable")]
Wait = Annotated[bool, typer.Option("--wait", "-W", help="option.wait")]
Output = Annotated[str | None, typer.Option("--output", "-o", help="option.output")]
Arguments = Annotated[list[str] | None, typer.Argument(help="option.arguments")]


def estimate(
    ctx: typer.Context,
    script: Script,
    *,
    gpus: Gpus = None,
    time: Time = None,
    offering: OfferingId = None,
    project: Project = None,
    kind: Kind = "batch",
    service_class: ServiceClass = "standard",
    wants_json: JSON = False,
) -> None:
    """What it would cost at most."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        gpus=gpus,
        walltime_s=_seconds(time),
        offering=offering,
        project=project,
        kind=kind,
        service_class=service_class,
    )
    with session.client() as client:
        told = client.estimate(spec_of_script(script, choices))
    if wants_json:
        session.answer(told.raw)
    else:
        show_estimate(session, told)


def submit(
    ctx: typer.Context,
    script: Script,
    arguments: Arguments = None,
    *,
    gpus: Gpus = None,
    time: Time = None,
    name: Name = None,
    offering: OfferingId = None,
    project: Project = None,
    kind: Kind = "batch",
    service_class: ServiceClass = "standard",
    env: Env = None,
    max_attempts: MaxAttempts = 1,
    max_cost: MaxCost = None,
    output: Output = None,
    parsable: Parsable = False,
    wait: Wait = False,
    wants_json: JSON = False,
) -> None:
    """Submit a script."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        name=name,
        walltime_s=_seconds(time),
        gpus=gpus,
        offering=offering,
        project=project,
        output=output,
        kind=kind,
        service_class=service_class,
        arguments=tuple(arguments or ()),
        environment=environment_of(session, env or []),
        max_attempts=max_attempts,
    )
    spec = spec_of_script(script, choices)
    with session.client() as client:
        job = client.submit(spec, max_cost_yen=_limit(max_cost))
        announce(session, job, parsable=parsable, is_last=not wait)
        if wait:
            finish(session, job, keep_output=output_path(spec, job))


def run(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(help="option.command", metavar="-- COMMAND...")],
    *,
    gpus: Gpus = None,
    time: Time = None,
    name: Name = None,
    offering: OfferingId = None,
    project: Project = None,
    service_class: ServiceClass = "standard",
    env: Env = None,
    max_cost: MaxCost = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="option.detach")] = False,
    wants_json: JSON = False,
) -> None:
    """Run a command and follow it."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        name=name,
        walltime_s=_seconds(time),
        gpus=gpus,
        offering=offering,
        project=project,
        service_class=service_class,
        environment=environment_of(session, env or []),
    )
    with session.client() as client:
        job = client.submit(spec_of_command(command, choices), max_cost_yen=_limit(max_cost))
        if detach or wants_json:
            announce(session, job, parsable=False, is_last=detach)
        else:
            session.tell("say.submitted", id=job.id)
            _follow(session, job)
        if not detach:
            finish(session, job, keep_output=None)


def announce(session: Session, job: Job, *, parsable: bool, is_last: bool) -> None:
    """Say that it was accepted. As JSON only one document is written: here, when nothing follows."""
    if session.wants_json:
        if is_last:
            session.answer(job.record.raw)
    elif parsable:
        session.plain(job.id)
    else:
        session.say("say.submitted", id=job.id)


def finish(session: Session, job: Job, *, keep_output: Path | None) -> None:
    """Wait for the end and leave with the job's success or failure. Ctrl-C leaves the job alone."""
    try:
        if keep_output is not None:
            session.tell("say.output_to", path=str(keep_output))
            _save(job, keep_output)
        record = _wait(session, job)
        with suppress(TimeoutError):
            record = job.wait_settled(timeout_s=SETTLE_LIMIT_S)
    except KeyboardInterrupt:
        session.tell("say.still_running", id=job.id)
        raise
    if session.wants_json:
        session.answer(record.raw)
    else:
        ended(session, record)
    if not record.succeeded:
        if not session.wants_json:
            _last_errors(session, job)
        raise typer.Exit(JOB_FAILED)


def show_estimate(session: Session, told: Estimate) -> None:
    """Ceiling, expectation and whether the wallet covers it."""
    session.say(
        "say.ceiling",
        ceiling=yen(told.ceiling_yen),
        with_tax=yen(told.ceiling_with_tax_yen),
        expected=yen(told.expected_yen),
        available=yen(told.available_yen),
    )
    session.say("say.admissible" if told.admissible else "say.not_admissible")


def environment_of(session: Session, texts: list[str]) -> dict[str, str]:
    """NAME=VALUE words as a mapping. UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(session.texts("say.bad_environment", text=text))
        found[name] = value
    return found


def output_path(spec: JobSpec, job: Job) -> Path | None:
    """Where --output wants the output: %j is the job's id, %x its name; never outside by way of the name."""
    if spec.output is None:
        return None
    safe_name = spec.name.replace(os.sep, "_")
    return Path(spec.output.replace("%j", job.id).replace("%x", safe_name))


def _follow(session: Session, job: Job) -> None:
    try:
        with progress(session, job.record.name) as on_change:
            job.wait_started(on_change)
        for text in job.logs(follow=True):
            session.out_stream.write(harmless(text) if session.out.is_terminal else text)
            session.out_stream.flush()
    except KeyboardInterrupt:
        session.tell("say.still_running", id=job.id)
        raise


def _wait(session: Session, job: Job) -> JobRecord:
    with progress(session, one_line(job.record.name)) as on_change:
        return job.wait(on_change)


def _last_errors(session: Session, job: Job) -> None:
    """The end of what a failed job wrote to its standard error, which nobody has followed."""
    with suppress(Problem):
        lines = "".join(job.logs(stream="stderr")).splitlines()[-LAST_LINES:]
        for line in lines:
            session.err.print(f"  │ {harmless(line)}", markup=False, highlight=False, soft_wrap=True)


def _save(job: Job, path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            for text in job.logs(follow=True):
                file.write(text)
                file.flush()
    except OSError as unwritable:
        raise UsageError(key="wrong.unwritable", path=path) from unwritable


def _seconds(time: str | None) -> int | None:
    return None if time is None else walltime_s(time)


def _limit(max_cost: int | None) -> Decimal | None:
    return None if max_cost is None else Decimal(max_cost)
