"""What a price version says beside the bare price: the premium of a slice, and the minimum time. Pure.

    price of a slice  = price × (1 + premium), rounded down to a micro-yen per `per` units
    time that counts  = max(time, minimum)

A slice is less of a machine than it is sold by: fewer GPUs than `slice_below_gpus` leave a rest that is hard to sell.
Both are frozen with the version, and hold for the quote and for the charge alike. ABCI's tariffs have the same two.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pricing.model import Component, PriceComponent, PriceVersion, UsageToRate
from pricing.units import micro

TIME_LIKE = frozenset({Component.GPU_S})
"""Components that grow with units × time."""
_WHOLE_BP = 10_000
_TICK = timedelta(microseconds=1)


def with_premium(price: PriceComponent, premium_bp: int) -> PriceComponent:
    """Price and list price so much higher; the market's price as it is."""
    if not premium_bp:
        return price
    return replace(
        price,
        price_micro_yen=price.price_micro_yen * (_WHOLE_BP + premium_bp) // _WHOLE_BP,
        list_micro_yen=price.list_micro_yen * (_WHOLE_BP + premium_bp) // _WHOLE_BP,
    )


def for_job(version: PriceVersion, *, gpus: int) -> PriceVersion:
    """The version with the prices that a job of so many GPUs has."""
    if not version.slice_premium_bp or gpus >= version.slice_below_gpus:
        return version
    premium = version.slice_premium_bp
    components = (with_premium(each, premium) if each.component in TIME_LIKE else each for each in version.components)
    return replace(version, components=tuple(components))


def price_of_use(version: PriceVersion, usage: UsageToRate) -> PriceComponent | None:
    """The same of what was used: units × time over the time tells how many units it were."""
    price = version.component(usage.component)
    if price is None or price.component not in TIME_LIKE:
        return price
    is_slice = micro(usage.quantity) < version.slice_below_gpus * _elapsed_us(usage)
    return with_premium(price, version.slice_premium_bp) if is_slice else price


def counted_s(version: PriceVersion, time_s: int) -> int:
    """Seconds that a job's time limit counts for."""
    return max(time_s, version.minimum_s)


def counted_micro(version: PriceVersion, usage: UsageToRate) -> int:
    """Micro-units that use counts for: as if it had lasted the minimum time. Rounded down; no time is nothing."""
    quantity, elapsed_us = micro(usage.quantity), _elapsed_us(usage)
    least_us = version.minimum_s * 1_000_000
    if usage.component not in TIME_LIKE or not 0 < elapsed_us < least_us:
        return quantity
    return quantity * least_us // elapsed_us


def _elapsed_us(usage: UsageToRate) -> int:
    return (usage.ended_at - usage.started_at) // _TICK
