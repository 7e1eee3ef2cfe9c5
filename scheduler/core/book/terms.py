"""What holds for everybody in a cycle: weights, limits, past use, who may start, and the calendar. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from scheduler.core.book.borrowing import Nominal
from scheduler.core.book.lived import Lived
from scheduler.core.branches import Branch
from scheduler.core.snapshot import Booking, Limits, Place, Standing, Wall


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """As they are set. used_micro_nu and lately_micro_nu are of the past alone: what runs is not in them.

    A change of weights, or of what is limited by the month, needs a new book; all else is told to the one there is.
    """

    standings: Mapping[UUID, Standing] = field(default_factory=dict)
    weights: Mapping[Branch, int] = field(default_factory=dict)
    """Of projects and users; one that is not there weighs 1."""
    limits: Mapping[Place, Limits] = field(default_factory=dict)
    """Besides the running jobs of organisations, which are in their standings."""
    month_micro_nu: Mapping[Place, int] = field(default_factory=dict)
    """What attempts that ended in this month used, where that is limited."""
    used_micro_nu: Mapping[Branch, int] = field(default_factory=dict)
    """Decayed use of each branch, of the policy's half-life."""
    lately_micro_nu: Mapping[UUID, int] = field(default_factory=dict)
    """The same of organisations with a half-life of one day: what they owe where nothing else is remembered."""
    nominal: Mapping[UUID, Nominal] = field(default_factory=dict)
    """Of organisations whose weight is set: their nominal shares, what they may borrow and what they lend."""
    lived: Sequence[Lived] = ()
    """What ran lately, and what runs: by it a new leader's yardstick has waited."""
    nu_per_hour: Mapping[str, float] = field(default_factory=dict)
    """Of one unit of each backend; one that is not there counts 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Reservations that are not over, and walls that are everybody's."""

    bookings: Sequence[Booking] = ()
    walls: Sequence[Wall] = ()
