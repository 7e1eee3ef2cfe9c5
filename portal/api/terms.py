"""The rules by which use is charged, as codes and in the reader's words: said in every quote and on the statement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated

from pydantic import Field

from portal.api.wire import Out, Yen, number_text
from portal.language import Language, catalogue
from pricing.model import Component, ForeignPrice, PriceVersion
from pricing.units import yen_text

ALWAYS = ("system-error", "user-error", "ceiling")
"""What holds for every job."""
IDLE_CHARGED, IDLE_FREE = "session-idle-charged", "session-idle-free"


class RuleOut(Out):
    """`code` is stable; `text` is in the reader's language."""

    code: str
    text: str


class ForeignPriceOut(Out):
    """The price in the currency in which it was agreed, and the rate by which its yen were computed once."""

    currency: Annotated[str, Field(examples=["USD"])]
    amount: str
    exchange_rate: Annotated[str, Field(description="Yen for one unit of the currency.")]
    rate_source: str
    rate_on: date
    price_yen: Yen


def rules_out(codes: Iterable[str], language: Language) -> list[RuleOut]:
    """Rules by their codes."""
    texts = catalogue(language)
    return [RuleOut(code=code, text=texts.text(f"rule.{code}")) for code in codes]


def rules_of(version: PriceVersion) -> tuple[str, ...]:
    """The rules for what is bought at these prices: where sessions have a price, what their idle time costs."""
    session = version.component(Component.SESSION_S)
    if session is None:
        return ALWAYS
    return (*ALWAYS, IDLE_CHARGED if session.price_micro_yen else IDLE_FREE)


def foreign_out(foreign: ForeignPrice | None) -> ForeignPriceOut | None:
    """A price in another currency on the wire."""
    if foreign is None:
        return None
    return ForeignPriceOut(
        currency=foreign.currency,
        amount=number_text(foreign.amount),
        exchange_rate=number_text(foreign.exchange_rate),
        rate_source=foreign.source,
        rate_on=foreign.on,
        price_yen=yen_text(foreign.price_micro_yen),
    )
