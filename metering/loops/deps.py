"""What the loops of metering are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from hpc_adapters.contract import Backend
from infra.db.connection import Lease, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    overlap: timedelta = timedelta(hours=1)
    """Beyond the backend's own accounting lag: how late a record may appear or be corrected and still be found."""
    longest_window: timedelta = timedelta(days=1)
    catches_up: bool = True
    """Whether this tick also asks after attempts that lack a complete record, which costs a long window."""
    catch_up_after: timedelta = timedelta(minutes=15)
    """Beyond the backend's own accounting lag: when an ended attempt without complete accounting is asked after."""
    silent_for: timedelta = timedelta(days=1)
    """Beyond that lag: how long a backend must have told nothing at all of an attempt that ended, before it is settled
    for nothing. An empty answer is also what a broken accounting says, and a charge that comes later is the house's."""
    clock_skew: timedelta = timedelta(days=1)
    """By how much a backend's clock may be wrong: also one that takes Japanese time for UTC."""
    most_per_tick: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """backends: name of the instance in the settings → adapter. lease: proof of leading the loop, when there is one."""

    pool: Pool
    backends: Mapping[str, Backend]
    lease: Lease | None = None
    settings: CollectSettings = field(default_factory=CollectSettings)
