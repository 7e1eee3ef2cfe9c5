"""What a policy says: in which line a job stands, at which place, and whose turn it is. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from scheduler.core.request import Request
from scheduler.core.tree import Tree

Turn = tuple[int, ...]


class Order(Protocol):
    """One policy. The engine asks `turn` again for a line whenever something of it has started.

    reservations: so many jobs that do not fit keep their earliest start; 0: nobody passes the first that does not fit.
    A turn may only grow as more of its line starts within one pass, and lines with the same turn go by their heads.
    """

    reservations: int

    def line(self, job: Request) -> int:
        """The line in which it waits; lines are numbered from 0."""

    def rank(self, job: Request) -> int:
        """Its place in that line: lower first, then by number. It never changes."""

    def begin(self, machine: int, now_s: int) -> None:
        """A pass over this machine begins."""

    def turn(self, line: int) -> Turn:
        """Lower first."""


OrderOf = Callable[[Tree, Sequence[int]], Order]
"""Makes a policy for a share tree and the NU-rates of all machines together (units × rate of each)."""
