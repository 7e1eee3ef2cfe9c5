"""Small invented workloads for the engine, and how they are replayed by whatever decides like it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random  # noqa: TID251  seeded by the caller
from typing import Protocol

from hypothesis import strategies as st

from scheduler.core.request import Request

TOTAL = 8


class Decides(Protocol):
    def ended(self, number: int, now_s: int) -> None: ...

    def decide(self, now_s: int) -> list[Request]: ...


@dataclass(frozen=True, slots=True)
class Small:
    """Jobs in the order of submission, and how long each really runs."""

    weights: tuple[int, ...]
    jobs: tuple[Request, ...]
    durations: tuple[int, ...]


def invented(random: Random, *, jobs: int, organisations: int = 4, units: int = TOTAL, horizon_s: int = 60) -> Small:
    """Small numbers, so that much happens at the same instant and many turns are equal."""
    weights = tuple(random.randint(1, 4) for _ in range(organisations))
    submitted = sorted(random.randint(0, horizon_s) for _ in range(jobs))
    requests, durations = [], []
    for number, at in enumerate(submitted):
        limit = random.randint(1, 20)
        requests.append(Request(number, random.randrange(organisations), random.randint(1, units), limit, at))
        durations.append(random.randint(0, limit + 5))  # some do not keep to their limit
    return Small(weights, tuple(requests), tuple(durations))


@st.composite
def smalls(draw: st.DrawFn, *, jobs: int = 30, units: int = TOTAL) -> Small:
    return invented(draw(st.randoms(use_true_random=False)), jobs=draw(st.integers(1, jobs)), units=units)


def played(
    small: Small,
    engine: Decides,
    arrive: Callable[[Request], None],
    *,
    order: Sequence[int] | None = None,
    watch: Callable[[int, list[Request]], None] = lambda _now, _started: None,
) -> list[int]:
    """When each starts. order: in which the arrivals of one instant are told, by number."""
    told = sorted(small.jobs, key=lambda job: (job.submitted_s, order[job.number] if order else job.number))
    starts, ends, arrived = [-1] * len(told), list[tuple[int, int]](), 0
    while arrived < len(told) or ends:
        now_s = min([job.submitted_s for job in told[arrived : arrived + 1]] + [end for end, _ in ends[:1]])
        while ends and ends[0][0] == now_s:
            engine.ended(heapq.heappop(ends)[1], now_s)
        while arrived < len(told) and told[arrived].submitted_s == now_s:
            arrive(told[arrived])
            arrived += 1
        started = engine.decide(now_s)
        for job in started:
            starts[job.number] = now_s
            heapq.heappush(ends, (now_s + small.durations[job.number], job.number))
        watch(now_s, started)
    return starts
