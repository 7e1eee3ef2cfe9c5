"""What the demo shows: sentences of the catalogue, a job's progress, the log as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kyoyo.models import Estimate, JobRecord
from kyoyo.terminal import harmless, one_line, yen
from portal.language import Catalogue

NARROW = 100


class Screen:
    """Prints. On a terminal with colour and a moving status; in a pipe line by line."""

    def __init__(self, console: Console, texts: Catalogue) -> None:
        self._console = console
        self._texts = texts

    def text(self, key: str, **facts: object) -> str:
        """A sentence of the demo."""
        return self._texts.text(f"demo.{key}", **facts)

    def act(self, key: str, **facts: object) -> None:
        """A heading."""
        self._console.print()
        self._console.rule(Text(self.text(key, **facts), style="bold"), align="left", style="dim")

    def say(self, key: str, *, style: str = "", **facts: object) -> None:
        """A sentence; its facts may be a stranger's text."""
        self.line(self.text(key, **facts), style=style)

    def line(self, text: str, *, style: str = "") -> None:
        """Any text, harmless."""
        self._console.print(Text(harmless(text), style=style), soft_wrap=True)

    def log(self, text: str) -> None:
        """A piece of a job's output."""
        for line in text.splitlines():
            self.line(f"  │ {line}", style="dim")

    def state(self, record: JobRecord) -> None:
        """A job's state in words, with why it waits."""
        word = self._texts.word("state", record.state)
        said = self.text("state", name=record.name, state=word)
        self.line(f"{said}  {one_line(record.waiting)}" if record.waiting else said)

    def estimated(self, name: str, estimate: Estimate) -> None:
        """What a job would cost."""
        self.say(
            "estimated",
            name=name,
            ceiling=yen(estimate.ceiling_yen),
            with_tax=yen(estimate.ceiling_with_tax_yen),
            expected=yen(estimate.expected_yen),
        )

    @contextmanager
    def busy(self, key: str, **facts: object) -> Iterator[None]:
        """While something takes its time."""
        said = Text(harmless(self.text(key, **facts)))
        if not self._console.is_terminal:
            self._console.print(said)
            yield
            return
        with self._console.status(said):
            yield

    @contextmanager
    def progress(self) -> Iterator[Callable[[JobRecord], None]]:
        """Hears a job's changes while it is waited for: each is a line, and on a terminal something moves."""
        if not self._console.is_terminal:
            yield self.state
            return
        with self._console.status("") as status:

            def on_change(record: JobRecord) -> None:
                self.state(record)
                status.update(Text(self._texts.word("state", record.state)))

            yield on_change

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 0) -> None:
        """A table; the last `right` columns are figures."""
        grid = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        grid.collapse_padding = True
        for index, column in enumerate(columns):
            is_figure = index >= len(columns) - right
            is_whole = index == 0 or (is_figure and not any(" " in row[index] for row in rows))
            grid.add_column(Text(column), justify="right" if is_figure else "left", no_wrap=is_whole, overflow="fold")
            if is_figure:  # a unit may stand below its number, but whole
                grid.columns[-1].min_width = max(
                    (cell_len(word) for row in rows for word in row[index].split()), default=0
                )
        for row in rows:
            grid.add_row(*(Text(one_line(value)) for value in row))
        self._console.print()
        self._console.print(grid)
