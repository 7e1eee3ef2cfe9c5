"""What every adapter of a vendor with a queue is told of its device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedSettings:
    """Times in seconds; service times in microseconds."""

    name: str
    device: str
    """The vendor's id of it."""
    max_shots: int = 100_000
    """Of one of the vendor's jobs: of one circuit with one set of parameters."""
    max_executions: int = 10_000_000
    """Of one attempt: the shots of all its circuits, parameters and observables together."""
    base_us: int = 3_000_000
    """The device's calibrated service time: of each of the vendor's jobs, and of a thousand shots."""
    per_kshot_us: int = 500_000
    domestic: bool = True
    slots: int = 4
    """Attempts of ours that may be at the vendor at a time."""
    max_operations: int = 100_000
    keeps_jobs: bool = True
    """False: the vendor's jobs are deleted there once their results are here."""
    check_s: float = 10.0
    """How long one submission waits for the confined check."""
    overhead_s: float = 30.0
    """What the vendor may spend on a running job beside its QPU time, before a cap stops it."""
    result_patience_s: float = 60.0
    """How long after a success the result may be missing before the job counts as lost by the vendor."""
    settle_window_s: float = 8.0
    """A submission on its way arrives within that, and shows in the vendor's next answer."""
    memory_mb: int = 1024
    cpus: int = 1

    def __post_init__(self) -> None:
        if min(self.max_shots, self.max_executions, self.slots, self.memory_mb, self.cpus, self.max_operations) < 1:
            raise ValueError("max_shots, max_executions, slots, memory_mb, cpus and max_operations are at least 1")
        if min(self.base_us, self.per_kshot_us) < 0:
            raise ValueError("a service time is not negative")
