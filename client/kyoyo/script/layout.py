"""From what sbatch's options say one by one to the sums that the portal is asked for. Pure.

Slurm lays a job out as it fits; here the price depends on the layout, so it must be certain: what does not divide
evenly, or says two things at once, is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from kyoyo.errors import UsageError
from kyoyo.script.amounts import Gpus, Per
from kyoyo.script.directives import Directives


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Nodes, tasks on each, and the sums over all nodes; None: what the GPUs bring."""

    nodes: int
    tasks_per_node: int
    gpus: int
    gpu_type: str | None
    cpus: int | None
    memory_mb: int | None


def layout_of(asked: Directives) -> Layout:
    """One GPU a node when nobody says how many. UsageError."""
    nodes = asked.nodes or _nodes(asked)
    tasks = _tasks(asked, nodes)
    gpus = _gpus(asked, nodes=nodes, tasks=tasks)
    cpus = _cpus(asked, tasks=tasks, gpus=gpus)
    return Layout(
        nodes=nodes,
        tasks_per_node=_share(tasks, nodes, "--ntasks"),
        gpus=gpus,
        gpu_type=_type(asked),
        cpus=cpus,
        memory_mb=_memory_mb(asked, nodes=nodes, cpus=cpus or tasks, gpus=gpus),
    )


def _nodes(asked: Directives) -> int:
    """How many nodes the rest asks for: all GPUs by those of a node, all tasks by those of a node, else one."""
    if asked.gpus and asked.gpus_per_node and asked.gpus_per_node.count:
        return max(1, _share(asked.gpus.count, asked.gpus_per_node.count, "--gpus"))
    if asked.ntasks and asked.ntasks_per_node:
        return max(1, -(-asked.ntasks // asked.ntasks_per_node))
    return 1


def _tasks(asked: Directives, nodes: int) -> int:
    if asked.ntasks is not None:
        if asked.ntasks_per_node and asked.ntasks > asked.ntasks_per_node * nodes:
            raise UsageError(key="wrong.disagree", one="--ntasks", other="--ntasks-per-node")
        return asked.ntasks
    if asked.ntasks_per_node is not None:
        return asked.ntasks_per_node * nodes
    if asked.gpus_per_task and asked.gpus_per_task.count and (whole := asked.gpus or asked.gpus_per_node):
        gpus = whole.count * (1 if asked.gpus else nodes)
        return max(nodes, _share(gpus, asked.gpus_per_task.count, "--gpus-per-task"))
    return nodes


def _gpus(asked: Directives, *, nodes: int, tasks: int) -> int:
    sums = {
        "--gpus": (asked.gpus, 1),
        "--gpus-per-node": (asked.gpus_per_node, nodes),
        "--gpus-per-task": (asked.gpus_per_task, tasks),
    }
    told = {option: gpus.count * times for option, (gpus, times) in sums.items() if gpus is not None}
    if len(set(told.values())) > 1:
        one, other, *_ = told
        raise UsageError(key="wrong.disagree", one=one, other=other)
    found = next(iter(told.values()), nodes)
    _share(found, nodes, "--gpus")
    return found


def _type(asked: Directives) -> str | None:
    said: tuple[Gpus | None, ...] = (asked.gpus, asked.gpus_per_node, asked.gpus_per_task)
    kinds = {gpus.kind for gpus in said if gpus and gpus.kind}
    if len(kinds) > 1:
        raise UsageError(key="wrong.disagree", one="--gpus", other="--gres")
    return next(iter(kinds), None)


def _cpus(asked: Directives, *, tasks: int, gpus: int) -> int | None:
    if asked.cpus_per_task is not None and asked.cpus_per_gpu is not None:
        raise UsageError(key="wrong.disagree", one="--cpus-per-task", other="--cpus-per-gpu")
    if asked.cpus_per_task is not None:
        return asked.cpus_per_task * tasks
    return None if asked.cpus_per_gpu is None else asked.cpus_per_gpu * gpus or None


def _memory_mb(asked: Directives, *, nodes: int, cpus: int, gpus: int) -> int | None:
    if asked.memory is None:
        return None
    times = {Per.NODE: nodes, Per.CPU: cpus, Per.GPU: gpus}[asked.memory.per]
    return asked.memory.mb * times or None


def _share(whole: int, parts: int, option: str) -> int:
    if whole % parts:
        raise UsageError(key="wrong.uneven", option=option, whole=whole, parts=parts)
    return whole // parts
