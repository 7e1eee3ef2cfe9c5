"""The rule of scheduler.core.space once more, second by second: every question looks at everything again."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.core.vectors import NOTHING, Vector, at_least_nothing, plus, without

Span = tuple[int, int, Vector]
"""[since, until) and how much."""


@dataclass
class SlowSpace:
    """free: now. held: until when. later: bookings that begin after now. lent: until when those that are on have it."""

    now_s: int
    free: Vector
    held: list[tuple[int, Vector]]
    later: list[Span] = field(default_factory=list)
    lent: list[tuple[int, Vector]] = field(default_factory=list)
    overdue_s: int = 60
    kept: list[Span] = field(default_factory=list)

    def horizon(self, needs: Vector) -> int:
        """None at all: -1. Longer than anything is known: a large number."""
        if not self._fits(needs, self.now_s):
            return -1
        for limit_s in range(1, self._last() - self.now_s + 2):
            if not self._fits_from(needs, self.now_s, limit_s):
                return limit_s - 1
        return 1 << 60

    def reserve(self, needs: Vector, limit_s: int) -> int:
        last = self._last()
        at_s = next((at for at in range(self.now_s, last + 1) if self._fits_from(needs, at, limit_s)), None)
        if at_s is not None:
            self.kept.append((at_s, at_s + limit_s, needs))
            return at_s
        self.kept.append((last, 1 << 60, self._free_at(last)))
        return last

    def take(self, needs: Vector, limit_s: int) -> None:
        self.free = without(self.free, needs)
        self.held.append((self.now_s + limit_s, needs))

    def _fits_from(self, needs: Vector, at_s: int, limit_s: int) -> bool:
        """All the time, and not into the very second in which a reservation begins."""
        begins = any(since == at_s + limit_s for since, _, _ in self.kept)
        seconds = range(at_s, at_s + limit_s + begins)
        return all(self._fits(needs, second) for second in seconds)

    def _fits(self, needs: Vector, at_s: int) -> bool:
        return all(asked <= free for asked, free in zip(needs, self._free_at(at_s), strict=True))

    def _free_at(self, at_s: int) -> Vector:
        free = self.free
        for until_s, needs in [*((self._until(until_s), needs) for until_s, needs in self.held), *self.lent]:
            free = plus(free, needs if until_s <= at_s else NOTHING)
        for since_s, until_s, needs in [*self.later, *self.kept]:
            free = without(free, needs if since_s <= at_s < until_s else NOTHING)
        return at_least_nothing(free)

    def _until(self, until_s: int) -> int:
        return until_s if until_s > self.now_s else self.now_s + self.overdue_s

    def _last(self) -> int:
        """At which anything changes that is known."""
        ends = [*(self._until(until_s) for until_s, _ in self.held), *(until_s for until_s, _ in self.lent)]
        spans = [*self.later, *self.kept]
        times = [since_s for since_s, _, _ in spans] + [until_s for _, until_s, _ in spans if until_s < 1 << 59]
        return max([self.now_s, *ends, *times])
