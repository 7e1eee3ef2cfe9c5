"""Instants as the engine counts them: whole seconds since an origin. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_SECOND: Final = timedelta(seconds=1)
_BEFORE: Final = timedelta(days=365)
"""Nothing that still runs began earlier than so long before a book was opened."""


@dataclass(frozen=True, slots=True)
class Clock:
    origin: datetime

    @staticmethod
    def opened(now: datetime) -> Clock:
        return Clock(now.replace(microsecond=0) - _BEFORE)

    def second(self, at: datetime) -> int:
        """The last whole second that is not after it."""
        return (at - self.origin) // _SECOND

    def next_second(self, at: datetime) -> int:
        """The first whole second that is not before it: for what must not be missed by rounding."""
        return math.ceil((at - self.origin) / _SECOND)

    def instant(self, second: int) -> datetime:
        return self.origin + timedelta(seconds=second)
