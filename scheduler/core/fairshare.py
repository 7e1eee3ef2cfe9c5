"""Whose turn it is: weighted fair share over normalised units (NU; 1 NU = one hour of the reference GPU).

Fair-share use is approximate, decays and orders the queue. It is never money (decision 0005).
"""

from __future__ import annotations

import math
from datetime import timedelta

from scheduler.core.model import Attempt, JobKind
from scheduler.core.snapshot import Stake

MICRO = 1_000_000
_HOUR_S = 3600
_NO_STAKE = Stake()


def nu_of(*, units: int, seconds: float, nu_per_hour: float) -> float:
    """Normalised units of `units` resources for so long."""
    return units * seconds / _HOUR_S * nu_per_hour


def decayed(nu: float, *, age: timedelta, half_life: timedelta) -> float:
    """What is left of a use after its age: half after each half-life. A use in the future counts whole."""
    return nu * math.pow(0.5, max(age, timedelta(0)) / half_life)


def used_nu(ended: Attempt) -> float:
    """What an ended attempt really used of its full walltime; of a circuit all: its service time is known."""
    if ended.started_at is None or ended.ended_at is None:
        return 0.0
    if ended.kind is JobKind.QUANTUM:
        return ended.nu
    ran = (ended.ended_at - ended.started_at) / timedelta(seconds=ended.walltime_s)
    return ended.nu * min(max(ran, 0.0), 1.0)
