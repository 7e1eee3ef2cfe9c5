"""estimate, submit, run."""

from __future__ import annotations

import getpass
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.options import FOLLOWING, with_sbatch
from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import ended, progress
from kyoyo.errors import Problem, UsageError
from kyoyo.jobs import Job
from kyoyo.models import Estimate, Fields, JobRecord
from kyoyo.outputs import files_of, save
from kyoyo.script import Directives
from kyoyo.spec import Choices, JobSpec, QpuBeside, spec_of_command, spec_of_script
from kyoyo.terminal import harmless, one_line, yen

JOB_FAILED = 1
SETTLE_LIMIT_S = 8.0
"""How long the end of a job is held back so that its charge can be told with it."""
LAST_LINES = 20
"""How much of its standard error is shown when a job fails."""

Script = Annotated[Path, typer.Argument(help="option.script", metavar="SCRIPT")]
Name = Annotated[str | None, typer.Option("--name", "--job-name", "-J", help="option.name")]
Kind = Annotated[str, typer.Option("--kind", help="option.kind")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="option.env")]
Secrets = Annotated[list[str] | None, typer.Option("--secret", metavar="NAME", help="option.secret")]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="KEY[:NAME]", help="option.input")]
OutputFiles = Annotated[list[str] | None, typer.Option("--output-file", metavar="GLOB", help="option.output_files")]
MaxAttempts = Annotated[int | None, typer.Option("--max-attempts", min=1, max=10, help="option.max_attempts")]
MaxTimeouts = Annotated[int, typer.Option("--max-timeouts", min=0, max=9, help="option.max_timeouts")]
MaxCost = Annotated[int | None, typer.Option("--max-cost", min=0, help="option.max_cost")]
MaxCostEstimate = Annotated[int | None, typer.Option("--max-cost", min=0, help="option.max_cost_estimate")]
Qpu = Annotated[
    str | None, typer.Option("--qpu", metavar="DEVICE:CALLS:SHOTS[:IDLE_S[:WAIT_S]]", help="option.qpu_beside")
]
Shorten = Annotated[bool, typer.Option("--shorten", help="option.shorten")]
Anywhere = Annotated[bool, typer.Option("--anywhere", help="option.anywhere")]
DataLocation = Annotated[str | None, typer.Option("--data-location", metavar="jp", help="option.data_location")]
Parsable = Annotated[bool, typer.Option("--parsable", help="option.parsable")]
Wait = Annotated[bool, typer.Option("--wait", "-W", help="option.wait")]
Arguments = Annotated[list[str] | None, typer.Argument(help="option.arguments")]


@with_sbatch()
def estimate(
    ctx: typer.Context,
    script: Script,
    *,
    asked: Directives,
    kind: Kind = "batch",
    max_attempts: MaxAttempts = None,
    max_timeouts: MaxTimeouts = 0,
    max_cost: MaxCostEstimate = None,
    qpu: Qpu = None,
    anywhere: Anywhere = False,
    data_location: DataLocation = None,
    wants_json: JSON = False,
) -> None:
    """What it would cost at most."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        kind=kind,
        max_attempts=max_attempts,
        max_timeouts=max_timeouts,
        qpu=qpu_beside(qpu),
        anywhere=anywhere,
        data_location=data_location,
        asked=asked,
    )
    spec = spec_of_script(script, choices)
    _tell_notes(session, spec)
    with session.client() as client:
        told = client.estimate(spec, max_cost_yen=max_cost)
    if wants_json:
        session.answer(told.raw)
    else:
        show_estimate(session, told)


@with_sbatch()
def submit(
    ctx: typer.Context,
    script: Script,
    arguments: Arguments = None,
    *,
    asked: Directives,
    kind: Kind = "batch",
    env: Env = None,
    secret: Secrets = None,
    inputs: Inputs = None,
    output_file: OutputFiles = None,
    max_attempts: MaxAttempts = None,
    max_timeouts: MaxTimeouts = 0,
    max_cost: MaxCost = None,
    qpu: Qpu = None,
    shorten: Shorten = False,
    anywhere: Anywhere = False,
    data_location: DataLocation = None,
    wants_json: JSON = False,
) -> None:
    """Submit a script."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        kind=kind,
        arguments=tuple(arguments or ()),
        environment=environment_of(session, env or []),
        secrets=tuple(secret or ()),
        inputs=input_files(inputs or []),
        outputs=tuple(output_file or ()),
        max_attempts=max_attempts,
        max_timeouts=max_timeouts,
        qpu=qpu_beside(qpu),
        shorten=shorten,
        anywhere=anywhere,
        data_location=data_location,
        asked=asked,
    )
    send(session, spec_of_script(script, choices), max_cost=max_cost)


def qpu_beside(told: str | None) -> QpuBeside | None:
    """DEVICE:CALLS:SHOTS, and the limits of silence and of a wait for the device in seconds. UsageError."""
    if told is None:
        return None
    offering, *numbers = told.split(":")
    if not offering or len(numbers) not in {2, 3, 4} or not all(each.isascii() and each.isdigit() for each in numbers):
        raise UsageError(key="wrong.qpu_beside", text=told)
    calls, shots, *limits = map(int, numbers)
    return QpuBeside(
        offering=offering, calls=calls, shots=shots, **dict(zip(("idle_s", "wait_s"), limits, strict=False))
    )


