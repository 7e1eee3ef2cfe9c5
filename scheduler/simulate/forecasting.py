"""Predictions asked for while a workload is replayed, and kept to be compared with what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.core.arrivals import Arrivals
from scheduler.core.engine import Engine
from scheduler.core.forecast import Scene, futures
from scheduler.core.request import Request
from scheduler.core.runtimes import Floats, Lasting, RunTimes
from scheduler.simulate.workload import DAY_S, Workload

_OTHERS: Final = 15
"""So many jobs that wait already are asked about besides those just submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How often is asked, and how far and how often is run ahead.

    every_s: at the first submission after so long that must wait. warm_up_s: before this little is known yet.
    """

    every_s: int = 6 * 3600
    warm_up_s: int = 7 * DAY_S
    horizon_s: int = 7 * DAY_S
    futures: int = 20
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one job at one moment: when it starts in each future."""

    number: int
    asked_s: int
    is_new: bool
    """It was submitted at that very moment."""
    starts_s: Sequence[int]
    """In seconds since the first submission, as all times of a workload."""


@dataclass(slots=True)
class Heard:
    """By each way of predicting."""

    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    instants: int = 0


class Limits:
    """What a queue tells that knows no run times: all take their limits."""

    def quantiles(self, job: Request, has_run_s: int, levels: Floats) -> Sequence[int]:
        """As Lasting says."""
        return [max(job.limit_s, has_run_s + 1)] * len(levels)


class Watching:
    """Learns from what it sees, and asks now and then."""

    def __init__(self, workload: Workload, asking: Asking) -> None:
        paths = _paths(workload)
        self._asking = asking
        self._learnt = RunTimes(paths)
        self._arrivals = Arrivals()
        self._started: dict[int, int] = {}
        self._next_s = asking.warm_up_s
        self._requests = workload.requests
        self._told = 0
        self.heard = Heard()

    def __call__(self, now_s: int, engine: Engine, ended: Sequence[Request], starts: Sequence[Request]) -> None:
        for job in ended:
            self._learnt.learn(job, now_s - self._started.pop(job.number))
        self._started.update((job.number, now_s) for job in starts)
        new = []
        while self._told < len(self._requests) and self._requests[self._told].submitted_s <= now_s:
            new.append(self._requests[self._told].number)
            self._arrivals.arrived(self._requests[self._told])
            self._told += 1
        fresh = [number for number in new if number in engine.waiting]
        if fresh and now_s >= self._next_s:
            self._next_s = now_s + self._asking.every_s
            self._ask(now_s, engine, fresh)

    def _ask(self, now_s: int, engine: Engine, fresh: Sequence[int]) -> None:
        others = sorted(engine.waiting.keys() - set(fresh))
        wanted = {*fresh[:5], *others[:: max(1, len(others) // _OTHERS)]}
        asking, limits = self._asking, Limits()
        ways: list[tuple[str, Lasting, Sequence[Iterator[Request]]]] = [
            ("forecast", self._learnt, self._arrivals.futures(now_s, asking.futures)),
            ("no_arrivals", self._learnt, [iter(()) for _ in range(asking.futures)]),
            ("limits", limits, [iter(())]),
        ]
        for name, lasting, after in ways:
            scene = Scene(
                engine=engine, now_s=now_s, started_s=self._started, lasting=lasting, after=after, seed=asking.seed
            )
            seen = list(futures(scene, asking.horizon_s, wanted))
            self.heard.predictions.setdefault(name, []).extend(
                Prediction(number, now_s, number in fresh, [future[number] for future in seen])
                for number in sorted(wanted)
            )
        self.heard.instants += 1


def _paths(workload: Workload) -> list[tuple[int, ...]]:
    paths: list[tuple[int, ...]] = []
    for index, node in enumerate(workload.nodes):
        paths.append((*(paths[node.parent] if node.parent is not None else ()), index))
    return paths
