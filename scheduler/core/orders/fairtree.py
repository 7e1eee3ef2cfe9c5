"""Fair Tree: level by level, the sibling with the least decayed use for its weight comes first. Pure.

As Slurm's priority/multifactor does (Cox & Morrison 2014), with EASY backfill: the peer that we are measured against.
"""

from __future__ import annotations

from scheduler.core.orders.order import Order, Turn
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_FINE = 1 << 20


class FairTree(Order):
    """A line per leaf, in the order of submission; its turn: use ÷ weight of each level of its path."""

    def __init__(self, tree: Tree, reservations: int = 1) -> None:
        self.reservations = reservations
        self._tree = tree
        self._now_s = 0

    def line(self, job: Request) -> int:
        return job.leaf

    def tick(self, now_s: int) -> None:
        self._now_s = now_s

    def turn(self, line: int) -> Turn:
        tree, now_s = self._tree, self._now_s
        return tuple(_FINE * tree.used(node, now_s) // tree.weights[node] for node in tree.paths[line])
