"""From Slurm's word about a node to where it is on its way out of service and back. Pure.

Our mark is the node's reason: Slurm keeps it while the node is drained, sinks and is off, and drops it on its return.
"""

from __future__ import annotations

from typing import Final

from hpc_adapters.elastic import NodeSeen, NodeState
from hpc_adapters.slurm.capacity import every_machine, in_service
from hpc_adapters.slurm.models import Node

OURS: Final = "kyoyo-elastic "
_IDLE: Final = "IDLE"
_WAKES: Final = frozenset({"POWERING_UP", "POWER_UP"})
_SINKS: Final = frozenset({"POWERING_DOWN", "POWER_DOWN"})
_OFF: Final = "POWERED_DOWN"
_DRAIN: Final = "DRAIN"
_EXPECTED: Final = frozenset(
    {_IDLE, "ALLOCATED", "MIXED", "COMPLETING", "CLOUD", "DYNAMIC_NORM", "PLANNED", _DRAIN, _OFF, *_WAKES, *_SINKS}
)
"""Beside any other word a node is ill, or an operator's business, unless it is just waking."""
_STILL_BUSY: Final = frozenset({"COMPLETING", "PLANNED"})
"""Something ends there, or will start."""


def node_seen(node: Node, *, partition: str, qpu: str | None = None) -> NodeSeen:
    """A node of our partition, as the port tells it."""
    [machine] = every_machine([node], partition=partition, qpu=qpu)
    state = node_state(node, partition=partition)
    return NodeSeen(
        name=node.name,
        state=state,
        units=machine.total.gpus + machine.total.qpus,
        idle_since=node.last_busy_at if _is_idle(node) else None,
        mark=mark_of(node),
    )


def node_state(node: Node, *, partition: str) -> NodeState:
    """Shared with another partition, reserved by the site, or out by somebody else's word: FOREIGN."""
    words = frozenset(node.state)
    if node.partitions != (partition,) or node.reservation:
        return NodeState.FOREIGN
    if words & _WAKES and _DRAIN not in words and "DOWN" not in words:
        return NodeState.WAKING
    if not words <= _EXPECTED:
        return NodeState.SERVING if in_service(node.state) else NodeState.FOREIGN
    if in_service(node.state):
        return NodeState.SERVING
    return _taken_out(node, words) if node.reason.startswith(OURS) else _others(node, words)


def mark_of(node: Node) -> str:
    """What we said when we took it out."""
    return node.reason.removeprefix(OURS) if node.reason.startswith(OURS) else ""


def _taken_out(node: Node, words: frozenset[str]) -> NodeState:
    if words & _SINKS:
        return NodeState.SINKING
    if _OFF in words:
        return NodeState.OFF if _is_idle(node) else NodeState.WAKING
    return NodeState.OUT if _is_idle(node) else NodeState.LEAVING


def _others(node: Node, words: frozenset[str]) -> NodeState:
    """Slurm itself wakes what it has given to a job, and drops the reason."""
    return NodeState.WAKING if _OFF in words and not _is_idle(node) else NodeState.FOREIGN


def _is_idle(node: Node) -> bool:
    return _IDLE in node.state and _STILL_BUSY.isdisjoint(node.state) and not any(node.tres_used.values())
