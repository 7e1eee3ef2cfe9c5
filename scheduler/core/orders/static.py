"""Every organisation alone on its own part of the machine: what it would have without sharing. Pure."""

from __future__ import annotations

from scheduler.core.orders.fifo import Fifo


class Static(Fifo):
    """First come, first served with EASY backfill, on each part by itself: the parts are machines of the engine."""

    def __init__(self) -> None:
        super().__init__(reservations=1)
