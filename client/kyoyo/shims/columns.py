"""Slurm's two ways to ask for columns, and how they are laid out. Pure.

squeue and sinfo: `%.18i %.9P` and `JobID:10,Name`; a size cuts. sacct and sshare: `JobID%20,State`; a `+` marks a cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kyoyo.terminal import one_line

T = TypeVar("T")
_PERCENT = re.compile(r"%(?P<right>\.?)(?P<size>\d{0,4})(?P<letter>[A-Za-z])(?P<suffix>[^%]*)")
_LONG = re.compile(r"(?P<name>[A-Za-z_-]+)(?::(?P<right>\.?)(?P<size>\d{0,4}))?", re.ASCII)
_SACCT = re.compile(r"(?P<name>[A-Za-z]+)(?:%(?P<size>-?\d{1,4}))?", re.ASCII)
_LONG_SIZE = 20


class BadFormat(ValueError):
    """A column that there is not; the argument is its name."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column: its heading, and what it shows of a row."""

    heading: str
    value: Callable[[T], str]
    size: int = 0
    """How wide by default where that is the tool's, not the format's, to say; negative: to the left."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A column in its place. size 0: as wide as the text."""

    column: Column[T]
    size: int = 0
    right: bool = False
    suffix: str = ""

    def shown(self, text: str) -> str:
        """The text cut and filled to its size."""
        line = one_line(text)
        if not self.size:
            return line + self.suffix
        cut = line[: self.size]
        return (cut.rjust(self.size) if self.right else cut.ljust(self.size)) + self.suffix


def by_letters(text: str, letters: Mapping[str, Column[T]]) -> tuple[str, Sequence[Placed[T]]]:
    """What stands before the first column, and the columns of `%.18i %P`. BadFormat."""
    first = text.find("%")
    prefix, rest = (text, "") if first < 0 else (text[:first], text[first:])
    placed: list[Placed[T]] = []
    while rest:
        found = _PERCENT.match(rest)
        column = letters.get(found["letter"]) if found else None
        if found is None or column is None:
            raise BadFormat(rest[1:2] or "%")
        placed.append(Placed(column, int(found["size"] or 0), bool(found["right"]), found["suffix"]))
        rest = rest[found.end() :]
    return prefix, placed


def by_names(text: str, names: Mapping[str, Column[T]]) -> Sequence[Placed[T]]:
    """The columns of `JobID:10,Name`; 20 wide where nobody says. BadFormat."""
    placed: list[Placed[T]] = []
    for word in text.split(","):
        found = _LONG.fullmatch(word.strip())
        column = names.get(found["name"].lower()) if found else None
        if found is None or column is None:
            raise BadFormat(word)
        placed.append(Placed(column, int(found["size"] or _LONG_SIZE), bool(found["right"])))
    return placed


def lines(prefix: str, placed: Sequence[Placed[T]], rows: Sequence[T], *, heading: bool) -> Sequence[str]:
    """The table of squeue and sinfo."""
    shown = [prefix + "".join(each.shown(each.column.value(row)) for each in placed) for row in rows]
    head = [prefix + "".join(each.shown(each.column.heading) for each in placed)] if heading else []
    return [*head, *shown]


def accounting_columns(text: str, names: Mapping[str, Column[T]]) -> Sequence[Placed[T]]:
    """The columns of `JobID%20,State%-12`. BadFormat."""
    placed: list[Placed[T]] = []
    for word in (part.strip() for part in text.split(",")):
        if word.lower() == "all":
            placed += [Placed(column, abs(column.size), column.size > 0) for column in names.values()]
            continue
        found = _SACCT.fullmatch(word)
        column = names.get(found["name"].lower()) if found else None
        if found is None or column is None:
            raise BadFormat(word)
        size = int(found["size"] or column.size)
        placed.append(Placed(column, abs(size), size > 0))
    return placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """How sacct and sshare lay a table out."""

    heading: bool = True
    parsable: bool = False
    """With a separator between columns, and no padding."""
    closed: bool = False
    """With a separator after the last one, too."""
    separator: str = "|"


def accounting_lines(placed: Sequence[Placed[T]], rows: Sequence[T], how: Accounting) -> Sequence[str]:
    """The table of sacct and sshare."""
    texts = [[one_line(each.column.value(row)) for each in placed] for row in rows]
    head = [each.column.heading for each in placed]
    if how.parsable:
        closing = how.separator if how.closed else ""
        found = [how.separator.join(cells) + closing for cells in texts]
        return [how.separator.join(head) + closing, *found] if how.heading else found
    ruled = ["-" * each.size for each in placed]
    top = [_aligned(placed, head, cut=False), _aligned(placed, ruled, cut=False)] if how.heading else []
    return [*top, *(_aligned(placed, cells, cut=True) for cells in texts)]


def _aligned(placed: Sequence[Placed[T]], cells: Sequence[str], *, cut: bool) -> str:
    return "".join(f"{_cell(each, text, cut=cut)} " for each, text in zip(placed, cells, strict=True))


def _cell(each: Placed[T], text: str, *, cut: bool) -> str:
    if len(text) > each.size:
        text = text[: each.size - 1] + "+" if cut else text[: each.size]
    return text.rjust(each.size) if each.right else text.ljust(each.size)
