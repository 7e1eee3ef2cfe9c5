"""Adding and subtracting amounts of units."""

from __future__ import annotations

from collections.abc import Iterable

from hpc_adapters.contract import Resources


def plus(a: Resources, b: Resources) -> Resources:
    return Resources(
        gpus=a.gpus + b.gpus, cpus=a.cpus + b.cpus, memory_mb=a.memory_mb + b.memory_mb, qpus=a.qpus + b.qpus
    )


def minus(a: Resources, b: Resources) -> Resources:
    """What is left of `a`; never below zero."""
    return Resources(
        gpus=max(0, a.gpus - b.gpus),
        cpus=max(0, a.cpus - b.cpus),
        memory_mb=max(0, a.memory_mb - b.memory_mb),
        qpus=max(0, a.qpus - b.qpus),
    )


def used_by(amounts: Iterable[Resources]) -> Resources:
    total = Resources()
    for amount in amounts:
        total = plus(total, amount)
    return total
