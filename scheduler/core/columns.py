"""A queue as columns: what is loaded at once, as a database hands it over. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.core.request import STANDARD, Request


@dataclass(frozen=True, slots=True)
class Columns:
    """One row a job that waits for the machine; of what they mean, see Request."""

    number: NDArray[np.int64]
    leaf: NDArray[np.int64]
    units: NDArray[np.int64]
    limit_s: NDArray[np.int64]
    submitted_s: NDArray[np.int64]
    shape: NDArray[np.int64] | None = None
    """None: as `units`."""
    tier: NDArray[np.int64] | None = None
    """None: all are STANDARD."""

    def requests(self, machine: int) -> list[Request]:
        columns: list[Sequence[int]] = [self.number.tolist(), self.leaf.tolist(), self.units.tolist()]
        columns += [self.limit_s.tolist(), self.submitted_s.tolist(), [machine] * len(self.number)]
        columns.append(columns[2] if self.shape is None else self.shape.tolist())
        columns.append([STANDARD] * len(self.number) if self.tier is None else self.tier.tolist())
        return list(map(Request._make, zip(*columns, strict=True)))

    def asked(self) -> list[tuple[int, int]]:
        """(leaf, units that wait there) of each leaf."""
        leaves, where = np.unique(self.leaf, return_inverse=True)
        units = np.zeros(len(leaves), dtype=np.int64)
        np.add.at(units, where, self.units)
        return list(zip(leaves.tolist(), units.tolist(), strict=True))
