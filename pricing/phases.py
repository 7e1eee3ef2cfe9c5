"""The quote of a job with phases: each at the price of its own offering, one ceiling for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from pricing.errors import MixedTaxRates
from pricing.model import Component, Quote, QuoteLine, QuotePhase

_ORDER = list(Component)


def joined(parts: Sequence[tuple[str, Quote]]) -> Quote:
    """One quote of a job from those of its phases, each with its name. Its ceiling is the sum of theirs.

    parts: not empty, all of one job and of one moment. The whole has the id, offering and price version of the first.
    MixedTaxRates: what pays for a job is taxed as a whole.
    """
    first = parts[0][1]
    rates = sorted({quote.tax_rate_bp for _, quote in parts})
    if len(rates) > 1:
        raise MixedTaxRates(rates_bp=rates)
    return replace(
        first,
        ceiling_micro_yen=sum(quote.ceiling_micro_yen for _, quote in parts),
        expected_micro_yen=sum(quote.expected_micro_yen for _, quote in parts),
        low_micro_yen=sum(_low(quote) for _, quote in parts),
        basis={},
        lines=_summed([line for _, quote in parts for line in quote.lines]),
        phases=tuple(
            QuotePhase(
                phase=name,
                offering_id=quote.offering_id,
                price_version_id=quote.price_version_id,
                ceiling_micro_yen=quote.ceiling_micro_yen,
                expected_micro_yen=quote.expected_micro_yen,
                lines=quote.lines,
            )
            for name, quote in parts
        ),
    )


def _low(quote: Quote) -> int:
    return quote.expected_micro_yen if quote.low_micro_yen is None else quote.low_micro_yen


def _summed(lines: Sequence[QuoteLine]) -> tuple[QuoteLine, ...]:
    """One line a component: the quantities of several offerings, and what they cost at their own prices."""
    quantities: dict[Component, Decimal] = {}
    amounts: dict[Component, int] = {}
    for line in lines:
        quantities[line.component] = quantities.get(line.component, Decimal(0)) + line.quantity
        amounts[line.component] = amounts.get(line.component, 0) + line.amount_micro_yen
    return tuple(
        QuoteLine(component=component, quantity=quantity, amount_micro_yen=amounts[component])
        for component, quantity in sorted(quantities.items(), key=lambda each: _ORDER.index(each[0]))
    )
