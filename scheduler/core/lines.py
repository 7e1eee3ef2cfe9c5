"""Lines by their numbers. Those that came all at once are made when they are first looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Unread
from scheduler.core.line import Line
from scheduler.core.request import Place

_SHORT: Final = 256


class Lines:
    """A line is here from its first job until it is taken out (`del`)."""

    def __init__(self) -> None:
        self._made: dict[int, Line] = {}
        self._unmade: dict[int, Unread] = {}
        self._heads: dict[int, int] = {}
        """The row of the first of each of those that are not made."""
        self._seen: dict[int, Place] = {}

    def __contains__(self, line: object) -> bool:
        return line in self._made or line in self._unmade

    def __getitem__(self, line: int) -> Line:
        """KeyError: there is none."""
        made = self._made.get(line)
        if made is None:
            unread = self._unmade.pop(line)
            del self._heads[line]
            self._seen.pop(line, None)
            made = self._made[line] = Line()
            _put(unread, made)
        return made

    def head(self, line: int) -> Place:
        """First in it: whose turn it is, is asked of many more lines than are walked. KeyError: there is none."""
        made = self._made.get(line)
        if made is not None:
            return made.head
        seen = self._seen.get(line)
        if seen is None:
            seen = self._seen[line] = self._unmade[line].backlog.place(self._heads[line])
        return seen

    def __delitem__(self, line: int) -> None:
        del self._made[line]

    def new(self, line: int) -> Line:
        """One in which nobody is yet."""
        made = self._made[line] = Line()
        return made

    def load(self, lines: Iterable[int], rows: Iterable[Unread], heads: Iterable[int]) -> None:
        """Of each line what joins it: by shape, then in its order; and the row of the first of that."""
        for line, unread, head in zip(lines, rows, heads, strict=True):
            if line in self:
                _put(unread, self[line])
            else:
                self._unmade[line], self._heads[line] = unread, head


def _put(unread: Unread, line: Line) -> None:
    if len(unread) <= _SHORT:  # one reading of all is cheaper than one of each shelf
        for shape, places in groupby(unread.read(), key=_shape_of):
            line.load(shape, list(places))
        return
    backlog, rows = unread.backlog, unread.rows
    shapes = backlog.shape[rows]
    cuts = [0, *cuts_of(shapes).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        line.load(int(shapes[begin]), Unread(backlog, rows[begin:end]))


def _shape_of(place: Place) -> int:
    return place[2].shape


def cuts_of(*keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where one of these becomes another, the beginning left out."""
    changes = [key[1:] != key[:-1] for key in keys]
    return np.flatnonzero(np.logical_or.reduce(changes)) + 1
