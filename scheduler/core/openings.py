"""How long a machine will be there from now on: windows in which it takes no work, and walls. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from scheduler.core.pool import FOREVER

SHUT = -1


class Openings:
    """Times in whole seconds."""

    def __init__(self) -> None:
        self._shut: list[tuple[int, int]] = []
        self._walls: list[int] = []

    def windows(self, windows: Iterable[tuple[int, int]]) -> None:
        """(since, until) of each, instead of the former ones."""
        self._shut = []
        for since_s, until_s in sorted(windows):
            if self._shut and since_s <= self._shut[-1][1]:
                self._shut[-1] = (self._shut[-1][0], max(until_s, self._shut[-1][1]))
            else:
                self._shut.append((since_s, until_s))

    def walls(self, walls: Iterable[int]) -> None:
        """When nothing may run any more, instead of the former ones."""
        self._walls = sorted(walls)

    def before_window(self, now_s: int) -> int:
        """So long a job may be that starts now; SHUT: in a window."""
        index = bisect_right(self._shut, now_s, key=lambda window: window[1])
        if index == len(self._shut):
            return FOREVER
        since_s = self._shut[index][0]
        return since_s - now_s if since_s > now_s else SHUT

    def before_wall(self, now_s: int) -> int:
        """As before_window(). At a wall: 0."""
        index = bisect_left(self._walls, now_s)
        return FOREVER if index == len(self._walls) else self._walls[index] - now_s


def before_booked_out(bookings: Sequence[tuple[int, int, int]], total: int, now_s: int) -> int:
    """How long from now on a device can answer everybody; SHUT: not now. bookings: (since, until, units)."""
    met = sorted(each for each in bookings if now_s < each[1])
    for since_s, _, _ in met:
        at_s = max(since_s, now_s)
        if sum(units for since, until, units in met if since <= at_s < until) >= total:
            return since_s - now_s if since_s > now_s else SHUT
    return FOREVER
