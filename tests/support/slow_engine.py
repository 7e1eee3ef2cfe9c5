"""The rule of scheduler.core.engine once more, as plainly as it can be said: every decision looks at everything again.

It shares no code with the engine, its lines and rooms. A plain pool; organisations without levels below.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from scheduler.core.growth import Growth
from scheduler.core.request import Request


@dataclass
class Run:
    job: Request
    start_s: int
    end_s: int | None = None

    def until(self, now_s: int) -> int:
        """When it is expected to end."""
        expected = self.start_s + self.job.limit_s
        return expected if expected > now_s else now_s + 60


@dataclass
class SlowEngine:
    """turn: of a line, asked anew after each start."""

    total: int
    reservations: int
    turn: Callable[[SlowEngine, int], object]
    line: Callable[[Request], int] = field(default=lambda job: job.leaf)
    rank: Callable[[Request], int] = field(default=lambda job: job.submitted_s)
    waiting: list[Request] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    now_s: int = 0
    kept: list[tuple[int, int, Request]] = field(default_factory=list)

    @property
    def running(self) -> list[Run]:
        return [run for run in self.runs if run.end_s is None]

    def ended(self, number: int, now_s: int) -> None:
        next(run for run in self.running if run.job.number == number).end_s = now_s

    def decide(self, now_s: int) -> list[Request]:
        self.now_s, self.kept = now_s, []
        return self.in_order()

    def in_order(self) -> list[Request]:
        """What is kept already came before the order."""
        self._ahead = len(self.kept)
        starts: list[Request] = []
        while (job := self._next()) is not None:
            self.start(job)
            starts.append(job)
        return starts

    def start(self, job: Request) -> None:
        self.waiting.remove(job)
        self.runs.append(Run(job, self.now_s))

    def keep(self, job: Request) -> None:
        """Reserves its earliest start."""
        at = next(at for at in self._times() if self.fits(job, at))
        self.kept.append((at, at + job.limit_s, job))

    def _next(self) -> Request | None:
        for job in sorted(self.waiting, key=self._place):
            if any(job is kept for _, _, kept in self.kept):
                continue
            if self.fits(job, self.now_s):
                return job
            if len(self.kept) - self._ahead < self.reservations:
                self.keep(job)
            elif not self.reservations:
                return None
        return None

    def _place(self, job: Request) -> tuple[object, ...]:
        line = self.line(job)
        of_line = [each for each in self.waiting if self.line(each) == line]
        return (self.turn(self, line), min(map(self._rank, of_line)), self._rank(job))

    def _rank(self, job: Request) -> tuple[int, int]:
        return self.rank(job), job.number

    def _times(self) -> Sequence[int]:
        ends = {run.until(self.now_s) for run in self.running} | {until for _, until, _ in self.kept}
        return sorted({self.now_s} | ends)

    def fits(self, job: Request, at_s: int) -> bool:
        """At each moment of its run at which anything changes, and when it ends: not in the second of a reservation."""
        until = at_s + job.limit_s + 1
        changes = [*self._times(), *(since for since, _, _ in self.kept)]
        moments = {at_s} | {change for change in changes if at_s < change < until}
        return all(self._held_at(moment) + job.units <= self.total for moment in moments)

    def _held_at(self, at_s: int) -> int:
        held = sum(run.job.units for run in self.running if at_s < run.until(self.now_s))
        return held + sum(job.units for since, until, job in self.kept if since <= at_s < until)

    def held(self, leaves: Container[int]) -> int:
        return sum(run.job.units for run in self.running if run.job.leaf in leaves)


def decayed_use(engine: SlowEngine, leaves: Container[int], growth: Growth) -> int:
    """Of all that these ran, up to now."""
    return sum(
        run.job.units * (growth(engine.now_s if run.end_s is None else run.end_s) - growth(run.start_s))
        for run in engine.runs
        if run.job.leaf in leaves
    )
