"""What a policy says: in which line a job stands, at which place, whose turn it is, and who goes before all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from scheduler.core.pool import Room
from scheduler.core.request import Request

Turn = tuple[int, ...]


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

    def line(self, job: Request) -> int:
        """The line in which it waits; lines are numbered from 0."""
        del job
        return 0

    def rank(self, job: Request) -> int:
        """Its place in that line: lower first, then by number. It never changes."""
        return job.submitted_s

    def tick(self, now_s: int) -> None:
        """Time has come to decide: all that has happened until now was told."""

    def settled(self) -> None:
        """All that starts now has started."""

    def turn(self, line: int) -> Turn:
        """Lower first; lines with the same turn go by their heads. A turn may only grow within a pass."""
        del line
        return ()

    def ahead(self, machine: int, room: Room) -> Iterable[Ahead]:
        """Who goes before the order, in turn: asked after `tick`, and one by one as the ones before have started."""
        del machine, room
        return ()

    def widest(self, room: Room) -> int:
        """Only jobs of at most so many units keep their earliest start when they do not fit at their turn."""
        return room.total

    def arrived(self, job: Request) -> None:
        """It waits from job.submitted_s on."""

    def left(self, job: Request) -> None:
        """It was withdrawn before it started."""

    def started(self, job: Request, now_s: int) -> None:
        """It runs."""

    def ended(self, job: Request, now_s: int) -> None:
        """It runs no more."""
