"""Do the lines of a draft invoice add up, is each rate taxed once, and is it what was rated? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metering.audit.model import Difference, InvoiceClaim, RateClaim

_MICRO = 1_000_000


def compare_invoice(claim: InvoiceClaim, used: Mapping[int, int]) -> list[Difference]:
    """used: tax rate → charge in micro-yen, by the rated lines of the month."""
    claimed = {rate.tax_rate_bp: rate.used_micro_yen for rate in claim.rates if rate.used_micro_yen}
    wanted = {rate: amount for rate, amount in used.items() if amount}
    total = sum(rate.taxable_yen + rate.tax_yen for rate in claim.rates)
    sides = [
        ("usage", str(wanted), str(claimed)),
        ("total", str(total), str(claim.total_yen)),
        *(side for rate in claim.rates for side in _of_rate(rate)),
    ]
    return [
        Difference(
            check="invoice-differs",
            subject=f"invoice:{claim.organisation_id}/{claim.month} {what}",
            expected=expected,
            found=found,
        )
        for what, expected, found in sides
        if expected != found
    ]


def _of_rate(rate: RateClaim) -> Iterable[tuple[str, str, str]]:
    """Micro-yen become yen once, and are taxed once; both cut off, of either sign."""
    taxable = _cut(rate.used_micro_yen - rate.covered_micro_yen, _MICRO)
    yield f"taxable at {rate.tax_rate_bp}", str(taxable), str(rate.taxable_yen)
    yield f"lines at {rate.tax_rate_bp}", str(rate.taxable_yen), str(rate.lines_yen)
    yield f"tax at {rate.tax_rate_bp}", str(_cut(rate.taxable_yen * rate.tax_rate_bp, 10_000)), str(rate.tax_yen)


def _cut(dividend: int, divisor: int) -> int:
    return abs(dividend) // divisor * (1 if dividend >= 0 else -1)
