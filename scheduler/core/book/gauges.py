"""How much each limited branch has with backends, beside what it may: kept up to date, start by start. Pure.

The limits and their meaning are those of quotas.py; this knows them by the numbers of the tree's nodes, so that a look
costs a step for each limit on a leaf's path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.core.branches import Level
from scheduler.core.pool import FOREVER
from scheduler.core.quotas import EVERYWHERE, MICRO, Refused
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Limits

NodePlace = tuple[int, str | None]
"""A node of the tree, and a backend or (None) all of them together."""
_LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Size:
    """What one job counts. micro_nu: its full size; calls_micro_nu: of all its calls, which count on `calls`."""

    leaf: int
    backend: str
    gpus: int = 0
    micro_nu: int = 0
    calls: str | None = None
    calls_micro_nu: int = 0


class Gauge:
    """Of one place."""

    __slots__ = ("backend", "gpus", "level", "limits", "micro_nu", "running")

    def __init__(self, backend: str | None, level: Level, limits: Limits, used_micro_nu: int) -> None:
        self.backend, self.level, self.limits = backend, level, limits
        self.running = self.gpus = 0
        self.micro_nu = used_micro_nu

    def count(self, size: Size, sign: int) -> None:
        if self.backend in {None, size.backend}:
            self.running += sign
            self.gpus += sign * size.gpus
        self.micro_nu += sign * self._micro_nu(size)

    @property
    def is_near(self) -> bool:
        """No more jobs may run; or other than jobs is limited, of which one never knows who waits for the last bit."""
        limits = self.limits
        if limits.max_gpus is not None or limits.max_month_micro_nu is not None:
            return True
        return limits.max_running_jobs is not None and self.running >= limits.max_running_jobs

    def refuses(self, backend: str, gpus: int) -> bool:
        """Any job of so many GPUs, whatever its length."""
        if self.backend is not None and self.backend != backend:
            return False
        limits = self.limits
        if limits.max_running_jobs is not None and self.running >= limits.max_running_jobs:
            return True
        return limits.max_gpus is not None and gpus > 0 and self.gpus + gpus > limits.max_gpus

    def refusal(self, size: Size) -> Refused | None:
        """The first of its limits that the job would break."""
        limits, here = self.limits, self.backend in {None, size.backend}
        if here and limits.max_running_jobs is not None and self.running >= limits.max_running_jobs:
            return Why.RUNNING_QUOTA, self._facts(running=self.running, max=limits.max_running_jobs)
        if here and limits.max_gpus is not None and size.gpus and self.gpus + size.gpus > limits.max_gpus:
            return Why.GPU_QUOTA, self._facts(used=self.gpus, asked=size.gpus, max=limits.max_gpus)
        most, micro_nu = limits.max_month_micro_nu, self._micro_nu(size)
        if most is not None and micro_nu and self.micro_nu + micro_nu > most:
            facts = self._facts(used=self.micro_nu / MICRO, asked=micro_nu / MICRO, max=most / MICRO)
            return Why.NU_QUOTA, facts
        return None

    def _micro_nu(self, size: Size) -> int:
        """What its calls may use counts on the device that they go to."""
        own = size.micro_nu if self.backend in {None, size.backend} else 0
        return own + (size.calls_micro_nu if self.backend in {None, size.calls} else 0)

    def _facts(self, **numbers: object) -> dict[str, object]:
        return {"level": self.level.value, "on": self.backend or EVERYWHERE, **numbers}


class Gauges:
    """Of all limited places. path: the nodes on which a leaf hangs, from the top."""

    def __init__(self, path: Callable[[int], tuple[int, ...]]) -> None:
        self._path = path
        self._of_node: dict[int, list[Gauge]] = {}
        self._of_leaf: dict[int, tuple[Gauge, ...]] = {}

    def limit(
        self, limits: Mapping[NodePlace, Limits], levels: Mapping[int, int], used_micro_nu: Mapping[NodePlace, int]
    ) -> None:
        """Limits, the level of each node, and what ended in this month; all that runs must be counted again."""
        self._of_node, self._of_leaf = {}, {}
        for node, backend in sorted(limits, key=lambda place: (place[0], place[1] or "")):
            place = (node, backend)
            gauge = Gauge(backend, _LEVELS[levels[node]], limits[place], used_micro_nu.get(place, 0))
            self._of_node.setdefault(node, []).append(gauge)

    def count(self, size: Size, sign: int) -> None:
        """It is with its backend from now on (1), or no more (-1)."""
        for gauge in self._of(size.leaf):
            gauge.count(size, sign)

    def used(self, leaf: int, backend: str, micro_nu: int) -> None:
        """It has ended, and used so much in this month."""
        for gauge in self._of(leaf):
            if gauge.backend in {None, backend}:
                gauge.micro_nu += micro_nu

    def binds(self, leaf: int) -> bool:
        """Whether what ends there may let others start, also elsewhere."""
        return any(gauge.is_near for gauge in self._of(leaf))

    def longest(self, leaf: int, backend: str, gpus: int) -> int:
        """FOREVER, or below 0 if no job of so many GPUs may start."""
        return -1 if any(gauge.refuses(backend, gpus) for gauge in self._of(leaf)) else FOREVER

    def counts_units(self, leaf: int) -> bool:
        """Whether normalised units are limited on its path, so that each job must be asked for by itself."""
        return any(gauge.limits.max_month_micro_nu is not None for gauge in self._of(leaf))

    def refusal(self, size: Size) -> Refused | None:
        """Which limit it would break, from the top of the tree down; None: none."""
        refusals: Iterable[Refused | None] = (gauge.refusal(size) for gauge in self._of(size.leaf))
        return next((refused for refused in refusals if refused is not None), None)

    def _of(self, leaf: int) -> tuple[Gauge, ...]:
        found = self._of_leaf.get(leaf)
        if found is None:
            on_path = (self._of_node.get(node, ()) for node in self._path(leaf))
            found = self._of_leaf[leaf] = tuple(gauge for gauges in on_path for gauge in gauges)
        return found
