"""Arithmetic of amounts of every kind of unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hpc_adapters.contract import Resources


def plus(a: Resources, b: Resources) -> Resources:
    return _each(lambda x, y: x + y, a, b)


def minus(a: Resources, b: Resources) -> Resources:
    """What is left of `a`; never below zero."""
    return _each(lambda x, y: max(0, x - y), a, b)


def difference(a: Resources, b: Resources) -> Resources:
    """`a` without `b`, also below zero: for sums that rise again later."""
    return _each(lambda x, y: x - y, a, b)


def least(a: Resources, b: Resources) -> Resources:
    """What both have."""
    return _each(min, a, b)


def total(amounts: Iterable[Resources]) -> Resources:
    summed = Resources()
    for amount in amounts:
        summed = plus(summed, amount)
    return summed


def plain(amount: Resources, *, asked: Resources | None = None) -> dict[str, int]:
    """As JSON: the kinds of unit that are asked for (or of which there are any)."""
    wanted, given = _named(asked or amount), _named(amount)
    return {name: given[name] for name, number in wanted.items() if number}


def _named(amount: Resources) -> dict[str, int]:
    return {"gpus": amount.gpus, "qpus": amount.qpus, "cpus": amount.cpus, "memory_mb": amount.memory_mb}


def _each(combine: Callable[[int, int], int], a: Resources, b: Resources) -> Resources:
    return Resources(
        gpus=combine(a.gpus, b.gpus),
        cpus=combine(a.cpus, b.cpus),
        memory_mb=combine(a.memory_mb, b.memory_mb),
        qpus=combine(a.qpus, b.qpus),
    )
