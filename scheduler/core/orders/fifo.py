"""First come, first served; with reservations, EASY or conservative backfill. Pure."""

from __future__ import annotations

from scheduler.core.orders.order import Turn
from scheduler.core.request import Request


class Fifo:
    """One line of all. reservations 0: strictly one after the other; 1: EASY (Lifka 1995)."""

    def __init__(self, reservations: int = 0) -> None:
        self.reservations = reservations

    def line(self, job: Request) -> int:
        del job
        return 0

    def rank(self, job: Request) -> int:
        return job.submitted_s

    def begin(self, machine: int, now_s: int) -> None:
        pass

    def turn(self, line: int) -> Turn:
        del line
        return ()
