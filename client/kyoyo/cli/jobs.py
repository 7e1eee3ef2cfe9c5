"""queue, job, logs, cancel, result."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import cell, elapsed, in_words, pairs, state_text, state_word, table
from kyoyo.client import Client
from kyoyo.jobs import Job
from kyoyo.models import Fields, JobRecord, Json
from kyoyo.outputs import files_of, save
from kyoyo.script import Directives
from kyoyo.terminal import duration, harmless, one_line, yen

LIVE = ("RUNNING", "CANCELLING", "DISPATCHING", "QUEUED")

_COLUMNS = (
    "name",
    "state",
    "offering",
    "gpus",
    "time_limit",
    "submitted_at",
    "elapsed",
    "quote_yen",
    "charge_yen",
)
_SPARE = ("time_limit", "submitted_at", "id", "offering", "elapsed", "gpus", "quote_yen")
"""What a list of jobs leaves out on a narrow terminal, the first of them first."""

JobId = Annotated[str, typer.Argument(help="option.job_id", metavar="JOB")]


def queue(
    ctx: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", "-a", help="option.all")] = False,
    state: Annotated[str | None, typer.Option("--state", help="option.state")] = None,
    array: Annotated[int | None, typer.Option("--array", min=1, help="option.of_array")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="option.limit")] = 100,
    wants_json: JSON = False,
) -> None:
    """List jobs."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = list(islice(_jobs(client, everything=everything, state=state, array=array), limit))
    if wants_json:
        session.answer({"items": [record.raw for record in found]})
        return
    numbered = any(record.number is not None for record in found)
    columns = [*(("number",) if numbered else ()), "id", *_COLUMNS]
    rows = [_row(session, record)[0 if numbered else 1 :] for record in found]
    table(session, columns, rows, right=4, spare=_SPARE if numbered else [name for name in _SPARE if name != "id"])


def job(
    ctx: typer.Context,
    job_id: JobId,
    *,
    every_call: Annotated[bool, typer.Option("--calls", help="option.calls")] = False,
    wants_json: JSON = False,
) -> None:
    """Show one job."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.job(job_id)
        record, calls = found.record, list(found.calls()) if every_call else []
    if every_call:
        session.answer({"items": calls}) if wants_json else _table_of(session, record, calls)
        return
    if wants_json:
        session.answer(record.raw)
        return
    pairs(session, _facts(session, record))
    _phases(session, record)
    _calls(session, record)
    story = Fields(record.raw).items(_event, "story")
    if story:
        session.out.print(Text(f"\n{session.texts('field.story')}", style="bold"))
        for at, sentence in story:
            session.plain(f"  {at}  {sentence}")


def _phases(session: Session, record: JobRecord) -> None:
    """Of a hybrid job: each phase with its state and money, and what was left where it ended before the last."""
    phases = Fields(record.raw).items(Fields, "phases")
    if not phases:
        return
    session.out.print(Text(f"\n{session.texts('field.phases')}", style="bold"))
    rows: list[list[str | Text]] = [
        [
            one_line(each.text("name", "")),
            state_text(session, each.text("state", "")) if each.text("state", "") else "-",
            one_line(each.text("offering", "")),
            str(each.integer("attempts", 0)),
            yen(each.yen("quote_yen")),
            yen(each.yen("charge_yen")),
        ]
        for each in phases
    ]
    table(session, ("phase", "state", "offering", "attempts", "quote_yen", "charge_yen"), rows, right=3)
    rest = Fields(record.raw.get("rest") or {}).text("sentence", "")
    if rest:
        session.plain(f"  {one_line(rest)}")


def _calls(session: Session, record: JobRecord) -> None:
    """Of a job that calls a QPU: its newest calls."""
    qpu = Fields(record.raw.get("qpu") or {})
    if not qpu.told:
        return
    session.out.print(Text(f"\n{session.texts('field.calls')}", style="bold"))
    shown = qpu.items(lambda each: Fields(each).told, "calls")
    _table_of(session, record, shown)
    if qpu.text("next_cursor", ""):
        asked = qpu.integer("asked", 0)
        session.plain("  " + session.texts("say.more_calls", shown=len(shown), all=asked, job=record.label))


def _table_of(session: Session, record: JobRecord, calls: Iterable[Json]) -> None:
    """Each call with its state and money, or why it was refused."""
    offering = one_line(Fields(record.raw.get("qpu") or {}).text("offering", ""))
    rows: list[list[str | Text]] = [
        [
            str(each.integer("number", 0)),
            state_text(session, each.text("state", "")) if each.text("state", "") else one_line(each.text("code", "")),
            offering,
            str(each.integer("shots", 0)),
            yen(each.yen("charge_yen")),
        ]
        for each in map(Fields, calls)
    ]
    table(session, ("call", "state", "offering", "shots", "charge_yen"), rows, right=3)


def logs(
    ctx: typer.Context,
    job_id: JobId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="option.follow")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", "-e", help="option.stderr")] = False,
    keep: Annotated[bool, typer.Option("--save", help="option.save")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", help="option.output")] = None,
    wants_json: JSON = False,
) -> None:
    """Show its output. Into a pipe or a file it goes byte for byte, on a terminal without control characters."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        if keep or output is not None:
            _save(session, client.job(job_id), output)
            return
        reader = client.job(job_id).reader(stream="stderr" if stderr else "stdout")
        pieces = reader.follow() if follow else reader.rest()
        if wants_json:
            session.answer({"id": job_id, "text": "".join(pieces)})
            return
        for text in pieces:
            session.out_stream.write(harmless(text) if session.out_stream.isatty() else text)
            session.out_stream.flush()
        if reader.truncated:
            session.tell("say.truncated")


