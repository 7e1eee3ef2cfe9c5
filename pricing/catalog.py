"""What may be sold, how large a job may be, and which prices may be published. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from pricing.errors import (
    ExchangeRateWrong,
    GpusRequired,
    MarketReferenceUnknown,
    PriceAboveList,
    PriceComponentsWrong,
    PriceNotBelowMarket,
    SessionIdleTooLong,
    SessionsNotOffered,
    SessionTooLong,
    ShotsRequired,
    TooManyGpus,
    TooManyShots,
    WalltimeRequired,
    WalltimeTooLong,
)
from pricing.model import (
    Component,
    ForeignPrice,
    JobSize,
    NewPrice,
    Offering,
    OfferingKind,
    PriceComponent,
)
from pricing.reference import MarketReference
from pricing.tariff import with_premium
from pricing.units import amount_down, micro, yen_text

_CURRENCY = re.compile(r"[A-Z]{3}")
_MAX_SOURCE = 200
_MOST_MICRO_YEN = 10**18


def priced(offering: Offering) -> frozenset[Component]:
    """What a price version of an offering must price: all of it, a price of 0 included, and nothing else."""
    if offering.kind is OfferingKind.GPU:
        return frozenset({Component.GPU_S})
    needed = {Component.QPU_S, Component.SHOT}
    needed |= {Component.SESSION_S} if offering.max_session_s else set()
    needed |= {Component.SIM_S} if offering.sim_units else set()
    return frozenset(needed)


def require_size(offering: Offering, size: JobSize) -> None:
    """Whether a job of this size fits the offering.

    WalltimeRequired, WalltimeTooLong, GpusRequired, TooManyGpus, ShotsRequired, TooManyShots; SessionsNotOffered,
    SessionTooLong, SessionIdleTooLong.
    """
    if size.walltime_s < 1:
        raise WalltimeRequired(requested_s=size.walltime_s)
    if size.session_idle_s is not None:
        return _require_session(offering, size.walltime_s, size.session_idle_s)
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
    return None


def _require_session(offering: Offering, walltime_s: int, idle_s: int) -> None:
    if not offering.max_session_s:
        raise SessionsNotOffered(offering=offering.id)
    if walltime_s > offering.max_session_s:
        raise SessionTooLong(requested_s=walltime_s, limit_s=offering.max_session_s)
    if not 1 <= idle_s <= offering.max_session_idle_s:
        raise SessionIdleTooLong(requested_s=idle_s, limit_s=offering.max_session_idle_s)


def priced_components(
    offering: Offering,
    prices: Sequence[NewPrice],
    references: Mapping[UUID, MarketReference],
    *,
    slice_premium_bp: int = 0,
) -> tuple[PriceComponent, ...]:
    """The components of a version to be published, by name, each with its market price, if all may be published.

    slice_premium_bp: a slice's price, too, must lie below the market's.

    PriceComponentsWrong, MarketReferenceUnknown, PriceAboveList, PriceNotBelowMarket, ExchangeRateWrong.
    """
    given = [price.component for price in prices]
    needed = priced(offering)
    if sorted(given) != sorted(needed):
        raise PriceComponentsWrong(needed=sorted(needed), given=sorted(given))
    in_order = sorted(prices, key=lambda price: price.component)
    components = tuple(_priced(offering, price, references.get(price.market_reference_id)) for price in in_order)
    for each in components:
        _require_below_market(with_premium(each, slice_premium_bp))
    return components


def _require_below_market(price: PriceComponent) -> None:
    if price.price_micro_yen >= price.market_micro_yen:
        raise PriceNotBelowMarket(
            component=price.component.value,
            price_yen=yen_text(price.price_micro_yen),
            market_yen=yen_text(price.market_micro_yen),
        )


def _priced(offering: Offering, price: NewPrice, reference: MarketReference | None) -> PriceComponent:
    if reference is None or (reference.resource_type, reference.component) != (offering.resource_type, price.component):
        raise MarketReferenceUnknown(reference=str(price.market_reference_id), component=price.component.value)
    if price.foreign is not None:
        _require_converted(price, price.foreign)
    if not 0 <= price.price_micro_yen <= price.list_micro_yen:
        raise PriceAboveList(
            component=price.component.value,
            price_yen=yen_text(price.price_micro_yen),
            list_yen=yen_text(price.list_micro_yen),
        )
    market = market_price(reference, price)
    if market > _MOST_MICRO_YEN:
        raise MarketReferenceUnknown(reference=str(reference.id), component=price.component.value)
    return PriceComponent(
        component=price.component,
        per=price.per,
        price_micro_yen=price.price_micro_yen,
        list_micro_yen=price.list_micro_yen,
        market_micro_yen=market,
        market_reference_id=reference.id,
        foreign=price.foreign,
    )


def _require_converted(price: NewPrice, foreign: ForeignPrice) -> None:
    sound = _CURRENCY.fullmatch(foreign.currency) and foreign.exchange_rate > 0
    sound = sound and 1 <= len(foreign.source) <= _MAX_SOURCE and foreign.price_micro_yen <= _MOST_MICRO_YEN
    if not sound or price.price_micro_yen != foreign.price_micro_yen:
        raise ExchangeRateWrong(
            component=price.component.value,
            currency=foreign.currency,
            amount=str(foreign.amount),
            exchange_rate=str(foreign.exchange_rate),
            price_yen=yen_text(price.price_micro_yen),
        )


def market_price(reference: MarketReference, price: NewPrice) -> int:
    """The market's price for as many units as ours, rounded down: never flattering to our discount."""
    return amount_down(micro(price.per), price_micro_yen=reference.amount_micro_yen, per_micro=micro(reference.per))
