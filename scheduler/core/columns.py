"""A queue as columns: what is loaded at once, as a database hands it over. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
