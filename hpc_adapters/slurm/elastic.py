"""A Slurm cluster whose nodes we may drain, power down and bring back: needs a user with AdminLevel=Administrator.

What decides is read again before each change, so that nothing of an operator's is undone and no job is ended: a node is
drained, and loses its power only when nothing runs on it. Measured on 24.11 and 26.05: an Operator may change no node
(2010); a node that sinks drops DRAIN and keeps its reason, and wakes only once it is off; a job that Slurm gives to it
wakes it, too; without a SuspendProgram nothing loses its power.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from hpc_adapters.elastic import MARK_CHARACTERS, NodeSeen, NodeState
from hpc_adapters.errors import Rejected
from hpc_adapters.slurm.adapter import SlurmBackend
from hpc_adapters.slurm.powering import OURS, node_seen
from hpc_adapters.slurm.settings import SlurmSettings

_PLAIN: Final = re.compile(r"[A-Za-z0-9 .:#_-]*")


class ElasticSlurm(SlurmBackend):
    """Implements `elastic.Elastic` beside the port."""

    def __init__(self, settings: SlurmSettings, *, admin_user: str, clock: Callable[[], datetime]) -> None:
        super().__init__(settings, clock=clock)
        self._admin_user = admin_user

    async def nodes(self) -> Sequence[NodeSeen]:
        """Of our partition. What cannot be read is not told, and so not touched."""
        partition, qpu = self._settings.partition, self._settings.qpu_tres
        found = [node for node in (await self._slurm.nodes()).items if partition in node.partitions]
        return sorted((node_seen(node, partition=partition, qpu=qpu) for node in found), key=lambda node: node.name)

    async def withdraw(self, node: str, mark: str) -> None:
        state = (await self._node(node)).state
        if state in {NodeState.LEAVING, NodeState.OUT}:
            return
        _require(state is NodeState.SERVING, state, node)
        await self._update(node, "DRAIN", mark)

    async def power_down(self, node: str, mark: str) -> None:
        state = (await self._node(node)).state
        if state in {NodeState.SINKING, NodeState.OFF}:
            return
        if state in {NodeState.SERVING, NodeState.LEAVING, NodeState.WAKING}:
            raise Rejected("node-not-idle", node=node, state=state.value)
        _require(state is NodeState.OUT, state, node)
        await self._update(node, "POWER_DOWN", mark)

    async def restore(self, node: str) -> None:
        state = (await self._node(node)).state
        if state in {NodeState.SERVING, NodeState.WAKING}:
            return
        if state is NodeState.SINKING:
            raise Rejected("node-not-ready", node=node, state=state.value)
        _require(state in {NodeState.LEAVING, NodeState.OUT, NodeState.OFF}, state, node)
        await self._slurm.update_node(
            self._admin_user, node, state="POWER_UP" if state is NodeState.OFF else "RESUME", reason=None
        )

    async def _node(self, name: str) -> NodeSeen:
        found = next((node for node in await self.nodes() if node.name == name), None)
        if found is None:
            raise Rejected("unknown-node", node=name)
        return found

    async def _update(self, node: str, state: str, mark: str) -> None:
        if len(mark) > MARK_CHARACTERS or _PLAIN.fullmatch(mark) is None:
            raise ValueError(f"not a plain mark: {mark!r}")
        await self._slurm.update_node(self._admin_user, node, state=state, reason=OURS + mark)


def _require(is_so: bool, state: NodeState, node: str) -> None:  # noqa: FBT001  a condition, named by its use
    if not is_so:
        raise Rejected("node-not-ours", node=node, state=state.value)
