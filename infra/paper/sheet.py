"""What a paper says, as plain values: parties, facts, tables and notes in two languages. No layout here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Words:
    """The same in Japanese, which comes first, and in English."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who receives a paper, or who gives it. name as it is registered; lines: postal address and whatever else."""

    name: str
    honorific: str = ""
    """'御中' after an organisation's name, '様' after a person's."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value, such as the date of issue."""

    label: Words
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. share: its part of the width that is left; 0: as wide as its content."""

    title: Words
    share: int = 0
    number: bool = False
    """Numbers stand to the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table, one cell for each column. total: it adds up the rows before it."""

    cells: tuple[str | Words, ...]
    total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its heading. ValueError: a row with more or fewer cells than there are columns.

    narrow: it stands at the right margin, as sums do.
    """

    title: Words
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    narrow: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{len(row.cells)} cells in {len(self.columns)} columns: {row.cells}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file inside the PDF (PDF/A-3), such as the rows that a sum adds up."""

    name: str
    media_type: str
    description: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A whole paper. made_at: the moment that the file carries as its own; the same sheet is always the same bytes."""

    title: Words
    number: str
    facts: tuple[Fact, ...]
    receiver: Party
    giver: Party
    giver_facts: tuple[Fact, ...] = ()
    opening: Words | None = None
    headline: Fact | None = None
    headline_facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    closing_facts: tuple[Fact, ...] = ()
    """Facts that the reader needs at the end, such as where to pay."""
    notes: tuple[Words, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    made_at: datetime
