"""The record of a decision to start: the rule by which it went, and its figures. Pure.

Nothing of other tenants is in it but how many waited, and what was free.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from hpc_adapters.contract import Resources
from scheduler.core.resources import plain
from scheduler.core.snapshot import Policy, Standing, Waiting

_MICRO = 1_000_000


class Way(StrEnum):
    """By which rule an attempt starts: the words of Start.way, and of a record's `rule`."""

    IN_ORDER = "in_order"
    """It was its turn, and it fits."""
    AHEAD = "ahead"
    """It was due: it had waited for as long as the policy lets anybody wait, and went before its turn."""
    BEHIND = "behind"
    """Backfill: somebody before it has to wait; it fits meanwhile and delays nobody."""
    SEAT = "seat"
    """It does not fit yet: it goes to wait in the backend's own queue, so that the backend never idles."""
    INSIDE = "inside"
    """It runs in a reservation of its organisation."""


def start_facts(
    job: Waiting, way: Way, *, standing: Standing, free: Resources, waiting: int, policy: str, settings: str
) -> dict[str, object]:
    """JSON values. used_nu and weight: of its organisation's turn, at the beginning of the cycle."""
    return {
        "rule": way.value,
        "service_class": job.service_class.value,
        "used_nu": round(standing.used_micro_nu / _MICRO, 6),
        "weight": standing.weight,
        "needed": plain(job.needs),
        "free": plain(free, asked=job.needs),
        "waiting": waiting,
        "policy": policy,
        "settings": settings,
    }


def settings_version(policy: Policy) -> str:
    """The same for the same settings, and for others another one."""
    return hashlib.sha256(repr(policy).encode()).hexdigest()[:12]
