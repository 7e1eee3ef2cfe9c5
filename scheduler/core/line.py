"""All that waits in one line: found by its place in line among what fits, without looking at what does not. Pure.

Jobs of a line are kept on shelves, one for each shape, each in the order of the line and cut into blocks that know
their shortest limit. The first that fits is looked for only on shelves of shapes that fit, and only in blocks that
hold a limit short enough. Adding, removing and looking cost O(√n), in practice a few steps.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Container, Iterator

import numpy as np

from scheduler.core.backlog import Unread
from scheduler.core.request import Place

_BLOCK = 128


class Shelf:
    """Jobs of one shape in the order of the line. Never empty between calls but at its birth.

    What came all at once is read by the block, when it is looked at.
    """

    __slots__ = ("_blocks", "_shortest")

    def __init__(self, ordered: list[Place] | Unread | None = None) -> None:
        self._blocks: list[list[Place] | Unread] = []
        self._shortest: list[int] = []
        if isinstance(ordered, Unread):
            backlog, rows = ordered.backlog, ordered.rows
            starts = range(0, len(rows), _BLOCK)
            self._blocks += [Unread(backlog, rows[at : at + _BLOCK]) for at in starts]
            self._shortest += np.minimum.reduceat(backlog.limit_s[rows], list(starts)).tolist()
        elif ordered:
            blocks = [ordered[at : at + _BLOCK] for at in range(0, len(ordered), _BLOCK)]
            self._blocks += blocks
            self._shortest += map(_shortest, blocks)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __iter__(self) -> Iterator[Place]:
        for index in range(len(self._blocks)):
            yield from self._block(index)

    @property
    def head(self) -> Place:
        return self._block(0)[0]

    @property
    def shortest(self) -> int:
        """Of all limits."""
        return min(self._shortest)

    def add(self, place: Place) -> None:
        blocks, limit = self._blocks, place[2].limit_s
        if not blocks or (len(blocks[-1]) >= _BLOCK and place > self._block(-1)[-1]):
            blocks.append([place])
            self._shortest.append(limit)
            return
        index = self._block_of(place)
        block = self._block(index)
        insort(block, place)
        self._shortest[index] = min(self._shortest[index], limit)
        if len(block) > 2 * _BLOCK:
            self._split(index, block)

    def remove(self, place: Place) -> None:
        """KeyError: it is not here."""
        index = self._block_of(place)
        block = self._block(index)
        at = bisect_left(block, place)
        if at == len(block) or block[at][1] != place[1]:
            raise KeyError(place[1])
        del block[at]
        if not block:
            del self._blocks[index], self._shortest[index]
        elif place[2].limit_s == self._shortest[index]:
            self._shortest[index] = _shortest(block)

    def first_within(self, limit_s: int, passing: Container[int] = ()) -> Place | None:
        """The first whose limit is at most this. passing: numbers of those that are not meant."""
        for index, shortest in enumerate(self._shortest):
            if shortest <= limit_s:
                for place in self._block(index):
                    if place[2].limit_s <= limit_s and place[1] not in passing:
                        return place
        return None

    def _block(self, index: int) -> list[Place]:
        block = self._blocks[index]
        if isinstance(block, Unread):
            block = self._blocks[index] = block.read()
        return block

    def _block_of(self, place: Place) -> int:
        last = len(self._blocks) - 1
        if place >= self._block(last)[0]:
            return last
        return max(0, bisect_right(range(last), place, key=lambda index: self._block(index)[0]) - 1)

    def _split(self, index: int, block: list[Place]) -> None:
        halves = block[:_BLOCK], block[_BLOCK:]
        self._blocks[index : index + 1] = halves
        self._shortest[index : index + 1] = map(_shortest, halves)


def _shortest(block: list[Place]) -> int:
    return min(place[2].limit_s for place in block)


class Line:
    """Jobs of one leaf and tier that wait for one machine."""

    __slots__ = ("_head", "_shapes", "_shelves")

    def __init__(self) -> None:
        self._shelves: dict[int, Shelf] = {}
        self._shapes: list[int] = []
        self._head: Place | None = None

    def __bool__(self) -> bool:
        return bool(self._shapes)

    def __iter__(self) -> Iterator[Place]:
        """In its order."""
        return heapq.merge(*self._shelves.values())

    @property
    def shapes(self) -> list[int]:
        """Of what waits, in ascending order."""
        return self._shapes

    @property
    def head(self) -> Place:
        """First in line; the line must not be empty."""
        if self._head is None:
            self._head = min(shelf.head for shelf in self._shelves.values())
        return self._head

    def has(self, shape: int) -> bool:
        return shape in self._shelves

    def shelf(self, shape: int) -> Shelf:
        return self._shelves[shape]

    def add(self, place: Place) -> None:
        shape = place[2].shape
        shelf = self._shelves.get(shape)
        if shelf is None:
            shelf = self._shelves[shape] = Shelf()
            insort(self._shapes, shape)
        shelf.add(place)
        if self._head is not None and place < self._head:
            self._head = place

    def load(self, shape: int, ordered: list[Place] | Unread) -> None:
        """Many of one shape, in the order of the line."""
        if shape in self._shelves:
            for place in ordered.read() if isinstance(ordered, Unread) else ordered:
                self.add(place)
        else:
            self._shelves[shape] = Shelf(ordered)
            insort(self._shapes, shape)
            self._head = None

    def remove(self, place: Place) -> None:
        shape = place[2].shape
        shelf = self._shelves[shape]
        shelf.remove(place)
        if not shelf:
            del self._shelves[shape]
            self._shapes.remove(shape)
        if self._head is not None and self._head[1] == place[1]:
            self._head = None


class Shapes:
    """How many jobs of each shape wait."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._sorted: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._sorted)

    @property
    def sorted(self) -> list[int]:
        return self._sorted

    def add(self, shape: int, jobs: int = 1) -> None:
        count = self._counts.get(shape, 0)
        self._counts[shape] = count + jobs
        if not count:
            insort(self._sorted, shape)

    def remove(self, shape: int) -> None:
        count = self._counts[shape] - 1
        if count:
            self._counts[shape] = count
        else:
            del self._counts[shape]
            self._sorted.remove(shape)
