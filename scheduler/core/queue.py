"""All of one tier that waits for one machine, in its lines, and which of them hold anything that fits. Pure.

For each shape there is a column with the shortest limit of each line: what fits now is found in one step a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.core.line import Line, Place, Shapes
from scheduler.core.orders.order import Least, Order
from scheduler.core.pool import Room
from scheduler.core.request import Request
from scheduler.core.turns import Turns

_NEVER = 1 << 62


class _Cursor:
    """Where a walk down a line stands."""

    __slots__ = ("_places", "head")

    def __init__(self, line: Line) -> None:
        self._places = iter(line)
        self.head = next(self._places)

    def advance(self) -> bool:
        """False: the line is over."""
        follows = next(self._places, None)
        if follows is not None:
            self.head = follows
        return follows is not None


class _Cursors(dict[int, _Cursor]):
    """Of lines, each from its head when it is first looked at."""

    def __init__(self, lines: Mapping[int, Line]) -> None:
        self._lines = lines

    def __missing__(self, line: int) -> _Cursor:
        found = self[line] = _Cursor(self._lines[line])
        return found


class Queue:
    """Lines are created when the first comes, and forgotten when the last has left."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.lines: dict[int, Line] = {}
        self.shapes = Shapes()
        self._members: dict[int, set[int]] = {}
        self._waits = np.zeros(order.groups, dtype=bool)
        self._group_of = np.zeros(order.lines, dtype=np.int64)
        self._shortest: dict[int, NDArray[np.int64]] = {}

    def anything_fits(self, room: Room) -> bool:
        """Beside what runs, reservations aside."""
        return any(map(room.fits_now, self.shapes.sorted))

    def add(self, line: int, place: Place) -> None:
        shape = place[2].shape
        self._line(line).add(place)
        self.shapes.add(shape)
        column = self._column(shape)
        column[line] = min(column[line], place[2].limit_s)

    def load(self, lines: Sequence[int], places: Sequence[Place]) -> None:
        """Many at once: sorted together, and put on their shelves by the block."""
        shapes = np.array([place[2].shape for place in places])
        ranks = np.array([place[0] for place in places])
        numbers = np.array([place[1] for place in places])
        order = np.lexsort((numbers, ranks, shapes, np.asarray(lines)))
        keys = np.stack((np.asarray(lines)[order], shapes[order]))
        cuts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
        ordered = [places[index] for index in order.tolist()]
        starts = [0, *cuts.tolist(), len(ordered)]
        for (line, shape), begin, end in zip(keys[:, starts[:-1]].T.tolist(), starts[:-1], starts[1:], strict=True):
            self._line(line).load(shape, ordered[begin:end])
            self.shapes.add(shape, end - begin)
            self._column(shape)[line] = min(_NEVER, self.lines[line].shelf(shape).shortest)

    def remove(self, line: int, place: Place) -> None:
        """KeyError: it is not here."""
        shape, waiting = place[2].shape, self.lines[line]
        waiting.remove(place)
        self.shapes.remove(shape)
        column = self._shortest[shape]
        if place[2].limit_s <= column[line]:
            column[line] = min(_NEVER, waiting.shelf(shape).shortest) if waiting.has(shape) else _NEVER
        if not waiting:
            self._forget(line)

    def in_turn(self, least: Least) -> Iterator[Request]:
        """One after the other as if each had started; between two of them the order is told to suppose so."""
        cursors = _Cursors(self.lines)
        turns = Turns(self._order, cursors, np.flatnonzero(self._waits), self._members.__getitem__, least)
        while (line := turns.first()) is not None:
            yield cursors[line].head[2]
            if not cursors[line].advance():
                del cursors[line]
            turns.started()

    def turns(self, least: Least) -> Turns:
        """Of all lines."""
        return Turns(self._order, self.lines, np.flatnonzero(self._waits), self._members.__getitem__, least)

    def turns_of_fitting(self, room: Room, least: Least) -> Turns:
        """Of those lines in which anything fits."""
        fits = self._fitting(room)
        groups = np.zeros(self._order.groups, dtype=bool)
        groups[self._group_of[fits]] = True
        return Turns(self._order, self.lines, np.flatnonzero(groups), self._chosen(fits), least)

    def _chosen(self, chosen: NDArray[Any]) -> Callable[[int], Iterable[int]]:
        return lambda group: [line for line in self._members[group] if chosen[line]]

    def _fitting(self, room: Room) -> NDArray[Any]:
        fits = np.zeros(self._order.lines, dtype=bool)
        for shape in self.shapes.sorted:
            horizon = room.horizon(shape)
            if horizon >= 0:
                fits |= self._shortest[shape] <= horizon
        return fits

    def _line(self, line: int) -> Line:
        found = self.lines.get(line)
        if found is None:
            found = self.lines[line] = Line()
            group = self._order.group(line)
            self._group_of[line] = group
            self._members.setdefault(group, set()).add(line)
            self._waits[group] = True
        return found

    def _forget(self, line: int) -> None:
        del self.lines[line]
        group = int(self._group_of[line])
        self._members[group].remove(line)
        if not self._members[group]:
            self._waits[group] = False

    def _column(self, shape: int) -> NDArray[np.int64]:
        column = self._shortest.get(shape)
        if column is None:
            column = self._shortest[shape] = np.full(self._order.lines, _NEVER, dtype=np.int64)
        return column
