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


def rules_of(*versions: PriceVersion) -> tuple[str, ...]:
    """The rules for what is bought at these prices: where sessions have a price, what their idle time costs."""
    sessions = [price for each in versions if (price := each.component(Component.SESSION_S)) is not None]
    if not sessions:
        return ALWAYS
    return (*ALWAYS, IDLE_CHARGED if any(price.price_micro_yen for price in sessions) else IDLE_FREE)


def foreign_in(versions: Iterable[PriceVersion], component: Component) -> ForeignPriceOut | None:
    """Of a job that is bought at several prices; None also where they disagree: its phases' offerings tell theirs."""
    found = [price.foreign for each in versions if (price := each.component(component)) is not None]
    return foreign_out(found[0]) if found and all(each == found[0] for each in found) else None


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
