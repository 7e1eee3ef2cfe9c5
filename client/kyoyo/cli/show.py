"""Tables and progress. Every word that comes from the portal passes `one_line` or `harmless` first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text

from kyoyo.cli.session import Session
from kyoyo.models import Fields, JobRecord, Json, Price
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
_NARROWEST = 12
"""To how many characters a text may be broken."""
_WORDS = frozenset({"kind", "status", "component", "role", "service_class", "period"})


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


def table(
    session: Session,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    right: int = 0,
    spare: Sequence[str] = (),
) -> None:
    """A plain table; the last `right` columns are figures. Without rows a sentence says so.

    Where it is wider than the terminal the columns of `spare` go, the first of them first, and a sentence says which.
    What still does not fit is folded into more lines: an id or an amount is never cut.
    """
    if not rows:
        session.tell("say.nothing")
        return
    figures = frozenset(columns[len(columns) - right :])
    shown, hidden = list(columns), [name for name in spare if name in columns]
    kept: list[str] = []
    while hidden and not _fits(session, _grid(session, columns, rows, shown=shown, figures=figures)):
        kept.append(hidden.pop(0))
        shown.remove(kept[-1])
    grid = _grid(session, columns, rows, shown=shown, figures=figures)
    if not _fits(session, grid):
        for column in grid.columns:
            column.no_wrap = False
    session.out.print(grid)
    if kept:
        session.tell("say.hidden", columns=", ".join(field_name(session, name) for name in kept))


def _grid(
    session: Session,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    shown: Sequence[str],
    figures: frozenset[str],
) -> Table:
    grid = Table(box=box.SIMPLE_HEAD if session.out.is_terminal else None, pad_edge=False)
    for index, column in enumerate(shown):
        is_figure = column in figures
        grid.add_column(
            Text(field_name(session, column)),
            justify="right" if is_figure else "left",
            no_wrap=is_figure or index == 0 or column == "id",
            overflow="fold",
        )
    for row in rows:
        cells = [value for name, value in zip(columns, row, strict=True) if name in shown]
        grid.add_row(*(Text(value) if isinstance(value, str) else value for value in cells))
    return grid


def _fits(session: Session, grid: Table) -> bool:
    """Whether ids and figures stand whole beside texts that are broken, but not to shreds."""
    gap, edges = (3, 2) if session.out.is_terminal else (2, 0)
    return sum(map(_needs, grid.columns)) + gap * (len(grid.columns) - 1) + edges <= session.out.width


def _needs(column: Column) -> int:
    texts = [str(column.header), *(str(value) for value in column.cells)]
    if column.no_wrap:
        return max(map(cell_len, texts))
    return min(_NARROWEST, max(cell_len(word) for text in texts for word in (text.split() or [""])))


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
    """The last word on a job, on standard error; of one that did not succeed also why, and where to read on."""
    name, state = one_line(record.name), state_word(session, record.state)
    if record.charge_yen is None:
        session.tell("say.ended_open", name=name, state=state)
    else:
        session.tell("say.ended", name=name, state=state, charge=yen(record.charge_yen))
    if not record.succeeded:
        story = Fields(record.raw).items(lambda told: one_line(Fields(told).text("sentence", "")), "story")
        for sentence in story[-1:]:
            more = "say.why_circuit" if record.kind == "quantum" else "say.why"
            session.tell(more, sentence=sentence, id=record.id)


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
