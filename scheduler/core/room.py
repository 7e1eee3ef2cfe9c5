"""What fits on one backend within a cycle, and the reservation that protects the first one that does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpc_adapters.contract import Resources
from scheduler.core.reasons import Why
from scheduler.core.resources import least, minus, plain, plus, total
from scheduler.core.snapshot import Holding, Pool, Snapshot, Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """From `at` on the first in line needs its units; `spare` is what others may then still hold."""

    at: datetime
    spare: Resources


class Room:
    """Free units of a backend as the cycle goes on: never more than it says, and never more than our own books say."""

    def __init__(self, pool: Pool, holding: Iterable[Holding], snapshot: Snapshot) -> None:
        ours = list(holding)
        self._now = snapshot.now
        overdue = snapshot.now + timedelta(seconds=snapshot.policy.overdue_s)
        self._ends = [(each.until if each.until > snapshot.now else overdue, each.needs) for each in ours]
        # A backend that has not confirmed an attempt does not count it yet.
        by_it = minus(pool.free, total(each.needs for each in ours if not each.accepted))
        by_us = minus(pool.total, total(each.needs for each in ours))
        self.free = least(by_it, by_us)
        self.reservation: Reservation | None = None

    def refusal(self, job: Waiting) -> tuple[Why, dict[str, object]] | None:
        """Why it cannot start now; None: it can. The first that does not fit gets the reservation (EASY backfill)."""
        if not job.needs.fits(self.free):
            facts: dict[str, object] = {"needed": plain(job.needs), "free": plain(self.free, asked=job.needs)}
            if self.reservation is None:
                self.reservation = self._reserve(job.needs)
                facts["earliest"] = self.reservation.at.isoformat()
            return Why.NO_CAPACITY, facts
        if self._delays_the_first(job):
            until = self.reservation.at.isoformat() if self.reservation else ""
            return Why.RESERVED_FOR_EARLIER, {"needed": plain(job.needs), "until": until}
        return None

    def take(self, job: Waiting) -> None:
        ends = self._ends_at(job)
        self.free = minus(self.free, job.needs)
        self._ends.append((ends, job.needs))
        if self.reservation is not None and ends > self.reservation.at:
            self.reservation = Reservation(at=self.reservation.at, spare=minus(self.reservation.spare, job.needs))

    def _delays_the_first(self, job: Waiting) -> bool:
        first = self.reservation
        return first is not None and self._ends_at(job) > first.at and not job.needs.fits(first.spare)

    def _ends_at(self, job: Waiting) -> datetime:
        return self._now + timedelta(seconds=job.walltime_s)

    def _reserve(self, needs: Resources) -> Reservation:
        """The earliest moment at which it fits, when everything runs its full walltime.

        Units that neither we nor the backend's count explain are somebody else's: nobody knows until when, so nothing
        may be started across the last end that we know.
        """
        at, free = self._now, self.free
        for at, freed in sorted(self._ends, key=lambda end: end[0]):
            free = plus(free, freed)
            if needs.fits(free):
                return Reservation(at=at, spare=minus(free, needs))
        return Reservation(at=at, spare=Resources())
