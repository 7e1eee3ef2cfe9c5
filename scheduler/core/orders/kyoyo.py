"""Kyoyo's policy: who holds least of their present share comes first, mildly corrected by the past. Pure."""

from __future__ import annotations

from scheduler.core.orders.order import Order, Turn
from scheduler.core.request import Request
from scheduler.core.tree import Tree
from scheduler.core.water import Level, water_level

_FINE = 1 << 40


class Kyoyo(Order):
    """Turn of an organisation: what it holds ÷ its water-filling share."""

    def __init__(self, tree: Tree, capacity: int, reservations: int = 1) -> None:
        self.reservations = reservations
        self._tree = tree
        self._capacity = capacity
        self._level: Level = (1, 0)
        self._now_s = 0

    def line(self, job: Request) -> int:
        return job.leaf

    def begin(self, machine: int, now_s: int) -> None:
        del machine
        self._now_s = now_s
        tree = self._tree
        self._level = water_level(
            [(tree.weights[node], tree.held[node] + tree.asked[node]) for node in tree.tops], self._capacity
        )

    def turn(self, line: int) -> Turn:
        tree = self._tree
        top, *below = tree.paths[line]
        held = tree.held[top]
        demand, claim = held + tree.asked[top], tree.weights[top] * self._level[0]
        limited = claim < demand * self._level[1]
        turn = _FINE * held * self._level[1] // claim if limited else _FINE * held // max(1, demand)
        return (turn, *(tree.held[node] * _FINE // tree.weights[node] for node in below))
