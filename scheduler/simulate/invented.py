"""Workloads that nobody ran, for trying a policy without a trace, and on what it was not made for. Pure.

The shape is that of recorded ones (Lublin and Feitelson, "The workload on parallel supercomputers", JPDC 63, 2003): few
organisations ask for most, they come in campaigns, by day more than by night; sizes are powers of two more often than
not, run times spread over five decades, and limits are round numbers above them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi, sin
from random import Random  # noqa: TID251  always seeded
from typing import Final

from scheduler.simulate.rows import TraceJob
from scheduler.simulate.shares import Share
from scheduler.simulate.sources import Source
from scheduler.simulate.workload import DAY_S

_LIMITS_S: Final = tuple(60 * each for each in (10, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320))
_LONGEST_S: Final = 2 * DAY_S
_POWERS_OF_TWO: Final = 0.9
_BY_NIGHT: Final = 0.3
"""Of what comes at noon."""
QPU: Final = "qpu"
MAX_JOBS: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """load: what is asked for ÷ what the GPUs can give until the last submission. campaigns: so much of all jobs comes
    in them. on_qpu: part of the jobs that ask for a QPU instead.
    """

    seed: int
    jobs: int = 10_000
    gpus: int = 256
    organisations: int = 12
    load: float = 1.0
    campaigns: float = 0.5
    on_qpu: float = 0.0


def invented(wish: Wish) -> Source:
    """The same wish gives the same workload."""
    random = Random(wish.seed)  # noqa: S311
    names = [f"org{number:02}" for number in range(1, wish.organisations + 1)]
    sizes = [_gpus(random, wish.gpus) for _ in range(wish.jobs)]
    durations = [_duration_s(random) for _ in sizes]
    asked_gpu_s = sum(gpus * duration for gpus, duration in zip(sizes, durations, strict=True))
    span_s = int(asked_gpu_s / (wish.gpus * wish.load)) + 1
    owners = _owners(random, names, wish, span_s)
    rows = zip(owners, sizes, durations, strict=True)
    jobs = [_job(random, number, row, is_circuit=random.random() < wish.on_qpu) for number, row in enumerate(rows, 1)]
    shares = [Share(name, random.choice((1, 1, 1, 2, 2, 3, 5, 8))) for name in names]
    return Source(name=f"invented {wish.seed}", jobs=jobs, shares=shares, gpus=wish.gpus, rates={QPU: 8000})


def _gpus(random: Random, most: int) -> int:
    """Half are single; each doubling is so much rarer; a tenth is no power of two."""
    size = 1
    while size * 2 <= most // 2 and random.random() < 0.55:  # noqa: PLR2004
        size *= 2
    return size if random.random() < _POWERS_OF_TWO else random.randint(1, size)


def _duration_s(random: Random) -> int:
    """Log-normal: half end within 20 minutes, one in forty runs for more than a day."""
    return min(_LONGEST_S, max(1, int(exp(random.gauss(7.1, 2.2)))))


def _owners(random: Random, names: Sequence[str], wish: Wish, span_s: int) -> list[tuple[int, str]]:
    """When, and who: the k-th organisation asks for 1/k as much as the first, whatever its weight."""
    ranked = list(names)
    random.shuffle(ranked)
    pull = [1 / rank for rank in range(1, len(ranked) + 1)]
    arrivals: list[tuple[int, str]] = []
    while len(arrivals) < wish.jobs:
        at, org = _moment(random, span_s), random.choices(ranked, pull)[0]
        if random.random() < wish.campaigns / 20:  # twenty jobs on the average
            count = min(wish.jobs - len(arrivals), int(random.expovariate(1 / 20)) + 1)
            arrivals += [(min(span_s, at + random.randrange(3600)), org) for _ in range(count)]
        elif random.random() >= wish.campaigns:
            arrivals.append((at, org))
    return sorted(arrivals)


def _moment(random: Random, span_s: int) -> int:
    while True:
        at = random.randrange(span_s)
        if random.random() < _BY_NIGHT + (1 - _BY_NIGHT) * (0.5 + 0.5 * sin(2 * pi * at / DAY_S)):
            return at


def _job(random: Random, number: int, row: tuple[tuple[int, str], int, int], *, is_circuit: bool) -> TraceJob:
    (at, org), gpus, duration_s = row
    wanted = duration_s * random.uniform(1, 5)
    limit_s = next((limit for limit in _LIMITS_S if limit >= wanted), _LIMITS_S[-1])
    user = f"user{random.randint(1, 4)}"
    if is_circuit:
        qpu_s = random.randint(2, 120)
        return TraceJob(number, str(number), org, user, at, qpu_s, 600, 0, qpu_s, QPU)
    return TraceJob(number, str(number), org, user, at, duration_s, limit_s, gpus)
