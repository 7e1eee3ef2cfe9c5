"""Lines by their numbers. Those that came all at once are made when they are first looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Unread
from scheduler.core.line import Line


class Lines:
    """A line is here from its first job until it is taken out (`del`)."""

    def __init__(self) -> None:
        self._made: dict[int, Line] = {}
        self._unmade: dict[int, Unread] = {}

    def __contains__(self, line: object) -> bool:
        return line in self._made or line in self._unmade

    def __getitem__(self, line: int) -> Line:
        """KeyError: there is none."""
        made = self._made.get(line)
        if made is None:
            unread = self._unmade.pop(line)
            made = self._made[line] = Line()
            _put(unread, made)
        return made

    def __delitem__(self, line: int) -> None:
        del self._made[line]

    def new(self, line: int) -> Line:
        """One in which nobody is yet."""
        made = self._made[line] = Line()
        return made

    def load(self, lines: Iterable[int], rows: Iterable[Unread]) -> None:
        """Of each line what joins it: by shape, then in its order."""
        for line, unread in zip(lines, rows, strict=True):
            if line in self:
                _put(unread, self[line])
            else:
                self._unmade[line] = unread


def _put(unread: Unread, line: Line) -> None:
    backlog, rows = unread.backlog, unread.rows
    shapes = backlog.shape[rows]
    cuts = [0, *cuts_of(shapes).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        line.load(int(shapes[begin]), Unread(backlog, rows[begin:end]))


def cuts_of(*keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where one of these becomes another, the beginning left out."""
    changes = [key[1:] != key[:-1] for key in keys]
    return np.flatnonzero(np.logical_or.reduce(changes)) + 1
