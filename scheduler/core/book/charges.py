"""What an ended attempt really used, as the engine counts it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scheduler.core.book.seconds import Clock
from scheduler.core.engine import Ran


@dataclass(frozen=True, slots=True)
class Charge:
    """What it was charged for in the fair share, and when it ended."""

    micro_nu: int
    at: datetime


def ran(charge: Charge | None, *, units: int, clock: Clock, now_s: int) -> Ran:
    """For so long at its rate, in milli-NU per hour, it would have used what it is charged. None: nothing.

    Never before the clock's origin: of a machine whose size is not known the rate is not, either.
    """
    if charge is None:
        return now_s, now_s
    until_s = max(0, min(now_s, clock.second(charge.at)))
    return max(0, until_s - charge.micro_nu * 36 // (10 * units)), until_s
