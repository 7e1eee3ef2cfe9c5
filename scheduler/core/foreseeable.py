"""What is known of the time ahead besides who waits: when machines are away, how much an organisation may run. Pure.

For forecasts: a gate of the engine that is copied with it, told of the time as that goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.core.engine import Engine, Machine, Ran
from scheduler.core.openings import Openings
from scheduler.core.orders.order import Order
from scheduler.core.pool import FOREVER
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_NONE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """In seconds of the engine; organisations by their nodes of the tree.

    windows: of each machine, when it takes no work. walls: when nothing of anybody may still run; ends: of one
    organisation. most_jobs: so many of it may run at a time; closed: it may start nothing.
    """

    windows: Sequence[Sequence[tuple[int, int]]] = ()
    walls: Sequence[int] = ()
    ends: Mapping[int, int] = field(default_factory=dict)
    most_jobs: Mapping[int, int] = field(default_factory=dict)
    closed: frozenset[int] = frozenset()

    def wakes(self, now_s: int) -> list[int]:
        """When something may start because time has come, from now on."""
        return sorted({until_s for of_machine in self.windows for _, until_s in of_machine if until_s > now_s})


class Bounds:
    """The gate."""

    def __init__(self, tree: Tree, ahead: Ahead, machines: int) -> None:
        self._tree, self._ahead = tree, ahead
        self._openings = [Openings() for _ in range(machines)]
        for openings, windows in zip(self._openings, ahead.windows, strict=False):
            openings.windows(windows)
        for openings in self._openings:
            openings.walls(ahead.walls)
        self._running: Counter[int] = Counter()
        self._now_s = 0

    def at(self, now_s: int) -> None:
        """Time has come to decide."""
        self._now_s = now_s

    def longest(self, line: int, machine: int, shape: int) -> int:
        del shape
        top, ahead, now_s = self._top(line), self._ahead, self._now_s
        if top in ahead.closed or self._running[top] >= ahead.most_jobs.get(top, FOREVER):
            return _NONE
        openings = self._openings[machine]
        return min(openings.before_window(now_s), openings.before_wall(now_s), ahead.ends.get(top, FOREVER) - now_s)

    def allows(self, job: Request) -> bool:
        del job
        return True

    def started(self, job: Request) -> None:
        self._running[self._top(job.leaf)] += 1

    def ended(self, job: Request) -> None:
        self._running[self._top(job.leaf)] -= 1

    def is_bound(self, job: Request) -> bool:
        """Whether its end lets others of its organisation start, also elsewhere."""
        top = self._top(job.leaf)
        return self._running[top] >= self._ahead.most_jobs.get(top, FOREVER)

    def _top(self, leaf: int) -> int:
        return self._tree.paths[leaf][0]


class Foreseeing(Engine):
    """An engine within such bounds."""

    def __init__(self, order: Order, tree: Tree, machines: Sequence[Machine], bounds: Bounds) -> None:
        super().__init__(order, tree, machines, bounds)
        self._bounds, self._count = bounds, len(machines)

    def decide(self, now_s: int, most: int = FOREVER) -> list[Request]:
        self._bounds.at(now_s)
        return super().decide(now_s, most)

    def ended(self, number: int, now_s: int, ran: Ran | None = None) -> None:
        job = self.running[number]
        is_bound = self._bounds.is_bound(job)
        super().ended(number, now_s, ran)
        if is_bound:
            self.woken()

    def woken(self) -> None:
        """Time has come at which something may start that might not before."""
        for machine in range(self._count):
            self.changed(machine)
