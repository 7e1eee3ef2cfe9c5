"""What fits on one backend within a cycle, and the reservation that protects the first one that does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.reasons import Why
from scheduler.core.resources import least, minus, plain, plus, total
from scheduler.core.snapshot import Booking, Holding, Pool, Snapshot, Waiting
from scheduler.core.walls import RESERVATION
from tests.support.slow_steps import Steps

_NO_UNITS = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """From `at` on the first in line needs its units; `spare` is what others may then still hold."""

    at: datetime
    spare: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first in line, here or in the backend's own queue."""

    needs: Resources
    lasts: timedelta
    service_class: ServiceClass


class Room:
    """Free units of a backend as the cycle goes on: never more than it says, and never more than our own books say.

    booked: advance reservations to come; what starts is over before they need its units. given_back: units that
    somebody else's reservation, which is on, leaves at its end.
    """

    def __init__(
        self,
        pool: Pool,
        holding: Iterable[Holding],
        snapshot: Snapshot,
        *,
        booked: Sequence[Booking] = (),
        given_back: Sequence[tuple[datetime, Resources]] = (),
    ) -> None:
        ours = list(holding)
        queued = sorted((each for each in ours if pool.look_ahead and not each.started), key=_hand_over_order)
        holds = [each for each in ours if not pool.look_ahead or each.started]
        self._now = snapshot.now
        self._overdue = snapshot.now + timedelta(seconds=snapshot.policy.overdue_s)
        self._leave = timedelta(seconds=snapshot.policy.preemption.leave_s)
        self._ends = [(self._end_of(each), each.needs) for each in holds]
        by_it = minus(pool.free, total(each.needs for each in holds if not is_counted(each, pool)))
        by_us = left(pool, pool.total, holds)
        self.free = least(by_it, by_us)
        self.reservation: Reservation | None = None
        self.first: First | None = None
        """Whom the reservation is for."""
        self.ahead = pool.look_ahead
        self._booked, self._reserved_now = booked, bool(given_back)
        self._ends += given_back
        self._waits_there = timedelta()
        self._steps: Steps | None = None
        for each in queued:
            self._seat(each)

    def refusal(self, job: Waiting) -> tuple[Why, dict[str, object]] | None:
        """Why it cannot start now; None: it can. The first that does not fit gets the reservation (EASY backfill)."""
        if not job.needs.fits(self.free):
            facts: dict[str, object] = {"needed": plain(job.needs), "free": plain(self.free, asked=job.needs)}
            return Why.NO_CAPACITY, facts | self.protect(job)
        wall = self._wall(job.needs, self._ends_at(job))
        if wall is not None:
            facts = {"kind": RESERVATION, "at": wall.isoformat(), "needed": plain(job.needs)}
            return Why.WALL, facts | self.protect(job)
        if self._delays(job.needs, self._ends_at(job)):
            until = self.reservation.at.isoformat() if self.reservation else ""
            return Why.RESERVED_FOR_EARLIER, {"needed": plain(job.needs), "until": until}
        return None

    def take(self, job: Waiting) -> None:
        """It starts now."""
        self._hold(job.needs, self._ends_at(job))

    def _hold(self, needs: Resources, ends: datetime) -> None:
        self.free = minus(self.free, needs)
        self._ends.append((ends, needs))
        self._steps = None
        if self.reservation is not None and ends > self.reservation.at:
            self.reservation = Reservation(at=self.reservation.at, spare=minus(self.reservation.spare, needs))

    def take_ahead(self, job: Waiting) -> bool:
        """One that cannot start now goes to the backend all the same, to wait there; False: enough do.

        As it goes down the fair order, nobody is passed: whoever is refused a seat, so is everybody after them. A
        backend's own queue knows of no reservation here, so nothing goes there that might still run in one.
        """
        lasts = timedelta(seconds=job.walltime_s)
        if self.ahead <= 0 or self._may_meet_a_booking(lasts):
            return False
        self.ahead -= 1
        self._waits_there += lasts
        return True

    def _may_meet_a_booking(self, lasts: timedelta) -> bool:
        """If everything there takes its full walltime, and all that waits there runs one after the other."""
        if not self._booked:
            return self._reserved_now
        over = max((end for end, _ in self._ends), default=self._now) + self._waits_there + lasts
        return self._reserved_now or any(each.since < over for each in self._booked)

    def _seat(self, sent: Holding) -> None:
        """What was handed over and has not started: it will start at once, or it takes one of the backend's seats.

        The first of these that does not fit is the first in line: our own queue may not delay it.
        """
        lasts = sent.until - (sent.sent_at or self._now)
        ends = self._now + lasts
        if sent.needs.fits(self.free) and not self._delays(sent.needs, ends):
            self._hold(sent.needs, ends)
            return
        self.ahead -= 1
        self._waits_there += lasts
        if self.reservation is None:
            self._keep_for(First(needs=sent.needs, lasts=lasts, service_class=sent.service_class))

    def _keep_for(self, first: First) -> Reservation:
        self.first = first
        self.reservation = self._reserve(first.needs, first.lasts)
        return self.reservation

    def make_way(self, going: Iterable[Holding]) -> bool:
        """Whether the first in line could start as soon as these have left: then its reservation is for that moment.

        Else all stays as it was: something other than they is in its way, too.
        """
        assert self.first is not None
        before, at = (self._ends, self.reservation), self._now + self._leave
        ends = list(self._ends)
        for each in going:
            ends.remove((self._end_of(each), each.needs))
            ends.append((at, each.needs))
        self._ends, self._steps = ends, None
        if self._keep_for(self.first).at <= at:
            return True
        (self._ends, self.reservation), self._steps = before, None
        return False

    def _end_of(self, held: Holding) -> datetime:
        """By its walltime; of what makes room sooner, until that turns out wrong."""
        until = held.until if held.until > self._now else self._overdue
        gone = self._now if held.asked_to_leave_at is None else held.asked_to_leave_at + self._leave
        return min(until, gone) if gone > self._now else until

    def protect(self, job: Waiting) -> dict[str, object]:
        """The first that cannot start keeps its earliest start; the facts of that."""
        if self.reservation is not None:
            return {}
        lasts = timedelta(seconds=job.walltime_s)
        kept = self._keep_for(First(needs=job.needs, lasts=lasts, service_class=job.service_class))
        return {"earliest": kept.at.isoformat()}

    def _wall(self, needs: Resources, ends: datetime) -> datetime | None:
        """When the first reservation begins that would lack units if these were held until then."""
        if not self._booked:
            return None
        return self._profile().first_lack(needs, since=self._now, until=ends)

    def _profile(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self.free, self._ends, self._booked, now=self._now)
        return self._steps

    def _delays(self, needs: Resources, ends: datetime) -> bool:
        first = self.reservation
        return first is not None and ends > first.at and not needs.fits(first.spare)

    def _ends_at(self, job: Waiting) -> datetime:
        return self._now + timedelta(seconds=job.walltime_s)

    def _reserve(self, needs: Resources, lasts: timedelta) -> Reservation:
        """The earliest moment at which it fits, when everything runs its full walltime.

        Units that neither we nor the backend's count explain are somebody else's: nobody knows until when, so nothing
        may be started across the last end that we know.
        """
        if self._booked:
            at, spare = self._profile().earliest(needs, lasts)
            return Reservation(at=at, spare=spare)
        at, free = self._now, self.free
        ends = sorted(self._ends, key=lambda end: end[0])
        for at, together in groupby(ends, key=lambda end: end[0]):
            free = plus(free, total(freed for _, freed in together))
            if needs.fits(free):
                return Reservation(at=at, spare=minus(free, needs))
        return Reservation(at=at, spare=_NO_UNITS)


def is_counted(sent: Holding, pool: Pool) -> bool:
    """Whether the backend's own count of free units has it: it has confirmed it, and was asked later than that."""
    earlier = pool.asked_at is None or sent.sent_at is None or sent.sent_at < pool.asked_at
    return sent.accepted and earlier


def left(pool: Pool, room: Resources, holds: Iterable[Holding]) -> Resources:
    """Of so much in service; some of what is held may be on machines that are not in service."""
    return least(room, minus(plus(room, pool.draining), total(each.needs for each in holds)))


def _hand_over_order(sent: Holding) -> tuple[datetime, UUID]:
    return sent.sent_at or sent.until, sent.attempt_id
