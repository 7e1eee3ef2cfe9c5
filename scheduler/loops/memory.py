"""What the dispatcher keeps between its ticks: the book, and what was told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from infra.db.connection import Lease
from scheduler.core.book.asked import Asked
from scheduler.core.book.book import Book
from scheduler.core.book.figures import Figures
from scheduler.core.book.terms import Terms
from scheduler.core.snapshot import Wait, Waiting
from scheduler.devices import Condition
from scheduler.loops.capacities import Capacities
from scheduler.loops.places import Places
from scheduler.store import planning
from scheduler.store.reservations import Ahead

_TOLD_AGAIN: Final = timedelta(seconds=2)
"""Facts of the same reason are not written more often: nobody reads faster, and each start moves everybody's place."""

_OWNERS: Final = 10_000
_FIGURED_AGAIN: Final = timedelta(seconds=15)
"""As often as anybody collects metrics: counting costs a step for each job that is told of."""


@dataclass(slots=True)
class Kept:
    """All that was read or decided, under one lease."""

    book: Book
    lease: Lease | None
    terms: Terms
    ahead: Ahead
    devices: Mapping[str, Condition]
    now: datetime
    """Of the last look."""
    read_at: datetime
    """When the terms and the calendar were read."""
    checked_at: datetime
    """When the book was last compared with the database, or read from it."""
    organisations: set[UUID] = field(default_factory=set)
    """Whose standings are known."""
    asked: Asked = field(default_factory=Asked)
    """What would start whom, as far as it was looked at."""
    counted_at: datetime | None = None
    figured_at: datetime | None = None
    reasons: dict[UUID, tuple[planning.Reason, datetime | None]] = field(default_factory=dict)
    """What each waiting attempt was last told, and when."""
    owners: dict[UUID, tuple[UUID, UUID]] = field(default_factory=dict)
    """Organisation and person of those that came last: who is handed over as whom can be asked with the rest."""

    def came(self, job: Waiting) -> None:
        """It waits."""
        if job.person_id is None:
            return
        if len(self.owners) >= _OWNERS:
            del self.owners[next(iter(self.owners))]
        self.owners[job.attempt_id] = job.organisation_id, job.person_id

    def left(self, attempt_id: UUID) -> None:
        """It waits no more."""
        self.reasons.pop(attempt_id, None)
        self.owners.pop(attempt_id, None)

    def news(self, waits: Iterable[Wait], now: datetime) -> Sequence[Wait]:
        """What is worth writing: another reason at once, other facts of the same one after a while."""
        found = []
        for wait in waits:
            (why, facts), at = self.reasons.get(wait.attempt_id, ((None, {}), None))
            is_other = why != wait.why.value
            if is_other or (facts != wait.facts and (at is None or now - at >= _TOLD_AGAIN)):
                found.append(wait)
        return found

    def waiting_by_reason(self, now: datetime) -> Counter[str] | None:
        """How many wait for each reason; None: that was counted a moment ago."""
        if self.counted_at is not None and now - self.counted_at < _TOLD_AGAIN:
            return None
        self.counted_at = now
        return Counter(why for (why, _), _ in self.reasons.values() if why is not None)

    def figures(self, now: datetime) -> Figures | None:
        """How the shares stand; None: that was told a moment ago."""
        if self.figured_at is not None and self.figured_at <= now < self.figured_at + _FIGURED_AGAIN:
            return None
        self.figured_at = now
        return self.book.figures()

    def wrote(self, waits: Iterable[Wait], now: datetime) -> None:
        for wait in waits:
            self.reasons[wait.attempt_id] = (wait.why.value, dict(wait.facts)), now


class Memory:
    """Of one process. None: nothing is known, and all is to be read."""

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.capacities = Capacities()
        self.places = Places()

    def of(self, lease: Lease | None) -> Kept | None:
        """What may still be believed: what was read under this very lease. Without one nobody knows who else reads."""
        return self.kept if self.kept is not None and lease is not None and self.kept.lease == lease else None

    def owner(self, attempt_id: UUID) -> tuple[UUID, UUID] | None:
        """Organisation and person, where that is known."""
        return None if self.kept is None else self.kept.owners.get(attempt_id)

    def forget(self) -> None:
        self.kept = None
