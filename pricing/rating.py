"""From a usage record to amounts, cut at Japanese midnight. Pure.

A time-like component (GPU-seconds) is cut in proportion to time. Piece k is worth floor(price of all up to its end) −
floor(price of all up to its beginning): the pieces add up to the uncut amount to the micro-yen, whatever the cut. A
count-like component (QPU-seconds, shots) is not cut: it belongs to the day on which the record ends. Less time than the
version's minimum counts as that, and a slice has its premium (pricing.tariff).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from pricing.days import Piece, cut_at_midnight, day_of
from pricing.model import UNPRICED, Component, PriceComponent, PriceVersion, UsageToRate
from pricing.tariff import TIME_LIKE, counted_micro, price_of_use
from pricing.units import micro

_TICK = timedelta(microseconds=1)
_MOST_MICRO_YEN = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedPiece:
    """What one accounting day of a usage record is worth: at list, at the market, and at our price."""

    usage_record_id: UUID
    component: Component
    day: date
    effective_at: datetime
    quantity_micro: int
    list_micro_yen: int
    market_micro_yen: int
    price_micro_yen: int


def is_recorded_only(component: str) -> bool:
    """Whether a component deliberately has no price of its own."""
    return component in UNPRICED


def is_absurd(usage: UsageToRate, version: PriceVersion) -> bool:
    """Whether one record would cost more than a thousand million yen: nobody used that, and it must fit the ledger."""
    price = version.component(usage.component)
    if price is None:
        return False
    most = max(price.list_micro_yen, price.market_micro_yen)
    return usage.quantity * most > _MOST_MICRO_YEN * price.per


def rate(usage: UsageToRate, version: PriceVersion) -> tuple[RatedPiece, ...]:
    """The pieces of a record, by day. Empty for what is only recorded. KeyError when there is no price for it."""
    if is_recorded_only(usage.component):
        return ()
    price = price_of_use(version, usage)
    if price is None:
        raise KeyError(usage.component)
    if price.component in TIME_LIKE:
        cuts = cut_at_midnight(usage.started_at, usage.ended_at)
    else:
        cuts = (Piece(day_of(usage.ended_at), usage.ended_at, usage.ended_at),)
    quantity = counted_micro(version, usage)
    return tuple(_piece(usage, quantity, price, cut) for cut in cuts)


def _piece(usage: UsageToRate, quantity: int, price: PriceComponent, cut: Piece) -> RatedPiece:
    whole = (usage.ended_at - usage.started_at) // _TICK
    begin, end = ((moment - usage.started_at) // _TICK for moment in (cut.since, cut.until))
    if cut.since == cut.until:  # not cut: all of it
        whole, begin, end = 1, 0, 1

    def part(numerator: int, denominator: int) -> int:
        """The share of this piece in quantity × numerator ÷ denominator, as a difference of rounded-down sums."""
        up_to_end = quantity * end * numerator // (whole * denominator)
        return up_to_end - quantity * begin * numerator // (whole * denominator)

    per = micro(price.per)
    return RatedPiece(
        usage_record_id=usage.usage_record_id,
        component=price.component,
        day=cut.day,
        effective_at=cut.since,
        quantity_micro=part(1, 1),
        list_micro_yen=part(price.list_micro_yen, per),
        market_micro_yen=part(price.market_micro_yen, per),
        price_micro_yen=part(price.price_micro_yen, per),
    )
