"""Whose turn it is, found without looking at all lines: only at those of groups near the least. Pure.

A group's lines are looked at when its lower bound (Order.least, one step for all groups) is no more than the exact
turn of the least line known. So what comes first is exactly what would come first if all were looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scheduler.core.orders.order import Least, Order, Turn
from scheduler.core.request import Place

_Entry = tuple[Turn, Place, int]
"""Whose turn it is: (turn, first of the line, line)."""


class _Lines(Protocol):
    def head(self, line: int) -> Place: ...

    def __contains__(self, line: int, /) -> bool: ...


class Turns:
    """Of the lines of some groups, in one pass. Turns only grow meanwhile."""

    def __init__(
        self,
        order: Order,
        lines: _Lines,
        groups: NDArray[Any],
        members: Callable[[int], Iterable[int]],
        least: Least,
    ) -> None:
        self._order = order
        self._lines = lines
        self._members = members
        of_group, self._scale = least
        ranked = groups[np.argsort(of_group[groups])]
        self._groups: Sequence[int] = ranked.tolist()
        self._least: Sequence[float] = of_group[ranked].tolist()
        self._looked_at = 0
        self._heap: list[_Entry] = []

    def first(self) -> int | None:
        """The line whose turn it is; None: all are done with."""
        heap = self._heap
        while True:
            self._settle()
            if self._looked_at == len(self._groups):
                return heap[0][2] if heap else None
            if heap and heap[0][0][0] / self._scale < self._least[self._looked_at]:
                return heap[0][2]
            self._look()

    def done(self) -> None:
        """The line whose turn it was is asked no more."""
        heapq.heappop(self._heap)

    def started(self) -> None:
        """One of the line whose turn it was has started: its turn and head are others now, if there is one left."""
        line = self._heap[0][2]
        if line in self._lines:
            heapq.heapreplace(self._heap, self._entry(line))
        else:
            heapq.heappop(self._heap)

    def _look(self) -> None:
        for line in self._members(self._groups[self._looked_at]):
            heapq.heappush(self._heap, self._entry(line))
        self._looked_at += 1

    def _settle(self) -> None:
        """Brings to the top the one whose turn it is now, of those looked at."""
        while self._heap:
            turn, head, line = self._heap[0]
            current = self._order.turn(line)
            if current == turn:
                return
            heapq.heapreplace(self._heap, (current, head, line))

    def _entry(self, line: int) -> _Entry:
        return self._order.turn(line), self._lines.head(line), line
