"""Amounts of every kind of unit as plain tuples: what is asked for millions of times a day. Pure."""

from __future__ import annotations

from hpc_adapters.contract import Resources

Vector = tuple[int, int, int, int]
"""GPUs, CPUs, memory in MB, QPUs. Sums may be below zero where something will be given back later."""

NOTHING: Vector = (0, 0, 0, 0)


def vector(amount: Resources) -> Vector:
    return amount.gpus, amount.cpus, amount.memory_mb, amount.qpus


def resources(amount: Vector) -> Resources:
    """What is below zero is nothing."""
    gpus, cpus, memory_mb, qpus = at_least_nothing(amount)
    return Resources(gpus=gpus, cpus=cpus, memory_mb=memory_mb, qpus=qpus)


def plus(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def without(a: Vector, b: Vector) -> Vector:
    """Also below zero."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


def at_least_nothing(a: Vector) -> Vector:
    return max(0, a[0]), max(0, a[1]), max(0, a[2]), max(0, a[3])


def least(a: Vector, b: Vector) -> Vector:
    """What both have."""
    return min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def fits(needs: Vector, free: Vector) -> bool:
    """What is not needed may be lacking: `free` may be below zero."""
    return (
        (needs[0] <= free[0] or not needs[0])
        and (needs[1] <= free[1] or not needs[1])
        and (needs[2] <= free[2] or not needs[2])
        and (needs[3] <= free[3] or not needs[3])
    )