def cancel(ctx: typer.Context, job_id: JobId, *, wants_json: JSON = False) -> None:
    """Wish it to end."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.job(job_id)
        if found.record.array is not None and job_id == found.record.handle:
            told = client.cancel_array(found.record.array.number)
            session.answer(told) if wants_json else session.say("say.cancel_array", number=job_id)
            return
        record = found.cancel()
    if wants_json:
        session.answer(record.raw)
    else:
        session.say("say.cancel_wanted", id=record.id, state=state_word(session, record.state))


def result(ctx: typer.Context, job_id: JobId, *, wants_json: JSON = False) -> None:
    """Show what it left."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        left = client.job(job_id).result()
    if left is None and not wants_json:
        session.tell("say.no_result")
    else:
        session.answer(left)


def _save(session: Session, job: Job, output: str | None) -> None:
    for task in job.tasks():
        files = files_of(Directives(output=output), task.record, user=getpass.getuser())
        session.tell("say.output_to", path=str(files.output))
        save(task, files)


def _jobs(client: Client, *, everything: bool, state: str | None, array: int | None) -> Iterable[JobRecord]:
    if everything or state or array:
        yield from client.all_jobs(state=state.upper() if state else None, array=array)
        return
    for live in LIVE:
        yield from client.all_jobs(state=live)


def _row(session: Session, record: JobRecord) -> list[str | Text]:
    return [
        _number(record),
        one_line(record.id),
        one_line(record.name),
        state_text(session, record.state),
        one_line(record.offering),
        str(record.gpus),
        duration(record.walltime_s),
        cell(record.submitted_at),
        elapsed(record),
        yen(record.quote_yen),
        yen(record.charge_yen),
    ]


def _facts(session: Session, record: JobRecord) -> list[tuple[str, str | Text]]:
    facts: list[tuple[str, str | Text]] = [
        ("id", record.id),
        ("number", _number(record)),
        ("name", one_line(record.name)),
        ("kind", in_words(session, "kind", record.kind)),
        ("state", state_text(session, record.state)),
        ("waiting", one_line(record.waiting) or "-"),
        ("forecast", one_line(record.forecast.sentence) if record.forecast else "-"),
        ("remedies", "\n".join(one_line(each.sentence) for each in record.remedies) or "-"),
        ("offering", one_line(record.offering)),
        ("backend", one_line(record.backend)),
        ("candidates", one_line(", ".join(str(each.get("offering")) for each in record.raw.get("candidates") or []))),
        ("data_location", session.texts("say.data_in_japan") if record.raw.get("data_location") else "-"),
        ("project", one_line(record.project)),
        ("nodes", str(record.nodes) if record.nodes > 1 else "-"),
        ("gpus", str(record.gpus or "-")),
        ("shots", f"{record.shots:,}" if record.shots else "-"),
        ("time_limit", duration(record.walltime_s)),
        ("submitted_at", cell(record.submitted_at)),
        ("begin_at", cell(record.begin_at)),
        ("dependencies", ", ".join(f"{each.get('kind')}:{each.get('job')}" for each in record.dependencies) or "-"),
        ("started_at", cell(record.started_at)),
        ("ended_at", cell(record.ended_at)),
        ("elapsed", elapsed(record)),
        ("exit_code", cell(record.exit_code)),
        ("reason", one_line(record.reason) or "-"),
        ("attempts", str(record.attempt_count)),
        ("quote_yen", yen(record.quote_yen)),
        ("held_yen", yen(record.held_yen)),
        ("charge_yen", yen(record.charge_yen)),
    ]
    return [(name, value) for name, value in facts if str(value) not in {"-", ""}]


def _number(record: JobRecord) -> str:
    return "-" if record.number is None else record.label


def _event(told: object) -> tuple[str, str]:
    event = Fields(told)
    phase, sentence = event.text("phase", "main"), event.text("sentence", event.text("kind", ""))
    return cell(event.instant("at")), one_line(sentence if phase == "main" else f"{phase}: {sentence}")
