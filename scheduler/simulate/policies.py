"""The policies that can be tried, by name. Each runs on the production core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from scheduler.core.orders.fairtree import FairTree
from scheduler.core.orders.fifo import Fifo
from scheduler.core.orders.kyoyo import Kyoyo
from scheduler.core.orders.order import Order
from scheduler.core.orders.static import Static
from scheduler.core.tree import Tree
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.workload import Place, Workload

POLICIES: Final[Mapping[str, Callable[[Tree, Sequence[tuple[int, int]]], Order]]] = {
    "kyoyo": Kyoyo,
    "fifo": lambda _tree, _sizes: Fifo(),
    "fifo-easy": lambda _tree, _sizes: Fifo(1),
    "fairtree-easy": lambda tree, _sizes: FairTree(tree),
    "static": lambda _tree, _sizes: Static(),
}
"""Of a share tree, and units and rate of each machine."""


def order_of(name: str, tree: Tree, sizes: Sequence[tuple[int, int]]) -> Order:
    """A fresh policy. ExperimentRefused: there is none of this name."""
    if name not in POLICIES:
        raise ExperimentRefused(option="--policy", value=name, problem="unknown_policy", known=", ".join(POLICIES))
    return POLICIES[name](tree, sizes)


def suited(workload: Workload, policy: str) -> Workload:
    """For `static` each pool of GPUs in fixed parts, one for each organisation, by weight (largest remainder, 1 at
    least).

    A gang larger than its part takes all of it, for so much longer: what its owner would have had alone.
    """
    if policy != "static":
        return workload
    weights = [node.weight for node in workload.nodes if node.parent is None]
    places, parts_of = list(workload.places), dict[int, tuple[int, list[int]]]()
    for index, pool in enumerate(workload.places):
        if not pool.is_qpu:
            parts = _parts(pool.units, weights)
            parts_of[index] = len(places), parts
            owners = zip(workload.names, parts, strict=True)
            places += [Place(f"{pool.name}/{name}", part, pool.rate, is_part=True) for name, part in owners]
    requests, durations = list(workload.requests), list(workload.durations)
    for index, job in enumerate(requests):
        if job.machine in parts_of:
            after, parts = parts_of[job.machine]
            organisation = workload.organisations[job.leaf]
            units = min(job.units, parts[organisation])
            limit_s = -(-job.limit_s * job.units // units)
            requests[index] = job.of_units(units)._replace(limit_s=limit_s, machine=after + organisation)
            durations[index] = -(-durations[index] * job.units // units)
    return replace(workload, places=places, requests=requests, durations=durations)


def _parts(units: int, weights: list[int]) -> list[int]:
    total = sum(weights)
    parts = [max(1, units * weight // total) for weight in weights]
    owed = sorted(range(len(weights)), key=lambda index: (-(units * weights[index] % total), index))
    for index in owed[: max(0, units - sum(parts))]:
        parts[index] += 1
    return parts
