"""Weighted max-min (water-filling) shares, exact. Pure.

The level λ solves Σ min(demand_i, weight_i·λ) = capacity; the share of i is min(demand_i, weight_i·λ): nobody gets more
than it asks for, and what one leaves is divided among the others by weight (Bertsekas & Gallager, Data Networks,
§6.5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Level = tuple[int, int]
"""λ as (numerator, denominator), not reduced; (1, 0): all demands fit, so that each has what it asks for."""


def water_level(claims: Sequence[tuple[int, int]], capacity: int) -> Level:
    """claims: (weight, demand) of each, weights above 0."""
    left = capacity - sum(demand for _, demand in claims)
    if left >= 0:
        return (1, 0)
    remaining, weight_left = capacity, sum(weight for weight, demand in claims if demand)
    for weight, demand in sorted((each for each in claims if each[1]), key=_thirst):
        if demand * weight_left > remaining * weight:
            break
        remaining -= demand
        weight_left -= weight
    return remaining, weight_left


def _thirst(claim: tuple[int, int]) -> Fraction:
    return Fraction(claim[1], claim[0])


def share_at(level: Level, weight: int, demand: int) -> Fraction:
    """The share of one at this level."""
    numerator, denominator = level
    if demand * denominator <= weight * numerator:
        return Fraction(demand)
    return Fraction(weight * numerator, denominator)
