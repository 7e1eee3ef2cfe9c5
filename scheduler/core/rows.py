"""Which rows are still there, of many that came at once, by their numbers. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Rows:
    """numbers: in ascending order, each once; a row is a place among them. among: the rows that are there; None: all.

    Finding one costs O(log n).
    """

    __slots__ = ("_here", "_numbers", "left")

    def __init__(self, numbers: NDArray[np.int64], among: NDArray[np.intp] | None = None) -> None:
        self._numbers = numbers
        self._here = np.full(len(numbers), among is None)
        if among is not None:
            self._here[among] = True
        self.left = len(numbers) if among is None else len(among)
        """So many are there."""

    def find(self, number: int) -> int | None:
        """Its row; None: it is not there."""
        if not self.left:
            return None
        row = int(self._numbers.searchsorted(number))
        if row == len(self._numbers) or self._numbers[row] != number or not self._here[row]:
            return None
        return row

    def drop(self, number: int) -> int | None:
        """It is there no more. Its row; None: it was not there."""
        row = self.find(number)
        if row is not None:
            self._here[row] = False
            self.left -= 1
        return row

    def has(self, row: int) -> bool:
        return bool(self._here[row])

    def here(self) -> NDArray[np.intp]:
        """All that are there."""
        return np.flatnonzero(self._here)

    def here_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of these, in this order."""
        found: NDArray[np.intp] = rows[self._here[rows]]
        return found
