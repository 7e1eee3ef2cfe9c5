"""Kyoyo's policy: who holds least for their weight comes first, mildly corrected by the past. Pure."""

from __future__ import annotations

import math

from scheduler.core.orders.order import Order, Turn
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_PAST, _PRESENT = 1, 9
_FINE = 1 << 64


class Kyoyo(Order):
    """Turn of a node: (0.9 × what it holds + 0.1 × the decayed mean of what it held) ÷ its weight."""

    def __init__(self, tree: Tree, capacity: int, reservations: int = 1) -> None:
        del capacity
        self.reservations = reservations
        self._tree = tree
        common = math.lcm(*tree.weights)
        scale = min(_FINE, common)
        self._per_weight = [scale // weight for weight in tree.weights]
        self._now_s = 0

    def line(self, job: Request) -> int:
        return job.leaf

    def rank(self, job: Request) -> int:
        return job.submitted_s + job.limit_s

    def begin(self, machine: int, now_s: int) -> None:
        del machine
        self._now_s = now_s

    def turn(self, line: int) -> Turn:
        tree, now_s, per_weight = self._tree, self._now_s, self._per_weight
        present = _PRESENT * tree.worth(now_s)
        return tuple(
            (present * tree.held[node] + _PAST * tree.used(node, now_s)) * per_weight[node] for node in tree.paths[line]
        )
