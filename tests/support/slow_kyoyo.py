"""Kyoyo's policy once more, from the history of all that happened. Only the yardstick is shared with the real one."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from fractions import Fraction

from scheduler.core.growth import Growth
from scheduler.core.orders.yardstick import Yardstick
from scheduler.core.request import Request
from tests.support.slow_engine import SlowEngine

MICRO = 1_000_000
DAY_S = 86_400


class SlowKyoyo(SlowEngine):
    """A machine of GPUs. leaves: of each organisation. below: what follows its lead in a turn."""

    def __init__(
        self,
        total: int,
        weights: Sequence[int],
        leaves: Sequence[Container[int]] | None = None,
        below: Callable[[SlowEngine, int], tuple[object, ...]] = lambda _slow, _leaf: (),
    ) -> None:
        self._leaves = leaves or [(org,) for org in range(len(weights))]
        super().__init__(total, 1, lambda slow, leaf: (self._lead(self._of(leaf)), *below(slow, leaf)))
        self.rank = lambda job: job.submitted_s + 5 * job.limit_s
        self._weights = weights
        self._yardstick = Yardstick(total)
        self._past: list[tuple[int, list[int]]] = [(0, [0] * len(weights))]
        self._due: set[int] = set()
        self._growth = Growth(DAY_S)

    def _of(self, leaf: int) -> int:
        return next(org for org, leaves in enumerate(self._leaves) if leaf in leaves)

    def arrived(self, job: Request) -> None:
        self.waiting.append(job)
        self._yardstick.arrived(job)

    def ended(self, number: int, now_s: int) -> None:
        job = next(run.job for run in self.running if run.job.number == number)
        super().ended(number, now_s)
        self._yardstick.ended(job, now_s)

    def decide(self, now_s: int) -> list[Request]:
        self.now_s, self.kept = now_s, []
        if self.waiting:
            self._yardstick.advance(now_s)
            self._due |= {job.number for job in self.waiting if self._is_due(job)}
        ahead = self._before_the_order() if self._smallest_fits() else []
        starts = ahead + (self.in_order() if self._smallest_fits() else [])
        self._past.append(
            (now_s, [self.held(self._leaves[org]) * MICRO - share for org, share in enumerate(self._entitled())])
        )
        return starts

    def start(self, job: Request) -> None:
        super().start(job)
        self._yardstick.started(job, self.now_s)

    def _smallest_fits(self) -> bool:
        held = sum(run.job.units for run in self.running)
        return any(held + job.units <= self.total for job in self.waiting)

    def _before_the_order(self) -> list[Request]:
        starts: list[Request] = []
        old = sorted(self.waiting, key=lambda job: (job.submitted_s, job.number))
        for job in [each for each in old if each.number in self._due]:
            if len(self.kept) == 4:
                break
            if self.fits(job, self.now_s):
                self.start(job)
                starts.append(job)
            else:
                self.keep(job)
        for job in [each for each in old if each.units > max(1, self.total / 5) and each in self.waiting]:
            free = self.total - sum(run.job.units for run in self.running)
            if free * 5 > self.total and self._lead(self._of(job.leaf)) <= 0 and self.fits(job, self.now_s):
                self.start(job)
                starts.append(job)
        return starts

    def _is_due(self, job: Request) -> bool:
        return self.now_s - job.submitted_s >= math.floor(Fraction(13, 10) * self._yardstick.longest_s)

    def _demands(self) -> list[int]:
        jobs = [*self.waiting, *(run.job for run in self.running)]
        wanted = [sum(job.units for job in jobs if job.leaf in leaves) for leaves in self._leaves]
        return [min(each, self.total) for each in wanted]

    def _entitled(self) -> list[int]:
        """By rounds: divide what is left by weight, until nobody is given more than they ask for."""
        demands = self._demands()
        given = [0] * len(demands)
        asking, left = {org for org, demand in enumerate(demands) if demand}, Fraction(self.total)
        if sum(demands) <= self.total:
            return [demand * MICRO for demand in demands]
        while True:
            unit = left / sum(self._weights[org] for org in asking)
            full = {org for org in asking if demands[org] <= self._weights[org] * unit}
            if not full:
                break
            for org in full:
                given[org] = demands[org] * MICRO
            left -= sum(demands[org] for org in full)
            asking -= full
        for org in asking:
            given[org] = math.floor(self._weights[org] * unit * MICRO)
        return given

    def _lead(self, org: int) -> int:
        debt = 0
        for (since, gaps), until in zip(self._past, [at for at, _ in self._past[1:]] + [self.now_s], strict=True):
            if until > since:
                kept = 2**80 // self._growth(until - since)
                debt = math.floor(Fraction(debt * kept + gaps[org] * (2**40 - kept), 2**40) + Fraction(1, 2))
        entitled = self._entitled()[org]
        beyond = self.held(self._leaves[org]) * MICRO - entitled + debt
        return (1 if beyond > 0 else -1) * math.floor(Fraction(2**64 * beyond**2, max(1, entitled)))
