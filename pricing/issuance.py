"""What is given out and sold must be deliverable: value in all wallets against the machine time that is left. Pure.

A compute programme that grants more than its machines can run by the end of the fiscal year breaks its word in March.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from infra.tokyo import TOKYO
from pricing.days import midnight
from pricing.errors import MoreThanDeliverable
from pricing.units import MICRO, amount_down, yen_text

_SECONDS_PER_HOUR = 3600
_FISCAL_YEAR_BEGINS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """What a resource type can give: units of a component per hour, and the least that such an amount is sold for.

    per_hour: such as 576 GPUs × 3,600 GPU-seconds; what is down, reserved for others or unsold is already taken off.
    """

    resource_type: str
    component: str
    per_hour: Decimal
    price_micro_yen: int
    per: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuance:
    """Value that may still be spent, and what can be delivered until the end of the period."""

    until: datetime
    deliverable_micro_yen: int | None
    """None: nobody has said what there is, and nothing is refused."""
    outstanding_micro_yen: int
    """Available and held in all wallets, free credit lines included."""

    @property
    def left_micro_yen(self) -> int | None:
        """What may still be given out; below 0 when too much has been."""
        if self.deliverable_micro_yen is None:
            return None
        return self.deliverable_micro_yen - self.outstanding_micro_yen

    def require(self, amount_micro_yen: int) -> None:
        """MoreThanDeliverable: with so much more the machines could not give all that is paid for."""
        left = self.left_micro_yen
        if left is not None and amount_micro_yen > left:
            raise MoreThanDeliverable(
                amount_yen=yen_text(amount_micro_yen),
                left_yen=yen_text(max(left, 0)),
                until=self.until.isoformat(),
            )


def period_end(now: datetime) -> datetime:
    """The end of the fiscal year in which this moment lies: midnight before 1 April, Tokyo."""
    day = now.astimezone(TOKYO).date()
    return midnight(date(day.year + (day.month >= _FISCAL_YEAR_BEGINS), _FISCAL_YEAR_BEGINS, 1))


def deliverable_micro_yen(parts: Iterable[Deliverable], *, now: datetime, until: datetime) -> int | None:
    """What all resource types can give from now on, at their least prices, rounded down. None: no part is known.

    The least price: whoever buys the cheapest takes the most machine time for the same yen. A part that costs nothing
    bounds nothing, and is left out.
    """
    parts = list(parts)
    if not parts:
        return None
    left_s = max(int((until - now).total_seconds()), 0)
    total = 0
    for part in parts:
        quantity_micro = int(part.per_hour * MICRO) * left_s // _SECONDS_PER_HOUR
        total += amount_down(quantity_micro, price_micro_yen=part.price_micro_yen, per_micro=int(part.per * MICRO))
    return total
