"""What came all at once, in the order of submission, and who of it has left since. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.columns import Columns
from scheduler.core.request import STANDARD, Request
from scheduler.core.rows import Rows

_LOOK: Final = 64
_LOOK_FAR: Final = 8192
"""So many are looked at together: at first, and where all of them have left."""


def by_age(backlog: Backlog) -> NDArray[np.intp]:
    """Its rows, oldest first, without spare work: that waits for all other, however long, and is never due."""
    rows = np.flatnonzero(backlog.tier <= STANDARD)
    submitted_s = backlog.submitted_s[rows]
    is_ordered = not (submitted_s[1:] < submitted_s[:-1]).any()  # where numbers are given at submission
    return rows if is_ordered else rows[np.argsort(submitted_s, kind="stable")]


class Ageing:
    """rows: by_age() of the backlog, or some of them in that order."""

    def __init__(self, backlog: Backlog, rows: NDArray[np.intp]) -> None:
        self._backlog, self._rows = backlog, rows
        self._there = Rows(backlog.number, rows)
        self._first = 0
        """Before this one, all have left."""
        self._seen: dict[int, Request] = {}
        """By row: the oldest are looked at again and again."""

    @staticmethod
    def none() -> Ageing:
        empty = np.zeros(0, dtype=np.int64)
        return Ageing(Backlog(Columns(empty, empty, empty, empty, empty), 0, empty), np.zeros(0, dtype=np.intp))

    def __len__(self) -> int:
        return self._there.left

    def __contains__(self, number: int) -> bool:
        return self._there.find(number) is not None

    def drop(self, number: int) -> bool:
        """It leaves. Whether it was there."""
        row = self._there.drop(number)
        if row is None:
            return False
        self._seen.pop(row, None)
        return True

    def oldest(self) -> tuple[int, int] | None:
        """When it was submitted, and its number. None: all have left."""
        row = next(self._left(), None)
        return None if row is None else (self._backlog.submitted_s.item(row), self._backlog.number.item(row))

    def request(self, number: int) -> Request:
        """KeyError: it is not there."""
        row = self._there.find(number)
        if row is None:
            raise KeyError(number)
        return self._request(row)

    def __iter__(self) -> Iterator[Request]:
        """Oldest first; others may leave meanwhile."""
        return map(self._request, self._left())

    def _request(self, row: int) -> Request:
        known = self._seen.get(row)
        if known is None:
            known = self._seen[row] = self._backlog.request(row)
        return known

    def _left(self) -> Iterator[int]:
        at, look = self._first, _LOOK
        while self._there.left and at < len(self._rows):
            rows = self._there.here_of(self._rows[at : at + look])
            yield from (row for row in rows.tolist() if self._there.has(row))
            if not len(rows) and at == self._first:
                self._first += look
            at, look = at + look, min(2 * look, _LOOK_FAR)
