"""What plain first-come-first-served would have done with the same arrivals: the yardstick of the longest wait. Pure.

It serves the arrivals strictly in order on the same units. How long a job runs is what it really ran, once that is
known; until then what jobs of such a limit ran on average (by power of √2 of the limit, smoothed with what all ran of
their limits), at least what it has run by now, at most its limit. What a guess got wrong after the job had left the
virtual machine is carried as a balance of unit-seconds, and worked off by units that stay occupied.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.orders.ageing import Ageing
from scheduler.core.request import Request

_PRIOR = 72
"""What all ran of their limits weighs, for one limit, as much as one in so many of the machine's units."""
_PRIOR_S = (25, 4)
"""At first all run their limits: so many seconds of the whole machine."""
_WAITS, _RUNS, _DONE = 0, 1, 2


class _Virtual:
    """A job in the virtual queue. lasted_s: what it really ran, when that is known."""

    __slots__ = ("end_s", "job", "lasted_s", "real_start_s", "start_s", "state")

    def __init__(self, job: Request) -> None:
        self.job = job
        self.state = _WAITS
        self.start_s = self.end_s = 0
        self.real_start_s: int | None = None
        self.lasted_s: int | None = None

    @property
    def age(self) -> tuple[int, int]:
        return self.job.submitted_s, self.job.number


