"""Machines that can be taken out of service and brought back, beside the port. Values only.

Who takes one out says why in a mark. A backend never touches a machine that somebody else took out, and never ends a
job: a machine leaves when what runs there has ended, and loses its power only after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

MARK_CHARACTERS = 120


class NodeState(StrEnum):
    """Where a machine is on its way out of service and back."""

    SERVING = "serving"
    LEAVING = "leaving"
    """We have taken it out; something still runs there, nothing new starts."""
    OUT = "out"
    """We have taken it out, and nothing runs there."""
    SINKING = "sinking"
    """It is losing its power; nobody can change that now."""
    OFF = "off"
    """Without power, by us."""
    WAKING = "waking"
    """It gets its power back, whoever asked for it."""
    FOREIGN = "foreign"
    """Out of service by somebody else, or shared with others: not ours to touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """A machine now. units: GPUs and QPUs. idle_since None: something runs there, or will at once.

    mark: what we said when we took it out; empty where we did not.
    """

    name: str
    state: NodeState
    units: int
    idle_since: datetime | None = None
    mark: str = ""


@runtime_checkable
class Elastic(Protocol):
    """A backend that can do this implements it beside `Backend`. Every method may raise Unavailable; each call may be
    repeated. Rejected: 'unknown-node', 'node-not-ours', 'node-not-idle', 'node-not-ready', 'not-allowed',
    'no-power-saving'.
    """

    async def nodes(self) -> Sequence[NodeSeen]:
        """All of them, by name."""

    async def withdraw(self, node: str, mark: str) -> None:
        """Nothing new starts there; what runs goes on. The mark: plain characters, MARK_CHARACTERS at most."""

    async def power_down(self, node: str, mark: str) -> None:
        """Only what is OUT. Rejected('node-not-idle') otherwise."""

    async def restore(self, node: str) -> None:
        """Back into service, with its power first where it has none. Rejected('node-not-ready') while it is SINKING."""
