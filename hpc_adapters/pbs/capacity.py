"""The vnodes of `pbsnodes` as capacity. Pure. States: pbs_node_attributes(7B) of OpenPBS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from hpc_adapters.contract import Capacity, Resources
from hpc_adapters.pbs.parsing import Node, Unreadable, count, size_mb

_OUT = frozenset(
    {"down", "offline", "stale", "state-unknown", "unresolvable", "initializing", "provisioning", "wait-provisioning",
     "maintenance", "sleep", "Stale"}
)  # fmt: skip
"""Any of these: nothing can be started there."""


def capacity(
    nodes: Iterable[Node], *, at: datetime, chunk_label: tuple[str, str] | None, gpus_per_node: int
) -> Capacity:
    """What the nodes in service have. chunk_label: resource and value of this queue's nodes: ('Qlist', 'gpuq')."""
    every = [node for node in nodes if _serves(node, chunk_label)]
    ours = [node for node in every if not _OUT & set(node.states)]
    draining = _sum(_held(node, gpus_per_node) for node in every if _OUT & set(node.states))
    total = [_resources(node.available, gpus_per_node) for node in ours]
    held = [_held(node, gpus_per_node) for node in ours]
    whole, taken = _sum(total), _sum(held)
    free = Resources(
        gpus=max(0, whole.gpus - taken.gpus),
        cpus=max(0, whole.cpus - taken.cpus),
        memory_mb=max(0, whole.memory_mb - taken.memory_mb),
    )
    return Capacity(at=at, total=whole, free=free, online=bool(ours), draining=draining)


def _serves(node: Node, label: tuple[str, str] | None) -> bool:
    """A node without the label serves every queue."""
    if label is None or label[0] not in node.available:
        return True
    return label[1] in node.available[label[0]].split(",")


def _held(node: Node, gpus_per_node: int) -> Resources:
    """A node that is given to one job as a whole is full, whatever was counted."""
    if "job-exclusive" in node.states or "resv-exclusive" in node.states:
        return _resources(node.available, gpus_per_node)
    return _resources(node.assigned, 0)


def _resources(told: Mapping[str, str], gpus_per_node: int) -> Resources:
    return Resources(
        gpus=count(told.get("ngpus")) if "ngpus" in told else gpus_per_node,
        cpus=count(told.get("ncpus")),
        memory_mb=_size(told.get("mem")),
    )


def _sum(amounts: Iterable[Resources]) -> Resources:
    every = list(amounts)
    return Resources(
        gpus=sum(each.gpus for each in every),
        cpus=sum(each.cpus for each in every),
        memory_mb=sum(each.memory_mb for each in every),
    )


def _size(text: str | None) -> int:
    try:
        return size_mb(text or "0b")
    except Unreadable:
        return 0
