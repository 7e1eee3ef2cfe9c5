"""The market's price of comparable machines (P2), with its proof, and how old it may grow. Pure.

The programme demands prices below the market price of comparable machines. So each price names the reference that it
lies below, and a reference says who publishes the price, on which terms, in which currency and on which day, and which
file shows it. Markets move: an old reference proves nothing, so it warns first, and then supports no new price.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from accounts.model import Evidence
from pricing.errors import MarketReferenceTooOld, MarketReferenceWrong
from pricing.model import Component, ForeignPrice

_RESOURCE_TYPE = re.compile(r"[a-z0-9]+:[a-z0-9][a-z0-9._-]*")
_CURRENCY = re.compile(r"[A-Z]{3}")
_SHA256_BYTES = 32
_MOST_MICRO_YEN = 10**18
_LONGEST_SOURCE, _LONGEST_TERMS, _LONGEST_NAME = 500, 1_000, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketReference:
    """The market price of `per` units of a comparable machine (P2), without tax, with its source and date."""

    id: UUID
    resource_type: str
    component: Component
    source: str
    """Who publishes the price, for which machine."""
    observed_on: date
    amount_micro_yen: int
    per: Decimal
    terms: str = ""
    """On which terms it is sold: on demand or committed, region, what is included."""
    foreign: ForeignPrice | None = None
    """The price as it is published, where that is in another currency: amount_micro_yen is its value in yen."""
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class ReferenceAge:
    """How old a reference may be when a price is published by it, in days."""

    warn_after_days: int = 90
    block_after_days: int = 180


def require_sound(new: MarketReference, *, today: date) -> None:
    """Whether a reference may be recorded. MarketReferenceWrong names the field that cannot be."""
    wrong = _wrong(new, today)
    if wrong is not None:
        raise MarketReferenceWrong(field=wrong)


def _wrong(new: MarketReference, today: date) -> str | None:
    foreign, evidence = new.foreign, new.evidence
    sound = {
        "resource_type": _RESOURCE_TYPE.fullmatch(new.resource_type),
        "source": len(new.source.strip()) >= 1 and len(new.source) <= _LONGEST_SOURCE,
        "terms": len(new.terms) <= _LONGEST_TERMS,
        "amount": 0 < new.amount_micro_yen <= _MOST_MICRO_YEN,
        "per": new.per > 0,
        "observed_on": new.observed_on <= today,
        "currency": foreign is None
        or (_CURRENCY.fullmatch(foreign.currency) and foreign.amount > 0 and foreign.exchange_rate > 0),
        "exchange_rate": foreign is None
        or (new.amount_micro_yen == foreign.price_micro_yen and foreign.source and foreign.on <= today),
        "evidence": evidence is None
        or (
            1 <= len(evidence.name) <= _LONGEST_NAME
            and len(evidence.sha256) == _SHA256_BYTES
            and evidence.size_bytes > 0
        ),
    }
    return next((name for name, holds in sound.items() if not holds), None)


def require_fresh(reference: MarketReference, *, today: date, limits: ReferenceAge) -> dict[str, object] | None:
    """Whether a price may still be published by it; a warning where it grows old, or nothing shows it.

    MarketReferenceTooOld.
    """
    age_days = (today - reference.observed_on).days
    facts: dict[str, object] = {"reference": str(reference.id), "observed_on": reference.observed_on.isoformat()}
    if age_days > limits.block_after_days:
        raise MarketReferenceTooOld(
            reference=str(reference.id),
            observed_on=reference.observed_on.isoformat(),
            age_days=age_days,
            limit_days=limits.block_after_days,
        )
    if age_days > limits.warn_after_days:
        return {"code": "market-reference-old", **facts, "age_days": age_days, "limit_days": limits.block_after_days}
    if reference.evidence is None:
        return {"code": "market-reference-without-evidence", **facts}
    return None
