"""First come, first served; with reservations, EASY or conservative backfill. Pure."""

from __future__ import annotations

from scheduler.core.orders.order import Order


class Fifo(Order):
    """One line of all. reservations 0: strictly one after the other; 1: EASY (Lifka 1995)."""

    def __init__(self, reservations: int = 0) -> None:
        self.reservations = reservations
