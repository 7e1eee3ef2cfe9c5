"""What jobs ask for, each kind of request once: a shape is its number. Pure."""

from __future__ import annotations

from hpc_adapters.contract import Resources
from scheduler.core.vectors import Vector, vector


class Shapes:
    """Numbers from 0 on, in the order in which they were first asked for. One for all halls; it only grows."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Resources, str | None, int], int] = {}
        self._needs: list[Resources] = []
        self._vectors: list[Vector] = []
        self._calls: list[str | None] = []
        self._footings: list[int] = []

    def __len__(self) -> int:
        return len(self._needs)

    def of(self, needs: Resources, calls: str | None = None, footing: int = 0) -> int:
        """calls: the device that it will call while it runs. footing: what else tells requests apart."""
        known = self._numbers.get((needs, calls, footing))
        if known is not None:
            return known
        number = self._numbers[needs, calls, footing] = len(self._needs)
        self._needs.append(needs)
        self._vectors.append(vector(needs))
        self._calls.append(calls)
        self._footings.append(footing)
        return number

    def needs(self, shape: int) -> Resources:
        """IndexError: no such shape."""
        return self._needs[shape]

    def vector(self, shape: int) -> Vector:
        """As needs()."""
        return self._vectors[shape]

    def calls(self, shape: int) -> str | None:
        """As needs()."""
        return self._calls[shape]

    def footing(self, shape: int) -> int:
        """As needs()."""
        return self._footings[shape]
