"""What may be submitted in the time to come: what was submitted before, at the same hour of an earlier day. Pure.

A block bootstrap (Künsch 1989): each possible future repeats a stretch of the past from a whole number of days ago up
to now, again and again. So rush hours, bursts, who submits what and how much it asks for stay together as they were.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from scheduler.core.request import Request

_DAY_S: Final = 86_400
NOT_YET: Final = 1 << 40
"""Jobs of the future have numbers from here on."""


class Arrivals:
    """The past, in the order of submission. window_s: what is older is forgotten.

    since_s: all is known from then on; None: from the first job on.
    """

    def __init__(self, window_s: int = 28 * _DAY_S, since_s: int | None = None) -> None:
        self._window_s = window_s
        self._past: deque[Request] = deque()
        self._since_s = since_s

    def arrived(self, job: Request) -> None:
        """No earlier than the one before."""
        if self._since_s is None:
            self._since_s = job.submitted_s
        self._past.append(job)
        while self._past[0].submitted_s < job.submitted_s - self._window_s:
            self._past.popleft()

    def futures(self, now_s: int, futures: int) -> Sequence[Iterator[Request]]:
        """So many, each without an end (or empty, if nothing was ever submitted), in the order of submission."""
        known_s = 0 if self._since_s is None else min(self._window_s, now_s - self._since_s)
        past = [job for job in self._past if now_s - known_s < job.submitted_s <= now_s]
        if not past:
            return [iter(()) for _ in range(futures)]
        days = known_s // _DAY_S
        blocks = [(1 + days * index // futures) * _DAY_S if days else known_s for index in range(futures)]
        return [_repeated(past, now_s, block_s) for block_s in blocks]


def _repeated(past: Sequence[Request], now_s: int, block_s: int) -> Iterator[Request]:
    """What was submitted since block_s ago, once more and again."""
    first = bisect_right(past, now_s - block_s, key=_submitted)
    block, numbers = past[first : bisect_left(past, now_s + 1, key=_submitted)], count(NOT_YET)
    if not block:
        return
    for again in count(1):
        for job in block:
            yield job._replace(number=next(numbers), submitted_s=job.submitted_s + again * block_s)


def _submitted(job: Request) -> int:
    return job.submitted_s
