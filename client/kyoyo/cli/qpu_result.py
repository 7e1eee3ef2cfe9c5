"""qpu result: counts as a histogram, as figures or as a picture; expectation values with their errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.errors import UsageError
from kyoyo.quantum import charts
from kyoyo.quantum.results import Floats, all_counts, is_document, result_of
from kyoyo.terminal import histogram, one_line


class Format(StrEnum):
    """How a result is shown."""

    PLOT = "plot"
    COUNTS = "counts"
    JSON = "json"


_PICTURES = frozenset({".svg", ".png"})
Counts = Sequence[Mapping[str, int]]


def qpu_result(
    ctx: typer.Context,
    job_id: Annotated[str, typer.Argument(help="option.job_id", metavar="JOB")],
    *,
    form: Annotated[Format | None, typer.Option("--format", "-f", help="option.format")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="option.chart")] = None,
    wants_json: JSON = False,
) -> None:
    """Show what was measured, or write it into a file: what is written is of the form that is asked for."""
    form = Format.JSON if wants_json else form or Format.PLOT
    session = session_of(ctx, wants_json=form is Format.JSON)
    if output is not None:
        _check_ending(output, form)
    with session.client() as client:
        job = client.job(job_id)
        left = job.result()
    counts = [{one_line(outcome): count for outcome, count in each.items()} for each in all_counts(left)]
    if output is not None:
        _write(session, _written(form, counts, left, output, title=one_line(job.record.name)), output)
    elif session.wants_json:
        session.answer(left)
    elif counts:
        _show(session, counts, form)
    elif values := _values(left):
        session.plain("\n".join(values))
    elif left is None:
        session.say("say.no_result")
    else:
        session.tell("say.no_counts")
        session.answer(left)


def _show(session: Session, counts: Counts, form: Format) -> None:
    for number, each in enumerate(counts):
        if len(counts) > 1:
            session.say("say.pub", number=number)
        if form is Format.COUNTS:
            session.plain(_lines(each))
        else:
            session.plain(histogram(each))
            session.say("say.shots", shots=f"{sum(each.values()):,}")


def _lines(counts: Mapping[str, int]) -> str:
    return "\n".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))


def _check_ending(path: Path, form: Format) -> None:
    """A picture is a plot, and a plot is a picture. UsageError."""
    is_picture = path.suffix.lower() in _PICTURES
    if form is Format.PLOT and not is_picture:
        raise UsageError(key="wrong.chart_ending", path=path)
    if form is not Format.PLOT and is_picture:
        raise UsageError(key="wrong.picture", path=path, form=form.value)


def _written(form: Format, counts: Counts, left: object, path: Path, *, title: str) -> bytes:
    """What goes into the file. UsageError: there is nothing to draw or to count, or no way to draw it here."""
    if form is Format.JSON:
        return (json.dumps(left, ensure_ascii=False, indent=2) + "\n").encode()
    if not counts:
        raise UsageError(key="wrong.nothing_to_draw")
    if form is Format.COUNTS:
        return "".join(_lines(each) + "\n" for each in counts).encode()
    return (
        charts.png(counts, title=title) if path.suffix.lower() == ".png" else charts.svg(counts, title=title).encode()
    )


def _write(session: Session, data: bytes, path: Path) -> None:
    try:
        path.write_bytes(data)
    except OSError as unwritable:
        raise UsageError(key="wrong.unwritable", path=path) from unwritable
    session.tell("say.output_to", path=str(path))


def _values(left: object) -> list[str]:
    """Expectation values of each PUB, element by element: number, place, value ± standard error."""
    if not is_document(left):
        return []
    lines = []
    for number, pub in enumerate(result_of(left).pubs):
        values, errors = pub.data.get("evs"), pub.data.get("stds")
        if isinstance(values, Floats):
            spread = errors.values if isinstance(errors, Floats) else [float("nan")] * len(values.values)
            both = enumerate(zip(values.values, spread, strict=True))
            lines += [f"{number} {place} {value:+.6f} ± {error:.6f}" for place, (value, error) in both]
    return lines
