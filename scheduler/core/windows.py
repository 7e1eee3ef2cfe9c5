"""Times in which a device will take no work, and whether a job would run into one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from hpc_adapters.devices import OfflineWindow


def next_window(windows: Iterable[OfflineWindow], *, now: datetime) -> OfflineWindow | None:
    """The earliest that is not over: it may be on already."""
    ahead = [each for each in windows if now < each.until]
    return min(ahead, key=lambda each: (each.since, each.until), default=None)


def in_the_way(windows: Sequence[OfflineWindow], *, since: datetime, until: datetime) -> OfflineWindow | None:
    """The earliest window that overlaps [since, until); None: the device is there all that time."""
    met = [each for each in windows if each.since < until and since < each.until]
    return min(met, key=lambda each: (each.since, each.until), default=None)