def send(session: Session, spec: JobSpec, *, max_cost: int | None = None) -> None:
    """Submit it, or only estimate it, and wait for its end where that was asked."""
    _tell_notes(session, spec)
    with session.client() as client:
        if spec.asked.test_only:
            told = client.estimate(spec, max_cost_yen=max_cost)
            session.answer(told.raw) if session.wants_json else show_estimate(session, told)
            return
        job = client.submit(spec, max_cost_yen=max_cost)
        announce(session, job, parsable=bool(spec.asked.parsable), is_last=not spec.asked.wait)
        if spec.asked.wait:
            finish(session, job, asked=spec.asked)


@with_sbatch(without=FOLLOWING, words=("-d",))
def run(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(help="option.command", metavar="-- COMMAND...")],
    *,
    asked: Directives,
    env: Env = None,
    secret: Secrets = None,
    inputs: Inputs = None,
    output_file: OutputFiles = None,
    max_attempts: MaxAttempts = None,
    max_timeouts: MaxTimeouts = 0,
    max_cost: MaxCost = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="option.detach")] = False,
    wants_json: JSON = False,
) -> None:
    """Run a command and follow it."""
    session = session_of(ctx, wants_json=wants_json)
    choices = Choices(
        environment=environment_of(session, env or []),
        secrets=tuple(secret or ()),
        inputs=input_files(inputs or []),
        outputs=tuple(output_file or ()),
        max_attempts=max_attempts,
        max_timeouts=max_timeouts,
        asked=asked,
    )
    spec = spec_of_command(command, choices)
    _tell_notes(session, spec)
    with session.client() as client:
        job = client.submit(spec, max_cost_yen=max_cost)
        if detach or wants_json:
            announce(session, job, parsable=False, is_last=detach)
        else:
            session.tell("say.submitted", id=job.record.handle)
            _follow(session, job)
        if not detach:
            finish(session, job)


def announce(session: Session, job: Job, *, parsable: bool, is_last: bool) -> None:
    """Say that it was accepted. As JSON only one document is written: here, when nothing follows."""
    if session.wants_json:
        if is_last:
            session.answer(job.record.raw)
    elif parsable:
        session.plain(job.record.handle)
    else:
        session.say("say.submitted", id=job.record.handle)


def finish(session: Session, job: Job, *, asked: Directives | None = None) -> None:
    """Wait for the end and leave with the job's success or failure. Ctrl-C leaves the job alone.

    `asked`: where to keep the output, if anywhere. Of an array all tasks are waited for.
    """
    tasks = job.tasks()
    try:
        records = [_finished(session, task, asked) for task in tasks]
    except KeyboardInterrupt:
        session.tell("say.still_running", id=job.record.handle)
        raise
    if session.wants_json:
        session.answer(records[0].raw if job.record.array is None else {"items": [record.raw for record in records]})
    for task, record in zip(tasks, records, strict=True):
        if not record.succeeded and not session.wants_json:
            _last_errors(session, task)
    if not all(record.succeeded for record in records):
        raise typer.Exit(JOB_FAILED)


def _finished(session: Session, job: Job, asked: Directives | None) -> JobRecord:
    if asked is not None and (asked.output or asked.error):
        files = files_of(asked, job.record, user=getpass.getuser())
        session.tell("say.output_to", path=str(files.output))
        save(job, files)
    record = _wait(session, job)
    with suppress(TimeoutError):
        record = job.wait_settled(timeout_s=SETTLE_LIMIT_S)
    if not session.wants_json:
        ended(session, record)
    return record


def _tell_notes(session: Session, spec: JobSpec) -> None:
    for note in spec.asked.notes:
        session.tell(note)


def show_estimate(session: Session, told: Estimate) -> None:
    """Ceiling, expectation and whether the wallet covers it."""
    session.say(
        "say.ceiling",
        ceiling=yen(told.ceiling_yen),
        with_tax=yen(told.ceiling_with_tax_yen),
        expected=yen(told.expected_yen),
        available=yen(told.available_yen),
    )
    for each in Fields(told.raw).items(Fields, "candidates"):
        session.say(
            "say.candidate", offering=one_line(each.text("offering", "")), ceiling=yen(each.needed_yen("ceiling_yen"))
        )
    for name, code in sorted(dict(told.raw.get("left_out") or {}).items()):
        session.say("say.left_out", offering=one_line(name), code=one_line(str(code)))
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


def input_files(words: list[str]) -> list[dict[str, str]]:
    """KEY or KEY:NAME as the API has it; without a name the job finds it under its key."""
    pairs = [word.partition(":")[::2] for word in words]
    return [{"key": key, "name": name} if name else {"key": key} for key, name in pairs]


def _follow(session: Session, job: Job) -> None:
    try:
        with progress(session, job.record.name) as on_change:
            job.wait_started(on_change)
        for text in job.logs(follow=True):
            session.out_stream.write(harmless(text) if session.out.is_terminal else text)
            session.out_stream.flush()
    except KeyboardInterrupt:
        session.tell("say.still_running", id=job.record.handle)
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
