"""What each organisation is entitled to now, and how far it has been off lately. Pure.

Entitlement: weighted max-min share (water-filling) of all machines by demand (running + waiting): the level λ solves
Σ min(demand_i, weight_i·λ) = capacity, the share of i is min(demand_i, weight_i·λ) (Bertsekas & Gallager, Data
Networks, §6.5.2). Debt: the mean of held − entitled over the past, each moment weighing half as much one half-life
later. All in micro-NU per hour, whole numbers, of all organisations in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduler.core.growth import Growth

_BITS = 40
_HALF_BITS = _BITS // 2

Whole = NDArray[Any]
"""Whole numbers: of 64 bits where no product can need more, else Python's own (dtype object). Exact either way."""


def whole_type(capacity: int, weights: int) -> type:
    """For amounts up to `capacity`, and their products with numbers that add up to `weights`."""
    return np.int64 if capacity < 1 << _BITS and capacity * weights < 1 << 62 else object


class Entitlements:
    """Of organisations with these weights (above 0), none of which asks for more than the capacity."""

    def __init__(self, weights: Sequence[int], capacity: int) -> None:
        self._capacity = capacity
        self._weights: Whole = np.array(weights, dtype=whole_type(capacity, sum(weights)))
        self._content = np.zeros(len(weights), dtype=bool)
        """Who got all they asked for when it was last asked: where the search begins."""

    def weigh(self, index: int, weight: int) -> bool:
        """It weighs so much from now on. False: numbers of this kind are too small for that."""
        total = int(self._weights.sum()) - int(self._weights[index]) + weight
        if whole_type(self._capacity, total) is not self._weights.dtype.type and self._weights.dtype != object:
            return False
        self._weights[index] = weight
        return True

    def of(self, demands: Whole) -> Whole:
        """Of each; rounded down. They add up to the capacity where the demands do not fit, else to the demands.

        For any set S of the content, the λ of Σ_S demand + λ·Σ_others weight = capacity is at most the right one, and
        the right one is the only one at which S is again who is content. So S only grows after the first step.
        """
        if demands.sum() <= self._capacity:
            return demands.copy()
        content = self._content
        while True:
            left = self._capacity - int(demands[content].sum())
            if left < 0:
                content = np.zeros(len(demands), dtype=bool)
                continue
            weight = int(self._weights[~content].sum())
            again = demands * weight <= left * self._weights
            if (again == content).all():
                break
            content = again
        self._content = content
        return np.where(content, demands, left * self._weights // weight)


class Debts:
    """Of each organisation, since the first `gone_by`. Nothing held or entitled to is more than `capacity`."""

    def __init__(self, organisations: int, half_life_s: int, capacity: int) -> None:
        self.of: Whole = np.zeros(organisations, dtype=whole_type(capacity, 1))
        self._gaps = self.of
        self._growth = Growth(half_life_s)
        self._at_s = 0

    def began(self, now_s: int) -> None:
        """Time is counted from now on."""
        self._at_s = now_s

    def gone_by(self, now_s: int) -> None:
        """Time passes with the gaps as they are: (debt·kept + gap·(1 − kept)), rounded to the nearest.

        In two halves of 20 bits, so that no product needs more than 62, with
        ⌊(a·2^20 + b) ÷ 2^40⌋ = ⌊(a + ⌊b ÷ 2^20⌋) ÷ 2^20⌋.
        """
        if now_s <= self._at_s:
            return
        kept = (1 << 2 * _BITS) // self._growth(now_s - self._at_s)
        high, low = divmod(kept, 1 << _HALF_BITS)
        beyond = self.of - self._gaps
        half = 1 << (_BITS - 1)
        self.of = self._gaps + ((beyond * high + ((beyond * low + half) >> _HALF_BITS)) >> _HALF_BITS)
        self._at_s = now_s

    def from_now(self, gaps: Whole) -> None:
        """Held − entitled, until told otherwise."""
        self._gaps = gaps
