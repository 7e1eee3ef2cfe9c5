"""Tables and progress. Every word that comes from the portal passes `one_line` or `harmless` first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.table import Table
from rich.text import Text

from kyoyo.cli.session import Session
from kyoyo.models import JobRecord, Json, Price
from kyoyo.terminal import duration, one_line, yen

STATE_STYLE = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "FAILED": "red",
    "LOST": "red",
    "CANCELLED": "yellow",
    "PREEMPTED": "yellow",
    "CANCELLING": "yellow",
}


_TIMES = frozenset({"at", "as_of"})
_WORDS = frozenset({"kind", "status", "component", "role", "service_class"})


def state_word(session: Session, state: str) -> str:
    """A state in the reader's language; an unknown one as it is."""
    return session.texts.get(f"state.{state}", one_line(state))


def state_text(session: Session, state: str) -> Text:
    """The same with its colour."""
    return Text(state_word(session, state), style=STATE_STYLE.get(state, ""))


def field_name(session: Session, name: str) -> str:
    """Heading of a field."""
    return session.texts.get(f"field.{name}", one_line(name).replace("_", " "))


def cell(value: object) -> str:
    """Any value as one line."""
    match value:
        case None:
            return "-"
        case bool():
            return "✓" if value else "-"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case Mapping():
            return ", ".join(f"{one_line(str(name))} {cell(inner)}" for name, inner in value.items())
        case list() | tuple():
            return ", ".join(cell(inner) for inner in value)
        case _:
            return one_line(str(value))


def table(session: Session, columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: int = 0) -> None:
    """A plain table; the last `right` columns are figures. Without rows a sentence says so."""
    if not rows:
        session.tell("say.nothing")
        return
    grid = Table(box=box.SIMPLE_HEAD if session.out.is_terminal else None, pad_edge=False)
    for index, column in enumerate(columns):
        is_figure = index >= len(columns) - right
        grid.add_column(
            Text(field_name(session, column)),
            justify="right" if is_figure else "left",
            no_wrap=is_figure or index == 0,
            overflow="fold",
        )
    for row in rows:
        grid.add_row(*(Text(value) if isinstance(value, str) else value for value in row))
    session.out.print(grid)


def pairs(session: Session, rows: Sequence[tuple[str, str | Text]]) -> None:
    """Name and value below each other."""
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(field_name(session, name)), Text(value) if isinstance(value, str) else value)
    session.out.print(grid)


def document(session: Session, told: Json) -> None:
    """A document of the API as it comes: plain values as pairs, a part with a heading, a list of rows as a table."""
    parts = {name: value for name, value in told.items() if isinstance(value, Mapping) or _is_rows(value)}
    pairs(session, [(name, in_words(session, name, value)) for name, value in told.items() if name not in parts])
    for name, part in parts.items():
        session.out.print(Text(f"\n{field_name(session, name)}", style="bold"))
        if isinstance(part, Mapping):
            document(session, part)
        elif any(_is_rows(value) for row in part for value in row.values()):
            for row in part:
                document(session, row)
        else:
            _rows(session, part)


def _rows(session: Session, rows: Sequence[Json]) -> None:
    found = list(dict.fromkeys(column for row in rows for column in row))
    columns = sorted(found, key=lambda name: (name.endswith("_yen"), found.index(name)))
    figures = sum(name.endswith("_yen") for name in columns)
    cells = [[in_words(session, column, row.get(column)) for column in columns] for row in rows]
    table(session, columns, cells, right=figures)


@contextmanager
def progress(session: Session, name: str) -> Iterator[Callable[[JobRecord], None]]:
    """Shows a job's state on standard error while it is waited for: a live line on a terminal, else a line a change."""
    if not session.err.is_terminal or session.wants_json:
        yield lambda record: None if session.wants_json else _line(session, name, record)
        return
    with session.err.status(Text(one_line(name))) as status:
        yield lambda record: status.update(Text(_doing(session, name, record)))


def ended(session: Session, record: JobRecord) -> None:
    """The last word on a job, on standard error."""
    session.tell(
        "say.ended", name=one_line(record.name), state=state_word(session, record.state), charge=yen(record.charge_yen)
    )


def elapsed(record: JobRecord) -> str:
    """How long it ran, or has run as far as the portal told."""
    if record.started_at is None or record.ended_at is None:
        return "-"
    return duration((record.ended_at - record.started_at).total_seconds())


def _doing(session: Session, name: str, record: JobRecord) -> str:
    said = session.texts("say.waiting_for", name=one_line(name), state=state_word(session, record.state))
    return f"{said}  {one_line(record.waiting)}" if record.waiting else said


def _line(session: Session, name: str, record: JobRecord) -> None:
    doing = _doing(session, name, record)
    if doing != session.last_line:
        session.err.print(doing, markup=False, highlight=False, soft_wrap=True)
    session.last_line = doing


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def per(session: Session, price: Price) -> str:
    """For what a price is: 3,600 GPU-seconds."""
    return f"{price.per.normalize():,f} {in_words(session, 'component', price.component)}"


def in_words(session: Session, name: str, value: object) -> str:
    """A field's value for a person: an amount, a time, a machine word in the reader's language, or as it is."""
    if name == "offering" and value is None:
        return session.texts("say.grants_cover")
    if not isinstance(value, str):
        return cell(value)
    try:
        if name.endswith("_yen"):
            return yen(Decimal(value))
        if name in _TIMES or name.endswith("_at"):
            return cell(datetime.fromisoformat(value))
    except (ValueError, ArithmeticError):
        return one_line(value)
    return session.texts.get(f"word.{value}", one_line(value)) if name in _WORDS else one_line(value)
