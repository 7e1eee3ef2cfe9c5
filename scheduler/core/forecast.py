"""When each waiting job will start: the engine is run ahead, on copies, through several possible futures. Pure.

In each future every job runs for a time drawn from what is known of run times (runtimes.py), and new jobs arrive as
they did on an earlier day (arrivals.py). Chance is an argument: the levels at which run times are drawn are stratified
over the futures (McKay, Beckman & Conover 1979), in an order that comes from the seed alone. The same question has the
same answer.
"""

from __future__ import annotations

import heapq
import math
import pickle
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.core.engine import Engine
from scheduler.core.foreseeable import Foreseeing
from scheduler.core.request import Request
from scheduler.core.runtimes import Lasting

NEVER: Final = 1 << 62
"""Does not start within the horizon."""
_KIN: Final = 0.3
"""So often a job is as long, for its limit, as its owner's other jobs of these days: of two in a row the run times are
correlated by about so much."""
_BLOCK: Final = 64
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_SEEDS: Final = np.uint64(1_000_003)
_MIXES: Final = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known now. engine: only copied. started_s: of all that runs. after: of each future, what will arrive."""

    engine: Engine
    now_s: int
    started_s: Mapping[int, int]
    lasting: Lasting
    after: Sequence[Iterator[Request]]
    seed: int = 0
    wakes_s: Sequence[int] = ()
    """When something may start because time has come (Foreseeing.woken), in ascending order."""


def futures(scene: Scene, horizon_s: int, wanted: Collection[int] | None = None) -> Iterator[dict[int, int]]:
    """One after the other: when each of `wanted` (else all that waits now) starts."""
    return (each for each in unfolding(scene, horizon_s, wanted) if each is not None)


def unfolding(scene: Scene, horizon_s: int, wanted: Collection[int] | None = None) -> Iterator[dict[int, int] | None]:
    """The same for whoever has something else to do: None after each pass of each future."""
    frozen = pickle.dumps(scene.engine, pickle.HIGHEST_PROTOCOL)
    running, waiting = list(scene.engine.running.values()), [place[2] for place in scene.engine.waiting.values()]
    jobs, lasts = sorted([*running, *waiting], key=lambda job: job.number), dict[int, Sequence[int]]()
    for first in range(0, len(jobs), _BLOCK):
        yield None
        lasts |= _drawn(jobs[first : first + _BLOCK], scene)
    names = frozenset(scene.engine.waiting if wanted is None else wanted)
    for index, arriving in enumerate(scene.after):
        yield None
        engine: Engine = pickle.loads(frozen)  # noqa: S301  our own bytes of a moment ago
        future = _Future(engine, scene, index, {number: each[index] for number, each in lasts.items()})
        for _ in future.passes(arriving, names, horizon_s):
            yield None
        yield future.starts


class _Future:
    """One of them, as it unfolds."""

    def __init__(self, engine: Engine, scene: Scene, index: int, lasts: dict[int, int]) -> None:
        self._engine, self._scene, self._lasts = engine, scene, lasts
        self._index = index
        self._ends = [(scene.started_s[number] + lasts[number], number) for number in engine.running]
        self.starts: dict[int, int] = {}
        self._blocks: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._kin: dict[int, NDArray[np.float64]] = {}
        heapq.heapify(self._ends)

    def passes(self, arriving: Iterator[Request], wanted: frozenset[int], horizon_s: int) -> Iterator[int]:
        """At one instant: ends, then arrivals, then one pass, as in reality. Ends when all of `wanted` have started."""
        engine, ends, now_s = self._engine, self._ends, self._scene.now_s
        until_s, starts = now_s + horizon_s, dict.fromkeys(sorted(wanted), NEVER)
        wakes = [*reversed(self._scene.wakes_s)]
        left, coming = len(wanted), next(arriving, None)
        self.starts = starts
        while True:
            for job in engine.decide(now_s):
                heapq.heappush(ends, (now_s + self._lasting(job), job.number))
                if job.number in wanted:
                    starts[job.number], left = now_s, left - 1
            yield now_s
            next_s = (ends[0][0] if ends else NEVER, coming.submitted_s if coming else NEVER)
            now_s = min(*next_s, wakes[-1] if wakes else NEVER)
            if left == 0 or now_s > until_s:
                return
            if wakes and wakes[-1] == now_s:
                wakes.pop()
                _woken(engine)
            while ends and ends[0][0] == now_s:
                engine.ended(heapq.heappop(ends)[1], now_s)
            while coming is not None and coming.submitted_s == now_s:
                engine.arrived(coming)
                coming = next(arriving, None)

    def _lasting(self, job: Request) -> int:
        known = self._lasts.get(job.number)
        if known is None:
            known = self._scene.lasting.quantiles(job, 0, self._level(job))[0]
        return known

    def _level(self, job: Request) -> NDArray[np.float64]:
        """Of one that is yet to come. Numbers come one after the other: they are mixed by the block."""
        block, within = divmod(job.number, _BLOCK)
        if block not in self._blocks:
            self._blocks[block] = self._of_this_future(np.arange(block * _BLOCK, (block + 1) * _BLOCK))
        own, chance = self._blocks[block]
        if chance[within] >= _KIN:
            return own[within : within + 1]
        if job.leaf not in self._kin:
            self._kin[job.leaf] = _levels(np.array([job.leaf]), len(self._scene.after), self._scene.seed + 1)[0]
        return self._kin[job.leaf][self._index : self._index + 1]

    def _of_this_future(self, numbers: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        futures, seed = len(self._scene.after), self._scene.seed
        return _levels(numbers, futures, seed)[:, self._index], _chances(numbers, futures, seed + 2)[:, self._index]


def _woken(engine: Engine) -> None:
    if isinstance(engine, Foreseeing):
        engine.woken()


def _drawn(jobs: Sequence[Request], scene: Scene) -> dict[int, Sequence[int]]:
    """How long each of them lasts in all, in each future."""
    levels = _levels_of(jobs, len(scene.after), scene.seed)
    ran = [scene.now_s - scene.started_s.get(job.number, scene.now_s) for job in jobs]
    drawn = (scene.lasting.quantiles(job, so_far, level) for job, so_far, level in zip(jobs, ran, levels, strict=True))
    return {job.number: each for job, each in zip(jobs, drawn, strict=True)}


def _levels_of(jobs: Sequence[Request], futures: int, seed: int) -> NDArray[np.float64]:
    """At which level the run time of each job is drawn in each future: its own, or that of its kin."""
    numbers, kin = np.array([job.number for job in jobs]), np.array([job.leaf for job in jobs])
    own, common = _levels(numbers, futures, seed), _levels(kin, futures, seed + 1)
    return np.where(_chances(numbers, futures, seed + 2) < _KIN, common, own)


def _levels(numbers: NDArray[Any], futures: int, seed: int) -> NDArray[np.float64]:
    """For each number one level of each of so many equal parts of 0 … 1, in an order of its own."""
    chances = _chances(numbers, 2 * futures, seed)
    order = np.argsort(chances[:, :futures], axis=1)
    return (order + chances[:, futures:]) / futures


def _chances(numbers: NDArray[Any], count: int, seed: int) -> NDArray[np.float64]:
    """So many numbers of 0 … 1 for each, by splitmix64 (Steele, Lea & Flood 2014): the same on every machine."""
    names: NDArray[Any] = numbers.astype(np.uint64)[:, None] * np.uint64(count) + np.arange(count, dtype=np.uint64)
    values: NDArray[Any] = (names + np.uint64(seed % (1 << 32)) * _SEEDS) * _GOLDEN
    for shift, factor in _MIXES:
        values = (values ^ (values >> np.uint64(shift))) * factor
    mixed: NDArray[Any] = values ^ (values >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) / (1 << 53)


def at_level(starts_s: Sequence[int], level: float) -> int | None:
    """The time by which it has started in so large a part of the futures; None: not within the horizon.

    The k-th of n with k = ⌈level·(n + 1)⌉: the n + 1st, the real one, is then no later with a chance of `level` at
    least, if it is one of them.
    """
    ordered = sorted(starts_s)
    rank = min(len(ordered), math.ceil(level * (len(ordered) + 1)))
    found = ordered[rank - 1]
    return None if found == NEVER else found


def positions(jobs: Sequence[Request], seen: Sequence[Mapping[int, int]]) -> dict[int, int]:
    """Rank of starting of each, for each machine, 1 is next: by the mean rank over the futures, then by age."""
    ranks: Counter[int] = Counter()
    for future in seen:
        for rank, (_, number) in enumerate(sorted((future[job.number], job.number) for job in jobs)):
            ranks[number] += rank
    found, last = {}, Counter[int]()
    for job in sorted(jobs, key=lambda job: (ranks[job.number], job.submitted_s, job.number)):
        last[job.machine] += 1
        found[job.number] = last[job.machine]
    return found
