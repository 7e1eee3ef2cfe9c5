"""All that waits for one machine in the order of submission, and the wide gangs among it. Pure."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.orders.ageing import Ageing
from scheduler.core.request import Request

_Age = tuple[int, int, Request]
_SPARE = 64


class Elders:
    """What has left stays in the lists until it is half of them. narrow: so many units are not yet wide.

    What came all at once is beside them.
    """

    def __init__(self, narrow: int) -> None:
        self._narrow = narrow
        self._waiting: set[int] = set()
        self._all: list[_Age] = []
        self._first = 0
        """Before this one, all have left."""
        self._wide: list[_Age] = []
        self._wide_waiting = 0
        self._loaded = self._loaded_wide = Ageing.none()

    def __bool__(self) -> bool:
        return bool(self._waiting) or len(self._loaded) > 0

    def add(self, job: Request) -> None:
        age = (job.submitted_s, job.number, job)
        self._waiting.add(job.number)
        self._first = min(self._first, _placed(self._all, age))
        if job.units > self._narrow:
            _placed(self._wide, age)
            self._wide_waiting += 1
        else:
            _dropped(self._wide, age)

    def load(self, backlog: Backlog, rows: NDArray[np.intp]) -> None:
        """Many at once: Ageing's rows. Those of a load before become as if they had come one by one."""
        before, self._loaded = self._loaded, Ageing(backlog, rows)
        self._loaded_wide = Ageing(backlog, rows[backlog.units[rows] > self._narrow])
        for job in before:
            self.add(job)

    def remove(self, job: Request) -> None:
        if self._loaded.drop(job.number):
            self._loaded_wide.drop(job.number)
            return
        self._waiting.remove(job.number)
        if len(self._all) > 2 * len(self._waiting) + _SPARE:
            self._all, self._first = self._left(self._all), 0
        if job.units > self._narrow:
            self._wide_waiting -= 1
            if len(self._wide) > 2 * self._wide_waiting + _SPARE:
                self._wide = self._left(self._wide)

    def until(self, submitted_s: int, most: int) -> list[Request]:
        """Those submitted until then, oldest first, at most so many."""
        while self._first < len(self._all) and self._all[self._first][1] not in self._waiting:
            self._first += 1
        among = _merged(self._told(islice(self._all, self._first, None)), self._loaded)
        return list(islice(takewhile(lambda job: job.submitted_s <= submitted_s, among), most))

    def wide(self) -> Iterator[Request]:
        """Wide gangs, oldest first; others may leave meanwhile, and none may come."""
        return _merged(self._told(self._wide), self._loaded_wide)

    def _told(self, ages: Iterable[_Age]) -> Iterator[Request]:
        waiting = self._waiting
        return (job for _, number, job in ages if number in waiting)

    def _left(self, ages: list[_Age]) -> list[_Age]:
        return [age for age in ages if age[1] in self._waiting]


def _merged(told: Iterator[Request], loaded: Ageing) -> Iterator[Request]:
    if not loaded:
        return told
    return heapq.merge(told, loaded, key=lambda job: (job.submitted_s, job.number))


def _placed(ages: list[_Age], age: _Age) -> int:
    """Where it stands now: one that comes again takes the place in which it was left behind."""
    at = bisect_left(ages, age[:2])
    if at < len(ages) and ages[at][:2] == age[:2]:
        ages[at] = age
    else:
        ages.insert(at, age)
    return at


def _dropped(ages: list[_Age], age: _Age) -> None:
    """It may have been left behind here."""
    at = bisect_left(ages, age[:2])
    if at < len(ages) and ages[at][:2] == age[:2]:
        del ages[at]
