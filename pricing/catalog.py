"""What may be sold, how large a job may be, and which prices may be published. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from pricing.errors import (
    GpusRequired,
    MarketReferenceUnknown,
    PriceAboveList,
    PriceComponentsWrong,
    PriceNotBelowMarket,
    ShotsRequired,
    TooManyGpus,
    TooManyShots,
    WalltimeRequired,
    WalltimeTooLong,
)
from pricing.model import (
    Component,
    JobSize,
    MarketReference,
    NewPrice,
    Offering,
    OfferingKind,
    PriceComponent,
)
from pricing.units import amount_down, micro, yen_text

PRICED: Mapping[OfferingKind, frozenset[Component]] = {
    OfferingKind.GPU: frozenset({Component.GPU_S}),
    OfferingKind.QUANTUM: frozenset({Component.QPU_S, Component.SHOT}),
}
"""The components that a price version of each kind must price: all of them, a price of 0 included, and no other."""


def require_size(offering: Offering, size: JobSize) -> None:
    """Whether a job of this size fits the offering.

    WalltimeRequired, WalltimeTooLong, GpusRequired, TooManyGpus, ShotsRequired, TooManyShots.
    """
    if size.walltime_s < 1:
        raise WalltimeRequired(requested_s=size.walltime_s)
    if size.walltime_s > offering.max_walltime_s:
        raise WalltimeTooLong(requested_s=size.walltime_s, limit_s=offering.max_walltime_s)
    if size.gpus < 1 and offering.kind is OfferingKind.GPU:
        raise GpusRequired(offering=offering.id)
    if size.gpus > offering.max_gpus:
        raise TooManyGpus(requested=size.gpus, limit=offering.max_gpus)
    if size.shots < 1 and offering.kind is OfferingKind.QUANTUM:
        raise ShotsRequired(offering=offering.id)
    if size.shots > offering.max_shots:
        raise TooManyShots(requested=size.shots, limit=offering.max_shots)


def priced_components(
    offering: Offering, prices: Sequence[NewPrice], references: Mapping[UUID, MarketReference]
) -> tuple[PriceComponent, ...]:
    """The components of a version to be published, by name, each with its market price, if all may be published.

    PriceComponentsWrong, MarketReferenceUnknown, PriceAboveList, PriceNotBelowMarket.
    """
    given = [price.component for price in prices]
    needed = PRICED[offering.kind]
    if sorted(given) != sorted(needed):
        raise PriceComponentsWrong(needed=sorted(needed), given=sorted(given))
    in_order = sorted(prices, key=lambda price: price.component)
    return tuple(_priced(offering, price, references.get(price.market_reference_id)) for price in in_order)


def _priced(offering: Offering, price: NewPrice, reference: MarketReference | None) -> PriceComponent:
    if reference is None or (reference.resource_type, reference.component) != (offering.resource_type, price.component):
        raise MarketReferenceUnknown(reference=str(price.market_reference_id), component=price.component.value)
    if not 0 <= price.price_micro_yen <= price.list_micro_yen:
        raise PriceAboveList(
            component=price.component.value,
            price_yen=yen_text(price.price_micro_yen),
            list_yen=yen_text(price.list_micro_yen),
        )
    market = market_price(reference, price)
    if price.price_micro_yen >= market:
        raise PriceNotBelowMarket(
            component=price.component.value, price_yen=yen_text(price.price_micro_yen), market_yen=yen_text(market)
        )
    return PriceComponent(
        component=price.component,
        per=price.per,
        price_micro_yen=price.price_micro_yen,
        list_micro_yen=price.list_micro_yen,
        market_micro_yen=market,
        market_reference_id=reference.id,
    )


def market_price(reference: MarketReference, price: NewPrice) -> int:
    """The market's price for as many units as ours, rounded down: never flattering to our discount."""
    return amount_down(micro(price.per), price_micro_yen=reference.amount_micro_yen, per_micro=micro(reference.per))
