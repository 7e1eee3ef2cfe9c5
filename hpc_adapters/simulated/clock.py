"""A clock that stands still until somebody advances it."""

from __future__ import annotations

from datetime import datetime, timedelta


class SimulatedClock:
    """Call it for the present; `advance` is the only way that time passes. Several clusters may share one."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        if seconds < 0:
            raise ValueError("time does not run backward")
        self._now += timedelta(seconds=seconds)
        return self._now
