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
    catch_up_after: timedelta = timedelta(minutes=15)
    """Beyond the backend's own accounting lag: when an ended attempt without complete accounting is asked after. Longer
    than any difference of clocks, for the end is the backend's time."""
    most_per_tick: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """backends: name of the instance in the settings → adapter. lease: proof of leading the loop, when there is one."""

    pool: Pool
    backends: Mapping[str, Backend]
    lease: Lease | None = None
    settings: CollectSettings = field(default_factory=CollectSettings)
