"""Kyoyo's policy: who lacks most of what they are entitled to comes first, and nobody waits much longer than in a FIFO.

The README of scheduler/core gives the formulas and what they guarantee. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from scheduler.core.orders.elders import Elders
from scheduler.core.orders.entitlement import Debts, entitlements
from scheduler.core.orders.order import Ahead, Order, Turn
from scheduler.core.orders.yardstick import Yardstick
from scheduler.core.pool import Room
from scheduler.core.request import Request
from scheduler.core.tree import Tree

_MICRO: Final = 1000
"""Of a milli-NU."""
_ALPHA: Final = (13, 10)
"""A job is due when it has waited so many times the longest wait of the yardstick."""
_AHEAD: Final = 4
_DUE_AT_ONCE: Final = _AHEAD + 50
"""So many due jobs are looked at in one pass."""
_KAPPA: Final = 5
_WIDE: Final = 5
"""A gang of more than one in so many units of its machine, and of more than one, is wide."""
_DEBT_HALF_LIFE_S: Final = 86_400
_FINE: Final = 1 << 64


class Kyoyo(Order):
    """sizes: (units, rate) of each machine. floor_s: nobody is due earlier, however short the queue has been."""

    def __init__(self, tree: Tree, sizes: Sequence[tuple[int, int]], *, floor_s: int = 3600) -> None:
        self.reservations = 1
        self.reservations_ahead = _AHEAD
        self._tree = tree
        self._floor_s = floor_s
        self._sizes = [(units, rate * _MICRO) for units, rate in sizes]
        self._capacity = sum(units * rate for units, rate in self._sizes)
        self._top_of = {top: index for index, top in enumerate(tree.tops)}
        self._weights = [tree.weights[top] for top in tree.tops]
        self._asked = [[0] * len(tree.tops) for _ in sizes]
        self._entitled = [0] * len(tree.tops)
        self._debts = Debts(len(tree.tops), _DEBT_HALF_LIFE_S)
        self._elders = [Elders(max(1, units // _WIDE)) for units, _ in sizes]
        self._yardsticks = [Yardstick(units) for units, _ in sizes]
        self._due_s = [-1 for _ in sizes]
        """What was submitted until then is due. It never falls: once due, always due."""
        self._per_weight = [min(math.lcm(*tree.weights), _FINE) // weight for weight in tree.weights]
        self._now_s = 0

    def line(self, job: Request) -> int:
        return job.leaf

    def rank(self, job: Request) -> int:
        return job.submitted_s + _KAPPA * job.limit_s

    def turn(self, line: int) -> Turn:
        top, *below = self._tree.paths[line]
        tree, present = self._tree, self._tree.worth(self._now_s)
        return (
            self._lead(self._top_of[top]),
            *((present * tree.held[node] + tree.used(node, self._now_s)) * self._per_weight[node] for node in below),
        )

    def ahead(self, machine: int, room: Room) -> Iterator[Ahead]:
        for job in self._elders[machine].until(self._due_s[machine], _DUE_AT_ONCE):
            yield Ahead(job, keeps=True)
        for job in self._elders[machine].wide():
            if room.free * _WIDE <= room.total:
                return
            if self._lead(self._top_of[self._tree.paths[job.leaf][0]]) <= 0:
                yield Ahead(job, keeps=False)

    def is_due(self, job: Request) -> bool:
        """Whether it has waited so long that it goes before the order."""
        return job.submitted_s <= self._due_s[job.machine]

    def _lead(self, top: int) -> int:
        """x·|x| ÷ entitlement, with x what it holds beyond its entitlement, now and lately."""
        entitled = self._entitled[top]
        beyond = self._tree.held[self._tree.tops[top]] * _MICRO - entitled + self._debts.of[top]
        square = _FINE * beyond * beyond // max(1, entitled)
        return square if beyond > 0 else -square

    def tick(self, now_s: int) -> None:
        self._now_s = now_s
        self._debts.gone_by(now_s)
        self._entitle()
        numerator, denominator = _ALPHA
        for machine, yardstick in enumerate(self._yardsticks):
            if self._elders[machine]:
                yardstick.advance(now_s)
                age_s = max(self._floor_s, yardstick.longest_s * numerator // denominator)
                self._due_s[machine] = max(self._due_s[machine], now_s - age_s)

    def settled(self) -> None:
        self._debts.from_now(
            [
                self._tree.held[top] * _MICRO - entitled
                for top, entitled in zip(self._tree.tops, self._entitled, strict=True)
            ]
        )

    def _entitle(self) -> None:
        """Nobody asks for more of a machine than there is of it. A start does not change what is asked for."""
        demands = [0] * len(self._weights)
        for (units, rate), asked in zip(self._sizes, self._asked, strict=True):
            for index, each in enumerate(asked):
                demands[index] += min(each, units) * rate
        self._entitled = entitlements(self._weights, demands, self._capacity)

    def _ask(self, job: Request, units: int) -> None:
        self._asked[job.machine][self._top_of[self._tree.paths[job.leaf][0]]] += units

    def arrived(self, job: Request) -> None:
        self._ask(job, job.units)
        self._elders[job.machine].add(job)
        self._yardsticks[job.machine].arrived(job)

    def left(self, job: Request) -> None:
        self._ask(job, -job.units)
        self._elders[job.machine].remove(job)
        self._yardsticks[job.machine].left(job)

    def started(self, job: Request, now_s: int) -> None:
        self._elders[job.machine].remove(job)
        self._yardsticks[job.machine].started(job, now_s)

    def ended(self, job: Request, now_s: int) -> None:
        self._ask(job, -job.units)
        self._yardsticks[job.machine].ended(job, now_s)
