"""The price book: versions to be published, the rule that makes a price, and when a version may hold. Pure.

    price = list price × coefficient of the customers' class × coefficient of the service class, rounded down

Versions of one offering, class and service class follow each other without overlap and without a gap: each holds from
its instant until the next one's. An end that is said must be where the next one begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.model import CustomerClass
from pricing.errors import (
    CoefficientWrong,
    PriceBackdated,
    PriceGap,
    PriceRuleBroken,
    PriceVersionExists,
    PriceVersionsOverlap,
)
from pricing.model import Component, ForeignPrice, NewPrice, PriceVersion, ServiceClass
from pricing.reference import MarketReference
from pricing.units import micro, yen_text

_WHOLE_BP = 10_000
_MOST_PREMIUM_BP = 100_000
_MOST_MINIMUM_S = 3_600


@dataclass(frozen=True, slots=True)
class Rule:
    """What of the list price a class of customers pays, and what for a service class, each in 1/100 of a percent."""

    customer_class_bp: int = _WHOLE_BP
    service_class_bp: int = _WHOLE_BP

    def price_of(self, list_micro_yen: int) -> int:
        """Rounded down to a micro-yen."""
        return list_micro_yen * self.customer_class_bp * self.service_class_bp // _WHOLE_BP**2


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version to be published. valid_from None: from the moment on at which it is approved."""

    id: UUID
    offering_id: str
    customer_class: CustomerClass
    service_class: ServiceClass
    valid_from: datetime | None
    tax_rate_bp: int
    prices: tuple[NewPrice, ...]
    valid_until: datetime | None = None
    rule: Rule | None = None
    """None: the prices are entered as they are."""
    slice_below_gpus: int = 0
    slice_premium_bp: int = 0
    minimum_s: int = 0


