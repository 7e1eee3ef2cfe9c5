"""Fair Tree: level by level, the sibling with the least decayed use for its weight comes first. Pure.

As Slurm's priority/multifactor does (Cox & Morrison 2014), with EASY backfill: the peer that we are measured against.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.orders.order import Least, Order, Turn
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_FINE = 1 << 20
_SLACK = 1e-12
_FAR_BITS = 64


class FairTree(Order):
    """A line per leaf, in the order of submission; its turn: use ÷ weight of each level of its path."""

    def __init__(self, tree: Tree, reservations: int = 1, *, spare: int = 0) -> None:
        self.reservations = reservations
        self._tree = tree
        self._now_s = 0
        self.lines, self.groups = len(tree.paths) + spare, len(tree.tops) + spare
        self._top_of = {top: index for index, top in enumerate(tree.tops)}
        self._weights = np.array([tree.weights[top] for top in tree.tops] + [1] * spare, dtype=float)
        self._held = np.zeros(self.groups)
        self._past = np.zeros(self.groups)
        self._scale = tree.worth(0)
        """Of `_past`, which is the part of the use that does not grow by itself."""

    def grown(self, node: int) -> bool:
        path = self._tree.paths[node]
        if node >= self.lines or (len(path) == 1 and len(self._top_of) == self.groups):
            return False
        if len(path) == 1:
            self._weights[len(self._top_of)] = self._tree.weights[node]
            self._top_of[node] = len(self._top_of)
        return True

    def supposed(self, leaf: int) -> None:
        self._note(self._tree.paths[leaf][0])

    def line(self, job: Request) -> int:
        return job.leaf

    def lines_of(self, jobs: Backlog) -> NDArray[np.int64]:
        return jobs.leaf

    def group(self, line: int) -> int:
        return self._top_of[self._tree.paths[line][0]]

    def tick(self, now_s: int) -> None:
        self._now_s = now_s
        present = self._tree.worth(now_s)
        if present >> _FAR_BITS > self._scale:
            self._scale = present
            for top in self._tree.tops:
                self._note(top)

    def turn(self, line: int) -> Turn:
        tree, now_s = self._tree, self._now_s
        return tuple(
            _FINE * tree.used(node, now_s) // tree.weights[node] if tree.weights[node] else -_FINE
            for node in tree.paths[line]
        )

    def least(self) -> Least:
        present = self._tree.worth(self._now_s)
        past = self._past * (self._scale / present)
        slack = _SLACK * (np.abs(past) + self._held)
        return (past + self._held - slack) / self._weights - _SLACK, _FINE * present

    def started(self, job: Request, now_s: int) -> None:
        del now_s
        self._note(self._tree.paths[job.leaf][0])

    def ended(self, job: Request, now_s: int) -> None:
        del now_s
        self._note(self._tree.paths[job.leaf][0])

    def returned(self, job: Request, now_s: int) -> None:
        del now_s
        self._note(self._tree.paths[job.leaf][0])

    def _note(self, top: int) -> None:
        self._held[self._top_of[top]] = self._tree.held[top]
        self._past[self._top_of[top]] = self._tree.past(top) / self._scale
