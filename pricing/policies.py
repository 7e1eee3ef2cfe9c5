"""Settings of the price book that two persons set, with their defaults and what they may be. Pure.

| policy | value |
|---|---|
| `market_reference_age` | `{"warn_after_days": 90, "block_after_days": 180}` |
| `volume_discount` | `{"tiers": [{"above_yen": "1000000", "percent_bp": 500}, …]}`: off what a month is above that |
| `refund_matrix` | `{"out_of_memory": 5000, …}`: cause → what is charged, in 1/100 of a percent |
| `refund_limit` | `{"above_yen": "10000", "day_above_yen": "100000"}`: more of a job, or on a day, needs two persons |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from pricing import refunds
from pricing.discounts import Tier
from pricing.errors import PolicyWrong
from pricing.reference import ReferenceAge
from pricing.units import micro

MARKET_REFERENCE_AGE = "market_reference_age"
VOLUME_DISCOUNT = "volume_discount"
_MOST_DAYS = 3_650
_MOST_TIERS = 20
_WHOLE_BP = 10_000


def reference_age(value: Mapping[str, Any] | None) -> ReferenceAge:
    """Of the policy `market_reference_age`; None: the default. PolicyWrong."""
    if value is None:
        return ReferenceAge()
    if set(value) != {"warn_after_days", "block_after_days"}:
        raise PolicyWrong(policy=MARKET_REFERENCE_AGE)
    warn, block = value["warn_after_days"], value["block_after_days"]
    if not (_is_whole(warn) and _is_whole(block) and 0 < warn <= block <= _MOST_DAYS):
        raise PolicyWrong(policy=MARKET_REFERENCE_AGE)
    return ReferenceAge(warn_after_days=warn, block_after_days=block)


def volume_discount(value: Mapping[str, Any] | None) -> tuple[Tier, ...]:
    """Of the policy `volume_discount`; None: there is none. Thresholds and percentages rise. PolicyWrong."""
    if value is None:
        return ()
    try:
        tiers = tuple(Tier(micro(each["above_yen"]), each["percent_bp"]) for each in value["tiers"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        raise PolicyWrong(policy=VOLUME_DISCOUNT) from None
    rising = all(
        low.above_micro_yen < high.above_micro_yen and low.percent_bp < high.percent_bp for low, high in pairwise(tiers)
    )
    sound = all(_is_whole(each.percent_bp) and 0 < each.percent_bp < _WHOLE_BP for each in tiers)
    if set(value) != {"tiers"} or not sound or not rising or len(tiers) > _MOST_TIERS:
        raise PolicyWrong(policy=VOLUME_DISCOUNT)
    if any(each.above_micro_yen < 0 for each in tiers):
        raise PolicyWrong(policy=VOLUME_DISCOUNT)
    return tiers


_READERS: Mapping[str, Callable[[Mapping[str, Any] | None], object]] = {
    MARKET_REFERENCE_AGE: reference_age,
    VOLUME_DISCOUNT: volume_discount,
    refunds.MATRIX: refunds.matrix,
    refunds.LIMIT: refunds.limits,
}
NAMES = tuple(_READERS)


def require_policy(name: str, value: object) -> None:
    """PolicyWrong: there is no such policy, or it cannot have this value."""
    if name not in _READERS or not isinstance(value, Mapping):
        raise PolicyWrong(policy=name)
    _READERS[name](value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