class Yardstick:
    """A virtual machine of `units`. longest_s: the longest wait that it has seen so far, of those in line too."""

    def __init__(self, units: int) -> None:
        self.longest_s = 0
        self._advanced_s = 0
        self._units = self._free = units
        self._line: deque[_Virtual] = deque()
        self._loaded = Ageing.none()
        """What came all at once, and is in line yet: each of them is virtual when it is first looked at."""
        self._jobs: dict[int, _Virtual] = {}
        self._ends: list[tuple[int, int, int]] = []
        self._balance = 0
        self._ghosts = 0
        self._ran = self._asked = 0
        self._ran_by_limit: dict[int, tuple[int, int]] = {}
        self._recalled: list[tuple[int, int, int]] | None = None

    def arrived(self, job: Request) -> None:
        """One that had gone and comes again, as after a hand-over that failed, begins anew."""
        if job.number in self._jobs or job.number in self._loaded:
            self.left(self._of(job.number).job)
        virtual = self._jobs[job.number] = _Virtual(job)
        at = len(self._line)
        while at and (job.submitted_s, job.number) < self._line[at - 1].age:
            at -= 1
        self._line.insert(at, virtual)

    def load(self, backlog: Backlog, rows: NDArray[np.intp]) -> None:
        """Many at once: Ageing's rows. Those of a load before become as if they had come one by one."""
        before, self._loaded = self._loaded, Ageing(backlog, rows)
        virtuals = [self._jobs.setdefault(job.number, _Virtual(job)) for job in before]
        self._line = deque(sorted([*self._line, *virtuals], key=attrgetter("age")))

    def lived(self, jobs: Iterable[tuple[Request, int, int]]) -> None:
        """What ran and ended before anything else is told: with its start, and how long it ran.

        The next advance serves all arrivals since then, with true run times.
        """
        for job, start_s, lasted_s in jobs:
            virtual = self._jobs[job.number] = _Virtual(job)
            virtual.real_start_s, virtual.lasted_s = start_s, lasted_s
            self._learn(job, lasted_s)
            self._line.append(virtual)
        self._line = deque(sorted(self._line, key=attrgetter("age")))
        self._recalled = []

    def recalled(self) -> Sequence[tuple[int, int, int]]:
        """After the advance over what was lived: whose wait became the longest (submitted), and from what to what."""
        found, self._recalled = self._recalled or (), None
        return found

    def remembers(self, before: Yardstick) -> None:
        """The longest wait, and how long jobs run, as another of the same clock knows it."""
        self.longest_s, self._ran, self._asked = before.longest_s, before._ran, before._asked
        self._ran_by_limit = dict(before._ran_by_limit)

    def left(self, job: Request) -> None:
        """It was withdrawn: it takes no virtual time any more."""
        if self._loaded.drop(job.number) and job.number not in self._jobs:
            return
        virtual = self._jobs.pop(job.number)
        if virtual.state == _RUNS:
            self._free += job.units
        virtual.state = _DONE

    def started(self, job: Request, now_s: int) -> None:
        self._of(job.number).real_start_s = now_s

    def returned(self, job: Request) -> None:
        """It did not start after all."""
        self._of(job.number).real_start_s = None

    def ended(self, job: Request, now_s: int) -> None:
        """How long it ran is known now."""
        virtual = self._of(job.number)
        lasted = virtual.lasted_s = now_s - (virtual.real_start_s or 0)
        self._learn(job, lasted)
        should = virtual.start_s + lasted
        if virtual.state == _RUNS:
            if should < now_s:
                self._balance -= job.units * min(now_s - should, max(0, virtual.end_s - should))
            self._run_until(virtual, max(now_s, should))
        elif virtual.state == _DONE:
            del self._jobs[job.number]
            self._balance += job.units * (should - virtual.end_s)
            if self._balance > 0 and should > virtual.end_s:
                self._haunt(job.units, min(self._balance // job.units, lasted), now_s)

    def advance(self, now_s: int) -> None:
        """Up to now."""
        at_s = self._advanced_s
        self._advanced_s = now_s
        while True:
            self._serve(at_s, now_s)
            if not self._ends or self._ends[0][0] > now_s:
                break
            at_s, number, units = heapq.heappop(self._ends)
            if number < 0:
                self._free += units
            else:
                self._end(self._jobs[number], at_s, now_s)
        first = self._head()
        if first is not None:
            self._see(first.job.submitted_s, now_s)

    def _of(self, number: int) -> _Virtual:
        known = self._jobs.get(number)
        if known is None:
            known = self._jobs[number] = _Virtual(self._loaded.request(number))
        return known

    def _head(self) -> _Virtual | None:
        """First in line."""
        told, loaded = self._line[0] if self._line else None, self._loaded.oldest()
        if loaded is None or (told is not None and told.age < loaded):
            return told
        return self._of(loaded[1])

    def _serve(self, at_s: int, now_s: int) -> None:
        while (virtual := self._head()) is not None and (virtual.state == _DONE or virtual.job.units <= self._free):
            if virtual.state == _WAITS:
                start_s = max(at_s, virtual.job.submitted_s)
                self._forget_stale()
                if self._ends and self._ends[0][0] <= start_s:
                    return
                self._free -= virtual.job.units
                virtual.start_s, virtual.state = start_s, _RUNS
                self._run_until(virtual, start_s + self._guess(virtual, now_s))
                self._see(virtual.job.submitted_s, start_s)
            if not self._loaded.drop(virtual.job.number):
                self._line.popleft()
        self._forget_stale()

    def _end(self, virtual: _Virtual, at_s: int, now_s: int) -> None:
        """It leaves, unless it is known by now to run longer than was thought."""
        if virtual.lasted_s is None and virtual.real_start_s is not None:
            has_run = now_s - virtual.real_start_s
            if virtual.end_s - virtual.start_s < has_run:
                self._run_until(virtual, max(at_s + 1, virtual.start_s + has_run))
                return
        self._free += virtual.job.units
        virtual.state = _DONE
        if virtual.lasted_s is not None:
            del self._jobs[virtual.job.number]

    def _run_until(self, virtual: _Virtual, end_s: int) -> None:
        virtual.end_s = end_s
        heapq.heappush(self._ends, (end_s, virtual.job.number, virtual.job.units))

    def _haunt(self, units: int, for_s: int, now_s: int) -> None:
        if for_s > 0:
            self._ghosts += 1
            self._free -= units
            self._balance -= for_s * units
            heapq.heappush(self._ends, (now_s + for_s, -self._ghosts, units))

    def _forget_stale(self) -> None:
        """Ends that were put off or withdrawn since."""
        while self._ends and self._ends[0][1] >= 0:
            end_s, number, _ = self._ends[0]
            virtual = self._jobs.get(number)
            if virtual is not None and virtual.state == _RUNS and virtual.end_s == end_s:
                return
            heapq.heappop(self._ends)

    def _see(self, since_s: int, until_s: int) -> None:
        """It waited so long."""
        if until_s - since_s > self.longest_s:
            if self._recalled is not None:
                self._recalled.append((since_s, self.longest_s, until_s - since_s))
            self.longest_s = until_s - since_s

    def _learn(self, job: Request, lasted_s: int) -> None:
        self._ran += job.units * lasted_s
        self._asked += job.units * job.limit_s
        ran, units = self._ran_by_limit.get(_bucket(job.limit_s), (0, 0))
        self._ran_by_limit[_bucket(job.limit_s)] = ran + job.units * lasted_s, units + job.units

    def _guess(self, virtual: _Virtual, now_s: int) -> int:
        if virtual.lasted_s is not None:
            return virtual.lasted_s
        limit_s = virtual.job.limit_s
        ran, units = self._ran_by_limit.get(_bucket(limit_s), (0, 0))
        at_first = self._units * _PRIOR_S[0]
        of_all, asked = self._ran * _PRIOR_S[1] + at_first, self._asked * _PRIOR_S[1] + at_first
        expected = (_PRIOR * ran * asked + self._units * limit_s * of_all) // ((_PRIOR * units + self._units) * asked)
        if virtual.real_start_s is not None:
            expected = max(expected, now_s - virtual.real_start_s)
        return max(1, min(expected, limit_s))


def _bucket(limit_s: int) -> int:
    """⌊2·log₂ limit⌋."""
    return (max(1, limit_s) ** 2).bit_length() - 1
