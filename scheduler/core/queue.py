"""All of one tier that waits for one machine, in its lines, and which of them hold anything that fits. Pure.

For each shape there is a column with the shortest limit of each line: what fits now is found in one step a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog, Unread
from scheduler.core.line import Line, Shapes
from scheduler.core.lines import Lines, cuts_of
from scheduler.core.orders.order import Least, Order
from scheduler.core.pool import Room
from scheduler.core.request import Place, Request
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

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __missing__(self, line: int) -> _Cursor:
        found = self[line] = _Cursor(self._lines[line])
        return found

    def head(self, line: int) -> Place:
        return self[line].head


class Queue:
    """Lines are created when the first comes, and forgotten when the last has left."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.lines = Lines()
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

    def load(self, backlog: Backlog, rows: NDArray[np.intp], lines: NDArray[np.int64]) -> None:
        """Many at once: of each its line. Sorted together, and put on their shelves when somebody looks there."""
        line, shape = lines[rows], backlog.shape[rows]
        order = np.lexsort((backlog.rank[rows], shape, line))  # stable: and by number, as they come
        line, shape, rows = line[order], shape[order], rows[order]
        starts = np.concatenate(([0], cuts_of(line, shape)))
        self._shorten(line[starts], shape[starts], np.minimum.reduceat(backlog.limit_s[rows], starts))
        for each, jobs in zip(*(column.tolist() for column in np.unique(shape, return_counts=True)), strict=True):
            self.shapes.add(each, jobs)
        cuts = cuts_of(line)
        found = line[np.concatenate(([0], cuts))].tolist()
        for each in found:
            self._known(each)
        first = np.lexsort((backlog.number[rows[starts]], backlog.rank[rows[starts]], line[starts]))
        heads = rows[starts[first]][np.concatenate(([0], cuts_of(line[starts])))]
        self.lines.load(found, (Unread(backlog, part) for part in np.split(rows, cuts)), heads.tolist())

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
        if line in self.lines:
            return self.lines[line]
        self._known(line)
        return self.lines.new(line)

    def _known(self, line: int) -> None:
        """Somebody waits there."""
        group = self._order.group(line)
        self._group_of[line] = group
        self._members.setdefault(group, set()).add(line)
        self._waits[group] = True

    def _shorten(self, lines: NDArray[np.int64], shapes: NDArray[np.int64], limits_s: NDArray[np.int64]) -> None:
        """The shortest limit of a line and shape is at most so much."""
        for shape in np.unique(shapes).tolist():
            column, those = self._column(shape), shapes == shape
            column[lines[those]] = np.minimum(column[lines[those]], limits_s[those])

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
