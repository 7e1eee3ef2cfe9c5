"""Machines that obey at once, before a backend that knows nothing of machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from hpc_adapters.contract import Backend, Capacity
from hpc_adapters.elastic import NodeSeen, NodeState
from hpc_adapters.errors import BackendError


@dataclass
class Switchable:
    """Stands before a backend as one whose machines can be switched. told: every call that it got, in order."""

    inner: Backend
    seen: dict[str, NodeSeen]
    told: list[tuple[str, str]] = field(default_factory=list)
    problem: BackendError | None = None
    """What every change is answered with."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def capacity(self) -> Capacity:
        """What is out of service is not there."""
        told = await self.inner.capacity()
        lacking = sum(each.units for each in self.seen.values() if each.state is not NodeState.SERVING)
        total = replace(told.total, gpus=told.total.gpus - lacking)
        return replace(told, total=total, free=replace(told.free, gpus=max(0, told.free.gpus - lacking)))

    async def nodes(self) -> Sequence[NodeSeen]:
        return [self.seen[name] for name in sorted(self.seen)]

    async def withdraw(self, node: str, mark: str) -> None:
        self._change("withdraw", node, state=NodeState.OUT, mark=mark)

    async def power_down(self, node: str, mark: str) -> None:
        self._change("power_down", node, state=NodeState.OFF, mark=mark)

    async def restore(self, node: str) -> None:
        self._change("restore", node, state=NodeState.SERVING, mark="")

    def _change(self, call: str, node: str, *, state: NodeState, mark: str) -> None:
        self.told.append((call, node))
        if self.problem is not None:
            raise self.problem
        self.seen[node] = replace(self.seen[node], state=state, mark=mark)


def machines(names: Sequence[str], *, units: int, idle_since: datetime) -> dict[str, NodeSeen]:
    """All in service, and idle."""
    return {name: NodeSeen(name=name, state=NodeState.SERVING, units=units, idle_since=idle_since) for name in names}
