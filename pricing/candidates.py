"""The quote of a job that may run on one of several offerings: its ceiling is that of the dearest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pricing.errors import MixedTaxRates
from pricing.model import Quote, QuoteCandidate


def among(first: Quote, others: Sequence[Quote]) -> Quote:
    """One quote of a job from those of all offerings on which it may run. first: of the one where it waits at first.

    Its ceiling and lines are those of the dearest, so that the hold suffices wherever it runs; what it is charged is
    rated at the frozen version of the offering on which it did run. Without others: `first` as it is.
    MixedTaxRates: what pays for a job is taxed as a whole.
    """
    if not others:
        return first
    every = (first, *others)
    rates = sorted({quote.tax_rate_bp for quote in every})
    if len(rates) > 1:
        raise MixedTaxRates(rates_bp=rates)
    dearest = max(every, key=lambda quote: (quote.ceiling_micro_yen, quote.offering_id))
    return replace(
        first,
        ceiling_micro_yen=dearest.ceiling_micro_yen,
        lines=dearest.lines,
        low_micro_yen=min(first.expected_micro_yen, *(low_of(quote) for quote in every)),
        basis={},
        candidates=tuple(
            QuoteCandidate(
                offering_id=quote.offering_id,
                price_version_id=quote.price_version_id,
                ceiling_micro_yen=quote.ceiling_micro_yen,
                expected_micro_yen=quote.expected_micro_yen,
                lines=quote.lines,
            )
            for quote in sorted(every, key=lambda quote: (quote.ceiling_micro_yen, quote.offering_id))
        ),
    )


def low_of(quote: Quote) -> int:
    """What it costs at least, in micro-yen without tax."""
    return quote.expected_micro_yen if quote.low_micro_yen is None else quote.low_micro_yen
