"""When what is held is given back at the latest, kept in order; and how much of it by certain moments. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice

from scheduler.core.vectors import NOTHING, Vector, plus, without

Change = tuple[int, Vector]
"""(when, how much more is free from then on)."""


class Ends:
    """What should have ended by now is expected to end overdue_s from now."""

    def __init__(self, overdue_s: int) -> None:
        self._overdue_s = overdue_s
        self._sorted: list[tuple[int, int, Vector]] = []
        self._moments: Sequence[int] = ()
        self._risen: list[Vector] = []

    def add(self, number: int, until_s: int, needs: Vector) -> None:
        insort(self._sorted, (until_s, number, needs))
        self._rise(until_s, needs)

    def remove(self, number: int, until_s: int, needs: Vector) -> None:
        """Something that was added."""
        del self._sorted[bisect_left(self._sorted, (until_s, number))]
        self._rise(until_s, without(NOTHING, needs))

    def clear(self) -> None:
        self._sorted.clear()
        self._risen = [NOTHING for _ in self._moments]

    def watch(self, moments: Iterable[int]) -> None:
        """From now on it is known how much will have been given back by these."""
        self._moments = tuple(moments)
        self._risen = [NOTHING for _ in self._moments]
        if self._moments:
            for until_s, _, needs in self._sorted:
                self._rise(until_s, needs)

    def risen(self, now_s: int) -> list[Vector]:
        """By each moment that is watched."""
        soon, late = now_s + self._overdue_s, NOTHING
        if not any(moment < soon for moment in self._moments):
            return list(self._risen)
        for until_s, _, needs in self._sorted:
            if until_s > now_s:
                break
            late = plus(late, needs)
        pairs = zip(self._moments, self._risen, strict=True)
        return [without(risen, late) if moment < soon else risen for moment, risen in pairs]

    def changes(self, now_s: int, others: Iterable[Change] = ()) -> Iterator[Change]:
        """All of them and the others, in order."""
        late = bisect_right(self._sorted, now_s, key=lambda end: end[0])
        more = [*others, *((now_s + self._overdue_s, needs) for _, _, needs in self._sorted[:late])]
        more.sort()
        changes = ((until_s, needs) for until_s, _, needs in islice(self._sorted, late, None))
        return merge(changes, more) if more else changes

    def latest(self, now_s: int) -> int:
        """When everything has ended; now_s: it has."""
        if not self._sorted:
            return now_s
        soon = now_s + self._overdue_s if self._sorted[0][0] <= now_s else now_s
        return max(soon, self._sorted[-1][0])

    def _rise(self, until_s: int, needs: Vector) -> None:
        for index, moment in enumerate(self._moments):
            if until_s <= moment:
                self._risen[index] = plus(self._risen[index], needs)