@dataclass(frozen=True, slots=True)
class Term:
    """When a published version holds: until the next one, which is where its end was said, if it was."""

    valid_from: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A published version with the references below which it lies. valid_until None: until another is published."""

    version: PriceVersion
    valid_until: datetime | None
    references: Mapping[UUID, MarketReference]


def history(
    versions: Sequence[PriceVersion],
    references: Mapping[UUID, MarketReference],
    retirements: Mapping[str, datetime | None],
) -> list[Published]:
    """When each version holds: until the next one of its offering and classes, or until the offering retires."""
    following: dict[tuple[str, str, str], datetime | None] = {}
    found = []
    for each in sorted(versions, key=lambda one: one.valid_from, reverse=True):
        key = (each.offering_id, each.customer_class.value, each.service_class.value)
        until = following.get(key, retirements.get(each.offering_id))
        following[key] = each.valid_from
        found.append(Published(each, until, references))
    return sorted(found, key=_history_order)


def _history_order(each: Published) -> tuple[str, datetime, str, str, UUID]:
    version = each.version
    return version.offering_id, version.valid_from, version.customer_class, version.service_class, version.id


def require_coefficients(new: NewVersion) -> None:
    """CoefficientWrong, PriceRuleBroken."""
    rule = new.rule or Rule()
    sound = {
        "slice_below_gpus": 0 <= new.slice_below_gpus < 2**31,
        "slice_premium_bp": 0 <= new.slice_premium_bp <= _MOST_PREMIUM_BP,
        "minimum_s": 0 <= new.minimum_s <= _MOST_MINIMUM_S,
        "customer_class_bp": 0 <= rule.customer_class_bp <= _WHOLE_BP,
        "service_class_bp": 0 <= rule.service_class_bp <= 2 * _WHOLE_BP,
        "tax_rate_bp": 0 <= new.tax_rate_bp <= _WHOLE_BP,
    }
    for name, holds in sound.items():
        if not holds:
            raise CoefficientWrong(field=name)
    for price in new.prices if new.rule else ():
        wanted = rule.price_of(price.list_micro_yen)
        if price.price_micro_yen != wanted:
            raise PriceRuleBroken(
                component=price.component.value,
                price_yen=yen_text(price.price_micro_yen),
                rule_yen=yen_text(wanted),
            )


def require_term(
    new: Term, others: Sequence[Term], *, offering_id: str, retires_at: datetime | None, now: datetime
) -> None:
    """Whether a version may hold so beside those of the same offering, class and service class.

    PriceBackdated, PriceVersionExists, PriceVersionsOverlap, PriceGap.
    """
    since, until = new.valid_from, new.valid_until
    told = since.isoformat()
    if since < now or (until is not None and until <= since):
        raise PriceBackdated(valid_from=told)
    if any(each.valid_from == since for each in others):
        raise PriceVersionExists(offering=offering_id, valid_from=told)
    before = max((each for each in others if each.valid_from < since), key=_start, default=None)
    after = min((each for each in others if each.valid_from > since), key=_start, default=None)
    if before is not None and before.valid_until is not None and since < before.valid_until:
        raise PriceVersionsOverlap(
            offering=offering_id, valid_from=told, other_valid_from=before.valid_from.isoformat()
        )
    if after is not None and (until is None or until > after.valid_from):
        raise PriceVersionsOverlap(offering=offering_id, valid_from=told, other_valid_from=after.valid_from.isoformat())
    follows = after.valid_from if after is not None else retires_at
    if until is not None and (follows is None or until < follows):
        raise PriceGap(offering=offering_id, since=until.isoformat())


def _start(term: Term) -> datetime:
    return term.valid_from


# -- as the content of a proposal --------------------------------------------------------------------------------------


def content_of(versions: Sequence[NewVersion]) -> dict[str, Any]:
    """JSON, amounts as decimal strings of yen."""
    return {"versions": [_version_told(each) for each in versions]}


def versions_of(content: Mapping[str, Any]) -> list[NewVersion]:
    """Back from `content_of`, the latest first: so an end that is said finds the version that follows."""
    versions = [_version(each) for each in content["versions"]]
    return sorted(versions, key=lambda each: (each.valid_from is not None, each.valid_from), reverse=True)


def _version_told(new: NewVersion) -> dict[str, Any]:
    return {
        "id": str(new.id),
        "offering": new.offering_id,
        "customer_class": new.customer_class.value,
        "service_class": new.service_class.value,
        "valid_from": _iso(new.valid_from),
        "valid_until": _iso(new.valid_until),
        "tax_rate_bp": new.tax_rate_bp,
        "rule": rule_told(new.rule),
        "slice_below_gpus": new.slice_below_gpus,
        "slice_premium_bp": new.slice_premium_bp,
        "minimum_s": new.minimum_s,
        "prices": [_price_told(each) for each in new.prices],
    }


def rule_told(rule: Rule | None) -> dict[str, int]:
    """As it is kept with a version; empty: entered as it is."""
    if rule is None:
        return {}
    return {"customer_class_bp": rule.customer_class_bp, "service_class_bp": rule.service_class_bp}


def _price_told(price: NewPrice) -> dict[str, Any]:
    return {
        "component": price.component.value,
        "per": str(price.per),
        "price_yen": yen_text(price.price_micro_yen),
        "list_yen": yen_text(price.list_micro_yen),
        "market_reference": str(price.market_reference_id),
        "foreign": None if price.foreign is None else foreign_told(price.foreign),
    }


def foreign_told(price: ForeignPrice) -> dict[str, str]:
    return {
        "currency": price.currency,
        "amount": str(price.amount),
        "exchange_rate": str(price.exchange_rate),
        "source": price.source,
        "on": price.on.isoformat(),
    }


def _version(told: Mapping[str, Any]) -> NewVersion:
    return NewVersion(
        id=UUID(told["id"]),
        offering_id=told["offering"],
        customer_class=CustomerClass(told["customer_class"]),
        service_class=ServiceClass(told["service_class"]),
        valid_from=_instant(told["valid_from"]),
        valid_until=_instant(told["valid_until"]),
        tax_rate_bp=told["tax_rate_bp"],
        rule=Rule(**told["rule"]) if told["rule"] else None,
        slice_below_gpus=told["slice_below_gpus"],
        slice_premium_bp=told["slice_premium_bp"],
        minimum_s=told["minimum_s"],
        prices=tuple(_price(each) for each in told["prices"]),
    )


def _price(told: Mapping[str, Any]) -> NewPrice:
    return NewPrice(
        component=Component(told["component"]),
        per=Decimal(told["per"]),
        price_micro_yen=micro(told["price_yen"]),
        list_micro_yen=micro(told["list_yen"]),
        market_reference_id=UUID(told["market_reference"]),
        foreign=None if told["foreign"] is None else _foreign(told["foreign"]),
    )


def _foreign(told: Mapping[str, str]) -> ForeignPrice:
    return ForeignPrice(
        currency=told["currency"],
        amount=Decimal(told["amount"]),
        exchange_rate=Decimal(told["exchange_rate"]),
        source=told["source"],
        on=date.fromisoformat(told["on"]),
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _instant(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)
