"""A workload through the production engine on a simulated clock. At one instant: ends, then arrivals, then one pass."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.core.engine import Engine, Machine
from scheduler.core.nodes import Nodes
from scheduler.core.pool import Pool, Room
from scheduler.core.request import Request
from scheduler.core.tree import Tree
from scheduler.simulate.policies import order_of, suited
from scheduler.simulate.workload import Place, Setting, Workload

_NEVER = 1 << 62
_STEP = 1000
Progress = Callable[[int], None]
"""Told, now and then, how many jobs have ended."""


class Watch(Protocol):
    """Somebody who looks on: told of each instant after its pass, with what ended and what started at it."""

    def __call__(self, now_s: int, engine: Engine, ended: Sequence[Request], starts: Sequence[Request]) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each request, by number."""

    workload: Workload
    setting: Setting
    starts: Sequence[int]

    @property
    def ends(self) -> list[int]:
        return [start + duration for start, duration in zip(self.starts, self.workload.durations, strict=True)]


def replay(
    workload: Workload, setting: Setting, progress: Progress = lambda _ended: None, watch: Watch | None = None
) -> Outcome:
    """Every request runs for its duration from when the policy starts it."""
    suit = suited(workload, setting.policy)
    engine = engine_of(suit, setting)
    requests, durations = suit.requests, suit.durations
    starts, ends = [_NEVER] * len(requests), list[tuple[int, int]]()
    arrived = ended = 0
    while arrived < len(requests) or ends:
        now_s = min(
            requests[arrived].submitted_s if arrived < len(requests) else _NEVER, ends[0][0] if ends else _NEVER
        )
        over: list[Request] = []
        while ends and ends[0][0] == now_s:
            number = heapq.heappop(ends)[1]
            over.append(requests[number])
            engine.ended(number, now_s)
            ended += 1
            if ended % _STEP == 0:
                progress(ended)
        while arrived < len(requests) and requests[arrived].submitted_s == now_s:
            engine.arrived(requests[arrived])
            arrived += 1
        started = engine.decide(now_s)
        for job in started:
            starts[job.number] = now_s
            heapq.heappush(ends, (now_s + durations[job.number], job.number))
        if watch is not None:
            watch(now_s, engine, over, started)
    progress(ended)
    return Outcome(suit, setting, starts)


def engine_of(workload: Workload, setting: Setting) -> Engine:
    """The engine with nothing in it yet. ExperimentRefused: no such policy."""
    tree = Tree(workload.nodes, half_life_s=setting.half_life_s)
    order = order_of(setting.policy, tree, [(place.units, place.rate) for place in workload.places])
    return Engine(order, tree, [Machine(_room(place), place.rate) for place in workload.places])


def _room(place: Place) -> Room:
    return Nodes(place.units // place.nodes_of, place.nodes_of) if place.nodes_of else Pool(place.units)
