"""Kyoyo's policy: who lacks most of what they are entitled to comes first, and nobody waits much longer than in a FIFO.

The README of scheduler/core gives the formulas and what they guarantee. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.columns import Columns
from scheduler.core.orders.ageing import by_age
from scheduler.core.orders.elders import Elders
from scheduler.core.orders.entitlement import Debts, Entitlements, Whole, whole_type
from scheduler.core.orders.order import Ahead, Least, Order, Turn
from scheduler.core.orders.promised import Promised
from scheduler.core.orders.yardstick import Yardstick
from scheduler.core.pool import Room
from scheduler.core.request import PROMISED, STANDARD, Request
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
_SLACK: Final = 1e-12
"""What floating point gets wrong at most, as a part of the number, and a good deal more."""


class Kyoyo(Order):
    """sizes: (units, rate) of each machine. floor_s: nobody is due earlier, however short the queue has been.

    spare: so many nodes may be added to the tree before this must be built anew. singles: so many units of each
    machine are one piece of it (a GPU), which is never a gang; None: 1.
    """

    def __init__(
        self,
        tree: Tree,
        sizes: Sequence[tuple[int, int]],
        *,
        floor_s: int = 3600,
        spare: int = 0,
        singles: Sequence[int] | None = None,
    ) -> None:
        self.reservations = 1
        self.reservations_ahead = _AHEAD
        self._tree = tree
        self._floor_s = floor_s
        self._sizes = [(units, rate * _MICRO) for units, rate in sizes]
        self._capacity = sum(units * rate for units, rate in self._sizes)
        self._top_of = {top: index for index, top in enumerate(tree.tops)}
        self.lines, self.groups = len(tree.paths) + spare, len(tree.tops) + spare
        self._asked = [[0] * self.groups for _ in sizes]
        self._entitle([tree.weights[top] for top in tree.tops] + [1] * spare)
        pieces = singles or [1] * len(sizes)
        self._elders = [Elders(max(one, units // _WIDE)) for (units, _), one in zip(sizes, pieces, strict=True)]
        self._yardsticks = [Yardstick(units) for units, _ in sizes]
        self._promised = [Promised() for _ in sizes]
        self._due_s = [-1 for _ in sizes]
        """What was submitted until then is due. It never falls: once due, always due."""
        self._common = min(math.lcm(*(weight for weight in tree.weights if weight)), _FINE)
        self._per_weight = [self._common // weight if weight else 0 for weight in tree.weights]
        self._now_s = 0

    def _entitle(self, weights: list[int]) -> None:
        whole = whole_type(self._capacity, sum(weights))
        self._entitlements = Entitlements(weights, self._capacity)
        self._debts = Debts(self.groups, _DEBT_HALF_LIFE_S, self._capacity)
        self._demands: Whole = np.zeros(self.groups, dtype=whole)
        self._held: Whole = np.zeros(self.groups, dtype=whole)
        self._entitled: Whole = np.zeros(self.groups, dtype=whole)
        self._have_asked = False
        """Whether the demands are others than when entitlements were last found."""

    def grown(self, node: int) -> bool:
        path, weight = self._tree.paths[node], self._tree.weights[node]
        is_top, tops = len(path) == 1, len(self._top_of)
        if node >= self.lines or (is_top and tops == self.groups) or (weight and self._common % weight):
            return False
        if is_top and not self._entitlements.weigh(tops, weight):
            return False
        if is_top:
            self._top_of[node] = tops
        self._per_weight.append(self._common // weight if weight else 0)
        return True

    def supposed(self, leaf: int) -> None:
        self._hold_of(leaf)

    @contextmanager
    def instead(self, away: Request | None, job: Request) -> Iterator[None]:
        entitled, have_asked = self._entitled, self._have_asked
        asks = [(job, job.units), *([] if away is None else [(away, -away.units)])]
        for each, units in asks:
            self._ask(each.machine, each.leaf, units)
        if self._have_asked:
            self._entitled = self._entitlements.of(self._demands)
        try:
            yield
        finally:
            for each, units in asks:
                self._ask(each.machine, each.leaf, -units)
            self._entitled, self._have_asked = entitled, have_asked

    def line(self, job: Request) -> int:
        return job.leaf

    def lines_of(self, jobs: Backlog) -> NDArray[np.int64]:
        return jobs.leaf

    def group(self, line: int) -> int:
        return self._top_of[self._tree.paths[line][0]]

    def rank(self, job: Request) -> int:
        return job.submitted_s + _KAPPA * job.limit_s

    def ranks(self, jobs: Columns) -> NDArray[np.int64]:
        ranks: NDArray[np.int64] = jobs.submitted_s + _KAPPA * jobs.limit_s
        return ranks

    def turn(self, line: int) -> Turn:
        top, *below = self._tree.paths[line]
        tree, present = self._tree, self._tree.worth(self._now_s)
        return (
            self._lead(self._top_of[top]),
            *((present * tree.held[node] + tree.used(node, self._now_s)) * self._per_weight[node] for node in below),
        )

    def ahead(self, machine: int, room: Room) -> Iterator[Ahead]:
        promised = self._promised[machine]
        for job in promised:
            yield Ahead(job, keeps=True)
        for job in self._elders[machine].until(self._due_s[machine], _DUE_AT_ONCE):
            if job.number not in promised:
                yield Ahead(job, keeps=True)
        if room.free * _WIDE > room.total:
            yield from self._wide(machine, room)

    def _wide(self, machine: int, room: Room) -> Iterator[Ahead]:
        """Wide gangs while more than one in so many units is free.

        One that cannot start now keeps nothing: it is not even told, for there may be thousands of them.
        """
        for job in self._elders[machine].wide():
            free = room.free
            if free * _WIDE <= room.total:
                return
            if job.units <= free and job.tier > PROMISED and self._lead(self.group(job.leaf)) <= 0:
                yield Ahead(job, keeps=False)

    def least(self) -> Least:
        beyond = (self._held - self._entitled + self._debts.of).astype(float)
        entitled = np.maximum(self._entitled, 1).astype(float)
        lead = float(_FINE) * beyond * np.abs(beyond) / entitled
        return lead - _SLACK * np.abs(lead) - 2, 1

    def began(self, now_s: int) -> None:
        """Nothing is known of the time before."""
        self._debts.began(now_s)

    def owes(self, top: int, debt: int) -> None:
        """It has held so much beyond its entitlement lately, in micro-NU per hour: as known from before."""
        self._debts.of[self._top_of[top]] = max(-self._capacity, min(self._capacity, debt))

    def knows(self, top: int) -> bool:
        """Whether there was room for it."""
        return top in self._top_of

    def debt(self, top: int) -> int:
        """What `owes` would have to be told."""
        return int(self._debts.of[self._top_of[top]])

    def lived(self, machine: int, jobs: Iterable[tuple[Request, int, int]]) -> None:
        """What ran there and ended, before anything is told: with its start, and how long it ran."""
        self._yardsticks[machine].lived(jobs)

    def remembers(self, machine: int, before: Kyoyo, its: int) -> None:
        """Who is due, and what the yardstick has seen, of a machine that was another's `its`, by the same clock."""
        self._due_s[machine] = before._due_s[its]
        self._yardsticks[machine].remembers(before._yardsticks[its])

    def spread(self) -> tuple[int, int, int]:
        """Held in all, what there is, and the furthest that anybody is from its entitlement: in micro-NU per hour."""
        gaps = np.abs(self._held - self._entitled)
        return int(self._held.sum()), self._capacity, int(gaps.max(initial=0))

    def is_due(self, job: Request) -> bool:
        """Whether it has waited so long that it goes before the order."""
        return job.submitted_s <= self._due_s[job.machine]

    def _lead(self, top: int) -> int:
        """x·|x| ÷ entitlement, with x what it holds beyond its entitlement, now and lately."""
        entitled = int(self._entitled[top])
        beyond = int(self._held[top]) - entitled + int(self._debts.of[top])
        square = _FINE * beyond * beyond // max(1, entitled)
        return square if beyond > 0 else -square

    def tick(self, now_s: int) -> None:
        self._now_s = now_s
        self._debts.gone_by(now_s)
        if self._have_asked:
            self._entitled, self._have_asked = self._entitlements.of(self._demands), False
        numerator, denominator = _ALPHA
        for machine, yardstick in enumerate(self._yardsticks):
            if self._elders[machine]:
                yardstick.advance(now_s)
                for since_s, least_s, most_s in yardstick.recalled():
                    # once due, always due: while its wait grew, most were due when 1.3 times it passed the floor
                    wait_s = min(max(least_s, ((self._floor_s + 1) * denominator - 1) // numerator), most_s)
                    self._due(machine, since_s + wait_s, wait_s)
                self._due(machine, now_s, yardstick.longest_s)

    def _due(self, machine: int, at_s: int, longest_s: int) -> None:
        """By the longest wait of the yardstick at that time."""
        numerator, denominator = _ALPHA
        age_s = max(self._floor_s, longest_s * numerator // denominator)
        self._due_s[machine] = max(self._due_s[machine], at_s - age_s)

    def settled(self) -> None:
        self._debts.from_now(self._held - self._entitled)

    def _ask(self, machine: int, leaf: int, more: int) -> None:
        """Nobody asks for more of a machine than there is of it. A start does not change what is asked for."""
        units, rate = self._sizes[machine]
        asked, group = self._asked[machine], self.group(leaf)
        before = min(asked[group], units)
        asked[group] += more
        if (change := min(asked[group], units) - before) != 0:
            self._demands[group] += change * rate
            self._have_asked = True

    def _hold(self, job: Request) -> None:
        self._hold_of(job.leaf)

    def _hold_of(self, leaf: int) -> None:
        top = self._tree.paths[leaf][0]
        self._held[self._top_of[top]] = self._tree.held[top] * _MICRO

    def arrived(self, job: Request) -> None:
        self._ask(job.machine, job.leaf, job.units)
        self._promise(job)
        if _ages(job):
            self._elders[job.machine].add(job)
            self._yardsticks[job.machine].arrived(job)

    def loaded(self, jobs: Backlog) -> None:
        units = np.zeros(self.lines, dtype=np.int64)
        np.add.at(units, jobs.leaf, jobs.units)
        for leaf in np.flatnonzero(units).tolist():
            self._ask(jobs.machine, leaf, units.item(leaf))
        self._promised[jobs.machine].load(jobs.requests(np.flatnonzero(jobs.tier <= PROMISED)))
        rows = by_age(jobs)
        self._elders[jobs.machine].load(jobs, rows)
        self._yardsticks[jobs.machine].load(jobs, rows)

    def left(self, job: Request) -> None:
        self._ask(job.machine, job.leaf, -job.units)
        self._promised[job.machine].drop(job.number)
        if _ages(job):
            self._elders[job.machine].remove(job)
            self._yardsticks[job.machine].left(job)

    def started(self, job: Request, now_s: int) -> None:
        self._hold(job)
        self._promised[job.machine].drop(job.number)
        if _ages(job):
            self._elders[job.machine].remove(job)
            self._yardsticks[job.machine].started(job, now_s)

    def returned(self, job: Request, now_s: int) -> None:
        del now_s
        self._hold(job)
        self._promise(job)
        if _ages(job):
            self._elders[job.machine].add(job)
            self._yardsticks[job.machine].returned(job)

    def _promise(self, job: Request) -> None:
        if job.tier <= PROMISED:
            self._promised[job.machine].add(job)

    def ended(self, job: Request, now_s: int) -> None:
        self._ask(job.machine, job.leaf, -job.units)
        self._hold(job)
        if _ages(job):
            self._yardsticks[job.machine].ended(job, now_s)


def _ages(job: Request) -> bool:
    """Spare work waits for all other, however long: it has no right to be due."""
    return job.tier <= STANDARD
