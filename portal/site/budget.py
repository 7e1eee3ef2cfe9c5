"""How many GPU-minutes an organisation may use on a site in all: the backstop behind our ledger. Pure.

What it has used, and what it can still pay at the lowest price, with room to spare. The ledger is what decides; this
number only ends what would run on past every hold, if our side failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal

from pricing.model import Component, OfferingWithPrices

ROOM = Decimal("1.5")
"""Slurm also counts what we do not charge: runs that were preempted, lost or turned away."""
LEAST_MINUTES = 60
MOST_MINUTES = 10**9
_MINUTE_S = 60


def gpu_minutes(*, used_gpu_s: Decimal, payable_micro_yen: int, micro_yen_per_gpu_s: Decimal | None) -> int:
    """At least an hour, so that a new organisation's first job does not wait for the next run of the sync."""
    if micro_yen_per_gpu_s is None:
        payable_s = Decimal(0)
    elif micro_yen_per_gpu_s == 0:
        return MOST_MINUTES
    else:
        payable_s = max(payable_micro_yen, 0) / micro_yen_per_gpu_s
    minutes = (ROOM * (used_gpu_s + payable_s) / _MINUTE_S).to_integral_value(ROUND_CEILING)
    return min(max(int(minutes), LEAST_MINUTES), MOST_MINUTES)


def lowest_price(offered: Iterable[Sequence[OfferingWithPrices]], *, backend: str) -> Decimal | None:
    """Micro-yen for a GPU-second on this backend, to whoever pays least; None: nothing is sold there."""
    prices = [
        priced.price_micro_yen / priced.per
        for of_class in offered
        for each in of_class
        if each.offering.backend == backend
        for version in each.prices
        if (priced := version.component(Component.GPU_S)) is not None
    ]
    return min(prices, default=None)
