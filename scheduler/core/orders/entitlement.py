"""What each organisation is entitled to now, and how far it has been off lately. Pure.

Entitlement: weighted max-min share (water-filling) of all machines by demand (running + waiting): the level λ solves
Σ min(demand_i, weight_i·λ) = capacity, the share of i is min(demand_i, weight_i·λ) (Bertsekas & Gallager, Data
Networks, §6.5.2). Debt: the mean of held − entitled over the past, each moment weighing half as much one half-life
later. All in micro-NU per hour, whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.core.growth import Growth

_BITS = 40


def entitlements(weights: Sequence[int], demands: Sequence[int], capacity: int) -> list[int]:
    """Of each; rounded down. They add up to the capacity where the demands do not fit, else to the demands."""
    if sum(demands) <= capacity:
        return list(demands)
    shares = [0] * len(weights)
    asking = [index for index, demand in enumerate(demands) if demand]
    asking.sort(key=lambda index: demands[index] / weights[index])
    left, weight_left = capacity, sum(weights[index] for index in asking)
    for index in asking:
        demand, weight = demands[index], weights[index]
        if demand * weight_left <= left * weight:
            shares[index] = demand
            left -= demand
            weight_left -= weight
        else:
            shares[index] = left * weight // weight_left
    return shares


class Debts:
    """Of each organisation, since the first `gone_by`."""

    def __init__(self, organisations: int, half_life_s: int) -> None:
        self.of = [0] * organisations
        self._gaps = [0] * organisations
        self._growth = Growth(half_life_s)
        self._at_s = 0

    def gone_by(self, now_s: int) -> None:
        """Time passes with the gaps as they are."""
        if now_s == self._at_s:
            return
        kept = (1 << 2 * _BITS) // self._growth(now_s - self._at_s)
        new = (1 << _BITS) - kept
        half = 1 << (_BITS - 1)
        self.of = [(debt * kept + gap * new + half) >> _BITS for debt, gap in zip(self.of, self._gaps, strict=True)]
        self._at_s = now_s

    def from_now(self, gaps: Sequence[int]) -> None:
        """Held − entitled, until told otherwise."""
        self._gaps = list(gaps)
