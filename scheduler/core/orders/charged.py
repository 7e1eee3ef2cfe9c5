"""Level by level, the sibling with the least use for its weight, where whoever starts is charged its whole limit. Pure.

That is the order of `plan()` (core/fairshare.py) for an engine: what runs counts at full size at once, so that those
with equal claims take turns; what it did not use is given back when it ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scheduler.core.orders.order import Order, Turn
from scheduler.core.request import Request
from scheduler.core.tree import Tree


class Charged(Order):
    """A line per leaf, by age. used: of each node, in milli-NU-seconds, with what runs at full size.

    rates: of each machine. It does not decay, so it looks ahead some days, no more.
    """

    reservations = 1

    def __init__(self, tree: Tree, used: Mapping[int, int], rates: Sequence[int]) -> None:
        self._tree, self._rates = tree, rates
        self._used = [used.get(node, 0) for node in range(len(tree.paths))]
        self._since: dict[int, int] = {}
        common = math.lcm(*(max(1, weight) for weight in tree.weights))
        self._per_weight = [common // max(1, weight) for weight in tree.weights]
        self._groups = {top: index for index, top in enumerate(tree.tops)}
        self.lines, self.groups = len(tree.paths), len(tree.tops)

    def line(self, job: Request) -> int:
        return job.leaf

    def group(self, line: int) -> int:
        return self._groups[self._tree.paths[line][0]]

    def turn(self, line: int) -> Turn:
        return tuple(self._used[node] * self._per_weight[node] for node in self._tree.paths[line])

    def charged_before(self, job: Request, since_s: int) -> None:
        """It is in `used`; the engine is told next that it runs."""
        self._since[job.number] = since_s

    def started(self, job: Request, now_s: int) -> None:
        if job.number not in self._since:
            self._since[job.number] = now_s
            self._charge(job, job.limit_s)

    def ended(self, job: Request, now_s: int) -> None:
        self._charge(job, now_s - self._since.pop(job.number) - job.limit_s)

    def _charge(self, job: Request, for_s: int) -> None:
        for node in self._tree.paths[job.leaf]:
            self._used[node] += job.units * self._rates[job.machine] * for_s
