"""What really happened, which no backend ever tells: the oracle for tests and for the simulator's checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hpc_adapters.contract import Circuit, JobRequest, Seen

MICROSECOND = timedelta(microseconds=1)


def exact_seconds(span: timedelta) -> Decimal:
    return Decimal(span // MICROSECOND) / 1_000_000


def components(request: JobRequest, ran: timedelta) -> Mapping[str, Decimal]:
    """What a run of this length used, in the components of the accounting."""
    seconds = exact_seconds(ran)
    used = {"gpu_s": request.resources.gpus * seconds, "cpu_s": request.resources.cpus * seconds}
    if isinstance(request.payload, Circuit):
        used |= {"qpu_s": seconds, "shot": Decimal(request.payload.shots)}
    return {name: amount for name, amount in used.items() if amount or name == "cpu_s"}


@dataclass(slots=True)
class Truth:
    """Kept by the cluster, read by the tests."""

    submissions: Counter[UUID] = field(default_factory=Counter)
    """Submissions that took effect."""
    starts: Counter[UUID] = field(default_factory=Counter)
    """How often the user's code really started. More than 1 is the disaster that the start gate prevents."""
    refused_at_gate: Counter[UUID] = field(default_factory=Counter)
    started_at: dict[UUID, datetime] = field(default_factory=dict)
    ended_at: dict[UUID, datetime] = field(default_factory=dict)
    endings: dict[UUID, Seen] = field(default_factory=dict)
    usage: dict[UUID, Mapping[str, Decimal]] = field(default_factory=dict)
    """Of ended attempts, by component."""
    forgotten: set[UUID] = field(default_factory=set)
    """Attempts that the cluster forgot while they ran."""
    most_units_used: dict[str, int] = field(default_factory=dict)
    """Highest use of every kind of unit at any moment."""
