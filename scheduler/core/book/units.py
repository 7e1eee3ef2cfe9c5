"""How much of a machine a job takes, for the shares: its dominant share, in milli-NU per hour. Pure.

Source: core/units.py. Here the rates are the machine's own: all of it comes to the same in each of its resources.
"""

from __future__ import annotations

from collections.abc import Callable

from hpc_adapters.contract import Resources

_MILLI = 1000


def units_of(total: Resources, nu_per_hour: float) -> Callable[[Resources], int]:
    """For a machine of this size, one GPU (or QPU) of which counts so much an hour. Whole numbers, rounded up."""
    whole = (total.gpus, total.cpus, total.memory_mb, total.qpus)
    base = max(1, round(_MILLI * nu_per_hour)) * max(1, total.gpus, total.qpus)

    def units(held: Resources) -> int:
        parts = zip((held.gpus, held.cpus, held.memory_mb, held.qpus), whole, strict=True)
        return max((-(-part * base // of) for part, of in parts if of), default=0)

    return units
