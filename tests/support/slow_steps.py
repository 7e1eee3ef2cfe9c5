"""How many units of a backend are free from now on, when everything runs its full walltime: a step function. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby

from hpc_adapters.contract import Resources
from scheduler.core.resources import difference, least, minus, plus, total
from scheduler.core.snapshot import Booking

_NOTHING = Resources()


class Steps:
    """Free units rise where something ends, and fall only where a reservation begins: so it is enough to look there."""

    def __init__(
        self, free: Resources, ends: Iterable[tuple[datetime, Resources]], booked: Iterable[Booking], *, now: datetime
    ) -> None:
        ahead = [each for each in booked if each.since > now]
        changes = [(at, freed, _NOTHING) for at, freed in ends]
        changes += [(each.until, each.needs, _NOTHING) for each in ahead]
        changes += [(each.since, _NOTHING, each.needs) for each in ahead]
        changes.sort(key=lambda change: change[0])
        self._times, self._free = [now], [free]
        for at, together in groupby(changes, key=lambda change: change[0]):
            rises, falls = zip(*((rise, fall) for _, rise, fall in together), strict=True)
            self._times.append(at)
            self._free.append(difference(plus(self._free[-1], total(rises)), total(falls)))
        self._falls = sorted({each.since for each in ahead})

    def at(self, moment: datetime) -> Resources:
        """What is free then; never below nothing."""
        return minus(self._free[bisect_right(self._times, moment) - 1], _NOTHING)

    def first_lack(self, needs: Resources, *, since: datetime, until: datetime) -> datetime | None:
        """When a reservation begins, during [since, until), beside which these units would not fit. None: they fit."""
        return next((at for at in self._falls_within(since, until) if not needs.fits(self.at(at))), None)

    def earliest(self, needs: Resources, lasts: timedelta) -> tuple[datetime, Resources]:
        """When they first fit for so long, and what is then left beside them all that time.

        Nothing is left where they never fit, at the last change that is known.
        """
        for at in self._times:
            free = self.at(at)
            for fall in self._falls_within(at, at + lasts):
                free = least(free, self.at(fall))
            if needs.fits(free):
                return at, minus(free, needs)
        return self._times[-1], _NOTHING

    def _falls_within(self, since: datetime, until: datetime) -> list[datetime]:
        return self._falls[bisect_left(self._falls, since) : bisect_left(self._falls, until)]
