"""Which waiting attempts go to another of their offerings: from what the book says, in the order of service. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from accounts.errors import SiteUserMissing
from hpc_adapters.contract import Resources
from scheduler.core.book.elsewhere import Elsewhere
from scheduler.core.fairshare import MICRO
from scheduler.core.placement import Choice, Option, broken, chosen
from scheduler.core.snapshot import Waiting
from scheduler.store.placing import Candidate, Flexible

EXPLAINED: Final = 8
"""Of so many it is looked at in one cycle why they do not start elsewhere."""
MOST: Final = 32
"""Moves of one cycle."""
LOOKS: Final = 64
"""So many tries of one cycle, each of one attempt on one machine. Where thousands of gangs wait, one costs
milliseconds, and nothing else is done meanwhile."""
LOOKED_AT: Final = 200
"""So many of the oldest are looked at, and of each line so many of the first."""
OF_ONE: Final = 20
"""So many of one organisation, while there are others."""
REST: Final = timedelta(seconds=60)
"""One that was moved stays for so long; and so long must a machine take nothing before what waits for it leaves it
for another queue."""
NOT_DOMESTIC: Final = "not-domestic"
OF_MACHINES: Final = frozenset({NOT_DOMESTIC, SiteUserMissing.code})
"""Refusals that say nothing of another machine. All others go with the attempt wherever it goes."""
_LAST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Move:
    """An attempt that will wait for another offering, and why."""

    row: Flexible
    to: Candidate
    choice: Choice

    @property
    def attempt_id(self) -> UUID:
        return self.row.attempt_id


@dataclass(slots=True)
class Places:
    """What is remembered between cycles: it only keeps attempts from being moved too often."""

    moved_at: dict[UUID, datetime] = field(default_factory=dict)
    barred_since: dict[UUID, datetime] = field(default_factory=dict)
    rows: dict[UUID, Flexible] = field(default_factory=dict)
    """Those that were looked at last."""
    told: dict[UUID, Mapping[str, object]] = field(default_factory=dict)
    """Why they do not start elsewhere, as far as that was looked at."""
    tried: set[UUID] = field(default_factory=set)
    """Those that have had their turn while others still wait for theirs: a cycle tries only so many."""
    refused: dict[UUID, set[str]] = field(default_factory=dict)
    """Offerings that refused it when it was handed over: it does not go back to them."""
    domestic: Mapping[str, bool] = field(default_factory=dict)
    """Of each backend that they could go to, whether it is known to stand in Japan."""

    def looked_at(self, rows: Sequence[Flexible], domestic: Mapping[str, bool]) -> None:
        """Whatever else there was has left the queue, or is behind these."""
        self.rows, self.domestic = {each.attempt_id: each for each in rows}, domestic
        self.moved_at = {key: at for key, at in self.moved_at.items() if key in self.rows}
        self.barred_since = {key: at for key, at in self.barred_since.items() if key in self.rows}
        self.told = {key: facts for key, facts in self.told.items() if key in self.rows}
        self.tried &= self.rows.keys()
        self.refused = {key: names for key, names in self.refused.items() if key in self.rows}
        for row in rows:
            if row.code in OF_MACHINES:
                self.refused.setdefault(row.attempt_id, set()).add(row.offering_id)

    def rests(self, attempt_id: UUID, now: datetime) -> bool:
        """It was moved a moment ago."""
        moved_at = self.moved_at.get(attempt_id)
        return moved_at is not None and now - moved_at < REST

    def others(self, row: Flexible) -> Sequence[Candidate]:
        """Where else it may go; nowhere, if what it was refused for goes with it."""
        if row.code is not None and row.code not in OF_MACHINES:
            return ()
        left = {row.offering_id, *self.refused.get(row.attempt_id, ())}
        return [each for each in row.candidates if each.offering_id not in left]

    def barred(self, attempt_id: UUID, now: datetime, *, is_so: bool) -> bool:
        """Whether where it waits has barred it for long enough."""
        if not is_so:
            self.barred_since.pop(attempt_id, None)
            return False
        return now - self.barred_since.setdefault(attempt_id, now) >= REST


def moves(elsewhere: Elsewhere, *, places: Places, now: datetime, looks: int = LOOKS) -> Sequence[Move]:
    """Of what was looked at, at most MOST, by placement.chosen(), and after `looks` tries no more.

    Each goes where it starts at once, if it does not start where it waits. One that may not start where it waits
    whatever is free there also goes where it has to wait. In the order in which they would be served: by their places
    in their lines, then by age; first those whose turn to be tried has not come in the cycles before.
    """
    look = _Look(elsewhere, places, now)
    rows = [row for row in places.rows.values() if not places.rests(row.attempt_id, now)]
    seen = [(row, job) for row in rows if (job := elsewhere.job(row.seq)) is not None and look.is_worth_it(row, job)]
    ranks = elsewhere.ranks({job.backend for _, job in seen}, LOOKED_AT) if len(seen) > 1 else {}
    found: list[Move] = []
    left = {row.attempt_id for row, _ in seen} - places.tried
    for row, job in sorted(
        seen, key=lambda each: (each[0].attempt_id not in left, ranks.get(each[0].seq, _LAST), each[0].seq)
    ):
        if len(found) == MOST or look.tries >= looks:
            break
        found += look.move(row, job)
        places.tried.add(row.attempt_id)
    if left <= places.tried:
        places.tried.clear()
    return found


def lacks(row: Flexible, elsewhere: Elsewhere) -> Mapping[str, object]:
    """Why it does not start on its other offerings either: a reason with its facts for each."""
    job = elsewhere.job(row.seq) if row.code is None or row.code in OF_MACHINES else None
    others = [each for each in row.candidates if each.offering_id != row.offering_id]
    told = {} if job is None else {each.offering_id: elsewhere.lacks(_there(job, each)) for each in others}
    return {name: {"why": reason[0].value, **reason[1]} for name, reason in told.items() if reason is not None}


class _Look:
    """One look at all of them. What goes somewhere is counted there for those that come after."""

    def __init__(self, elsewhere: Elsewhere, places: Places, now: datetime) -> None:
        self._elsewhere, self._places, self._now = elsewhere, places, now
        self._beside: dict[str, list[Resources]] = {}
        self._barred: dict[UUID, str | None] = {}
        self.tries = 0

    def is_worth_it(self, row: Flexible, job: Waiting) -> bool:
        """Whether anything could come of a closer look: mostly every machine is full."""
        here = row.code or self._away(row, _own(row)) or self._elsewhere.bars(job)
        self._barred[row.attempt_id] = here
        is_stuck = self._places.barred(row.attempt_id, self._now, is_so=here is not None)
        others = self._places.others(row)
        return bool(others) and (is_stuck or any(self._has_room(job, each) for each in others))

    def move(self, row: Flexible, job: Waiting) -> Iterator[Move]:
        """One, or none."""
        barred = self._barred[row.attempt_id]
        is_stuck = self._places.barred(row.attempt_id, self._now, is_so=barred is not None)
        others = [each for each in self._places.others(row) if is_stuck or self._has_room(job, each)]
        here = self._option(row, job, _own(row), barred=barred) if others else None
        if here is None or here.starts_now:
            return
        choice = chosen([here, *(self._option(row, job, each) for each in others)])
        if choice is None or choice.option is here or not (choice.option.starts_now or is_stuck):
            return
        to = next(each for each in others if each.offering_id == choice.option.offering_id)
        self._beside.setdefault(to.backend, []).append(to.needs)
        yield Move(row, to, choice)

    def _option(self, row: Flexible, job: Waiting, at: Candidate, *, barred: str | None = None) -> Option:
        self.tries += 1
        there = _there(job, at)
        barred = barred or self._away(row, at) or self._elsewhere.bars(there)
        free, whole = self._elsewhere.nodes(at.backend)
        return Option(
            offering_id=at.offering_id,
            backend=at.backend,
            ceiling_micro_yen=at.ceiling_micro_yen,
            barred=barred,
            starts_now=barred is None and self._elsewhere.starts(there, self._beside.get(at.backend, ())),
            broken=broken(free, node_units=whole, nodes=row.nodes, units=at.needs.gpus),
        )

    def _away(self, row: Flexible, at: Candidate) -> str | None:
        """Its data must stay where this is not known to stand."""
        is_away = row.data_location is not None and not self._places.domestic.get(at.backend, False)
        return NOT_DOMESTIC if is_away else None

    def _has_room(self, job: Waiting, at: Candidate) -> bool:
        return self._elsewhere.has_room(at.backend, [at.needs, *self._beside.get(at.backend, ())], job.walltime_s)


def _own(row: Flexible) -> Candidate:
    return next(each for each in row.candidates if each.offering_id == row.offering_id)


def _there(job: Waiting, at: Candidate) -> Waiting:
    return replace(job, backend=at.backend, needs=at.needs, micro_nu=round(at.nu * MICRO))
