"""Work of class reserved that waits for one machine, in the order of submission. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from scheduler.core.request import Request


class Promised:
    """Kept in order: each pass walks it, and each job of a supposed start as well."""

    def __init__(self) -> None:
        self._jobs: dict[int, Request] = {}
        self._ages: list[tuple[int, int]] = []

    def __contains__(self, number: int) -> bool:
        return number in self._jobs

    def __iter__(self) -> Iterator[Request]:
        """Oldest first; others may leave meanwhile."""
        known = (self._jobs.get(number) for _, number in tuple(self._ages))
        return (job for job in known if job is not None)

    def add(self, job: Request) -> None:
        """It waits."""
        self.drop(job.number)
        insort(self._ages, (job.submitted_s, job.number))
        self._jobs[job.number] = job

    def load(self, jobs: Iterable[Request]) -> None:
        """They all wait: as if each had been added, at the price of one sort."""
        fresh = {job.number: job for job in jobs if job.number not in self._jobs}
        self._jobs |= fresh
        self._ages = sorted([*self._ages, *((job.submitted_s, job.number) for job in fresh.values())])

    def drop(self, number: int) -> None:
        """It waits no more, if it did."""
        job = self._jobs.pop(number, None)
        if job is not None:
            del self._ages[bisect_left(self._ages, (job.submitted_s, number))]
