"""What a policy says: in which line a job stands, at which place, whose turn it is, and who goes before all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.core.backlog import Backlog
from scheduler.core.columns import Columns
from scheduler.core.pool import Room
from scheduler.core.request import Request

Turn = tuple[int, ...]
Least = tuple[NDArray[np.floating[Any]], int]
"""(of each group, scale): the first number of the turn of each of its lines is at least this × scale."""


class Ahead(NamedTuple):
    """A job that goes before the order. keeps: its earliest start is reserved if it does not fit now."""

    job: Request
    keeps: bool


class Order:
    """One policy; this one is a single line, first come, first served. The engine tells it what happens.

    reservations: so many jobs that do not fit keep their earliest start; 0: nobody passes the first that does not fit.
    """

    reservations: int = 0
    reservations_ahead: int = 0
    """Of those besides that go before the order."""

    lines: int = 1
    groups: int = 1
    """Lines with the same first number of their turns: those of an organisation."""

    def line(self, job: Request) -> int:
        """The line in which it waits; lines are numbered from 0."""
        del job
        return 0

    def rank(self, job: Request) -> int:
        """Its place in that line: lower first, then by number. It never changes."""
        return job.submitted_s

    def lines_of(self, jobs: Backlog) -> NDArray[np.int64]:
        """`line` of each."""
        return np.zeros(len(jobs), dtype=np.int64)

    def ranks(self, jobs: Columns) -> NDArray[np.int64]:
        """`rank` of each."""
        return jobs.submitted_s

    def grown(self, node: int) -> bool:
        """The tree has one more node, the last. False: there is no room for it here; build this anew."""
        del node
        return True

    def supposed(self, leaf: int) -> None:
        """The tree was told to suppose that this leaf held more, or no longer to suppose it."""

    @contextmanager
    def instead(self, away: Request | None, job: Request) -> Iterator[None]:
        """Meanwhile turns are as if this one waited, and `away` did not."""
        del away, job
        yield

    def tick(self, now_s: int) -> None:
        """Time has come to decide: all that has happened until now was told."""

    def settled(self) -> None:
        """All that starts now has started."""

    def turn(self, line: int) -> Turn:
        """Lower first; lines with the same turn go by their heads. A turn may only grow within a pass."""
        del line
        return ()

    def group(self, line: int) -> int:
        """The group to which the line belongs; groups are numbered from 0."""
        del line
        return 0

    def least(self) -> Least:
        """Of all groups at once, so that only few turns need be looked at; it stays true until the pass ends.

        Below the exact number by at least 1e-13 of it, so that rounding a turn makes no difference.
        """
        return np.zeros(self.groups), 1

    def ahead(self, machine: int, room: Room) -> Iterable[Ahead]:
        """Who goes before the order, in turn: asked after `tick`, and one by one as the ones before have started."""
        del machine, room
        return ()

    def is_due(self, job: Request) -> bool:
        """Whether it has waited so long that it goes before the order."""
        del job
        return False

    def arrived(self, job: Request) -> None:
        """It waits from job.submitted_s on."""

    def loaded(self, jobs: Backlog) -> None:
        """They all wait from now on."""

    def left(self, job: Request) -> None:
        """It was withdrawn before it started."""

    def started(self, job: Request, now_s: int) -> None:
        """It runs."""

    def ended(self, job: Request, now_s: int) -> None:
        """It runs no more."""

    def returned(self, job: Request, now_s: int) -> None:
        """It did not run after all, and waits again."""
