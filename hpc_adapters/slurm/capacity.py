"""From nodes and their partition to what is in service, what is free, and what could ever run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from hpc_adapters.contract import Capacity, Placement, Resources
from hpc_adapters.slurm import accounting
from hpc_adapters.slurm.models import Node, Partition

SERVING: Final = frozenset({"IDLE", "ALLOCATED", "MIXED"})
"""Base states of a node that works."""
HARMLESS: Final = frozenset({"COMPLETING", "CLOUD", "DYNAMIC_NORM", "PLANNED", "RESUME", "UNDRAIN", "POWER_UP"})
"""Flags beside which it still works. Any other word, known or not, takes it out of service."""
_PLANNED: Final = "PLANNED"
"""Slurm keeps what is free here for a job that waits, perhaps one of ours: in service, and nothing of it is free."""
_GPU: Final = "gres/gpu"
UP: Final = "UP"
_NOTHING: Final = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node in service."""

    name: str
    total: Resources
    free: Resources
    features: frozenset[str] = frozenset()
    gpu_types: frozenset[str] = frozenset()


def machines(
    nodes: Iterable[Node], *, partition: str, gpu_type: str | None = None, qpu: str | None = None
) -> tuple[Machine, ...]:
    """The partition's nodes in service; with `gpu_type`, only GPUs of that type count. qpu: the TRES of QPUs."""
    return tuple(_machine(node, gpu_type, qpu) for node in nodes if partition in node.partitions and _serves(node))


def draining(
    nodes: Iterable[Node], *, partition: str, gpu_type: str | None = None, qpu: str | None = None
) -> Resources:
    """What jobs still hold on the partition's nodes that are not in service. As machines()."""
    here = [node for node in nodes if partition in node.partitions and not _serves(node)]
    return _sum(_resources(node.tres_used, gpu_type, qpu) for node in here)


def every_machine(nodes: Iterable[Node], *, partition: str, qpu: str | None = None) -> tuple[Machine, ...]:
    """The partition's nodes, also those that may come back into service; GPUs of every type count."""
    return tuple(_machine(node, None, qpu) for node in nodes if partition in node.partitions)


def in_service(state: Sequence[str]) -> bool:
    """Whether a node in this state runs jobs: drained, down, failing, in maintenance, reserved or unknown does not."""
    return bool(SERVING.intersection(state)) and SERVING.union(HARMLESS).issuperset(state)


def capacity(
    found: Sequence[Machine],
    partitions: Iterable[Partition],
    *,
    partition: str,
    at: datetime,
    draining: Resources = _NOTHING,
) -> Capacity:
    """The sums. A partition that is down, or not there, has its size and starts nothing. draining: as it says."""
    is_up = any(each.name == partition and each.state == (UP,) for each in partitions)
    return Capacity(
        at=at,
        total=_sum(machine.total for machine in found),
        free=_sum(machine.free for machine in found) if is_up else Resources(),
        online=is_up and bool(found),
        draining=draining,
        free_gpus=tuple(sorted((machine.free.gpus for machine in found if machine.total.gpus), reverse=True)),
        node_gpus=max((machine.total.gpus for machine in found), default=0),
    )


def could_run(found: Iterable[Machine], resources: Resources, placement: Placement) -> bool:
    """Whether machines in service could run it once they are empty: enough of them, each with an even share.

    Features are compared by name; an expression with operators is left to Slurm.
    """
    share = share_of(resources, placement)
    if share is None:
        return False
    constraint = placement.constraint
    plain = {constraint} if constraint and constraint.replace("_", "").replace("-", "").isalnum() else set()
    fitting = sum(
        share.fits(machine.total)
        and machine.features.issuperset(plain)
        and (placement.gpu_type is None or placement.gpu_type in machine.gpu_types)
        for machine in found
    )
    return fitting >= placement.nodes


def will_ever_run(every: Sequence[Machine], resources: Resources, placement: Placement) -> bool:
    """Whether it is not larger than the nodes are, all of them in service and empty. What is not told is no reason."""
    types_told = any(machine.gpu_types for machine in every)
    asked = replace(placement, constraint=None, gpu_type=placement.gpu_type if types_told else None)
    return not every or could_run(every, resources, asked)


def share_of(resources: Resources, placement: Placement) -> Resources | None:
    """What each node gives. None: GPUs or QPUs do not divide evenly; CPUs and memory are rounded up."""
    nodes = placement.nodes
    if nodes < 1 or resources.gpus % nodes or resources.qpus % nodes:
        return None
    return Resources(
        gpus=resources.gpus // nodes,
        cpus=-(-resources.cpus // nodes),
        memory_mb=-(-resources.memory_mb // nodes),
        qpus=resources.qpus // nodes,
    )


def _serves(node: Node) -> bool:
    return in_service(node.state) and not node.reservation


def _machine(node: Node, gpu_type: str | None, qpu: str | None) -> Machine:
    total, used = _resources(node.tres, gpu_type, qpu), _resources(node.tres_used, gpu_type, qpu)
    free = Resources(
        gpus=max(0, total.gpus - used.gpus),
        cpus=max(0, total.cpus - used.cpus),
        memory_mb=max(0, total.memory_mb - used.memory_mb),
        qpus=max(0, total.qpus - used.qpus),
    )
    types = frozenset(name.split(":", 1)[1] for name in node.tres if name.startswith(f"{_GPU}:"))
    return Machine(
        name=node.name,
        total=total,
        free=Resources() if _PLANNED in node.state else free,
        features=frozenset(node.features),
        gpu_types=types,
    )


def _resources(amounts: Mapping[str, int], gpu_type: str | None, qpu: str | None) -> Resources:
    gpus = accounting.gpus(amounts) if gpu_type is None else amounts.get(f"{_GPU}:{gpu_type}", 0)
    qpus = accounting.qpus(amounts, qpu)
    return Resources(gpus=gpus, cpus=amounts.get("cpu", 0), memory_mb=amounts.get("mem", 0), qpus=qpus)


def _sum(amounts: Iterable[Resources]) -> Resources:
    given = tuple(amounts)
    return Resources(
        gpus=sum(each.gpus for each in given),
        cpus=sum(each.cpus for each in given),
        memory_mb=sum(each.memory_mb for each in given),
        qpus=sum(each.qpus for each in given),
    )
