"""How long jobs really run, learnt from those that have ended. Pure.

What is learnt is the distribution of ran ÷ limit, as a histogram of steps of √2. That of a user's jobs of such a limit
leans on his organisation's, that on everybody's of such a limit, that on all: each counts its own ended jobs, and what
is above as if it had been so many more (_PRIOR), so that few jobs say little and many say all (a Dirichlet prior at
each level). Of a job that has run for some time, only what is longer is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from scheduler.core.request import Request

_HALVINGS: Final = 12
_STEPS: Final = 2 * _HALVINGS
"""From 2^-12 of the limit up to all of it; the last bin is what reached it."""
_LOG_EDGES: Final = np.linspace(-_HALVINGS, 0.0, _STEPS + 1)
_PRIOR: Final = 20.0
_CLASS_BITS: Final = 2

Floats = NDArray[np.floating[Any]]
_Key = tuple[int, ...]


class Lasting(Protocol):
    """What a forecast asks of a model of run times."""

    def quantiles(self, job: Request, has_run_s: int, levels: Floats) -> Sequence[int]:
        """How long it runs in all, at each level between 0 and 1: at least a second more than it has run."""


class RunTimes:
    """Learns by leaf; `paths`: of each leaf of the share tree, the nodes from the top down to it."""

    def __init__(self, paths: Sequence[tuple[int, ...]]) -> None:
        self._paths = paths
        self._counts: dict[_Key, Floats] = {}
        self._known: dict[tuple[int, int], Floats] = {}

    def learn(self, job: Request, lasted_s: int) -> None:
        """It has ended, of itself or by its limit."""
        at = _bin(lasted_s, job.limit_s)
        for key in self._keys(job):
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = np.zeros(_STEPS + 1)
            counts[at] += 1
        self._known.clear()

    def quantiles(self, job: Request, has_run_s: int, levels: Floats) -> Sequence[int]:
        """As Lasting says. Nothing learnt yet: anything up to the limit, evenly by ratio."""
        if has_run_s >= job.limit_s:
            return [has_run_s + 1] * len(levels)
        below = self._below(job)
        gone = 0.0
        if has_run_s > 0:
            gone = float(np.interp(np.log2(has_run_s / job.limit_s), _LOG_EDGES, below, left=0.0))
        ratios = np.exp2(np.interp(gone + levels * (1.0 - gone), below, _LOG_EDGES))
        lasting: Sequence[int] = np.maximum(has_run_s + 1, np.ceil(ratios * job.limit_s)).astype(np.int64).tolist()
        return lasting

    def _below(self, job: Request) -> Floats:
        """At each edge: the part of jobs that end before it. What is left at the last one reaches the limit."""
        known = job.leaf, _class(job.limit_s)
        below = self._known.get(known)
        if below is None:
            part = np.full(_STEPS + 1, 1.0 / (_STEPS + 1))
            for key in self._keys(job):
                counts = self._counts.get(key)
                if counts is not None:
                    part = (counts + _PRIOR * part) / (counts.sum() + _PRIOR)
            below = self._known[known] = np.concatenate(([0.0], np.cumsum(part[:-1])))
        return below

    def _keys(self, job: Request) -> list[_Key]:
        """All; all with such a limit; and of those, from the organisation down to the user."""
        kind = _class(job.limit_s)
        return [(), (kind,), *((kind, node) for node in self._paths[job.leaf])]


def _bin(lasted_s: int, limit_s: int) -> int:
    if lasted_s >= limit_s:
        return _STEPS
    return max(0, int(np.floor(2 * (np.log2(max(lasted_s, 0.5) / limit_s) + _HALVINGS))))


def _class(limit_s: int) -> int:
    """Limits within a factor of four are alike."""
    return (max(1, limit_s).bit_length() - 1) // _CLASS_BITS
