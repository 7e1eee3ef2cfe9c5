"""The draft invoice of an organisation and month. Pure; nothing is posted here.

Rounding, once per tax rate and invoice, never per line: 消費税法施行令 第70条の10 (a qualified invoice shows the tax
per rate, computed from the total of that rate), 国税庁「インボイス制度に関するQ&A」問57 (one rounding per rate per
invoice, the issuer chooses the method). For each rate: micro-yen are summed, made yen once, taxed once; lines are shown
in whole yen by the largest remainder, so that the shown lines add up to the shown total.

Grants are a discount and lower the taxable amount; prepaid value pays, tax included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from pricing.days import Month
from pricing.ledger.balances import Draw
from pricing.model import Component, LotKind
from pricing.units import MICRO, ceil_div

_BASIS_POINTS = 10_000


class Rounding(StrEnum):
    """How a fraction of a yen is dealt with. The issuer's choice; to be confirmed by a tax adviser."""

    DOWN = "down"
    HALF_UP = "half_up"
    UP = "up"


INVOICE_ROUNDING = Rounding.DOWN
"""The house's choice (切捨て), for micro-yen → yen and for the tax alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """A month's rated lines of one offering, component and tax rate, added up."""

    offering_id: str
    component: Component
    tax_rate_bp: int
    quantity: Decimal
    list_micro_yen: int
    price_micro_yen: int
    charged_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCover:
    """What paid for a job's charges up to the beginning and up to the end of the month."""

    tax_rate_bp: int
    before: Draw
    after: Draw

    def of(self, kind: LotKind) -> int:
        """What the month's charges took from lots of one kind."""
        return self.after.of(kind) - self.before.of(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """list − discount − waived = charged, in whole yen without tax. The grant's line has only a (negative) charge."""

    offering_id: str | None
    """None: what grants cover, at this tax rate."""
    component: Component | None
    quantity: Decimal | None
    list_yen: int
    discount_yen: int
    """What the price lies below the list price."""
    waived_yen: int
    """What ran and was not charged: lost work, or beyond a ceiling."""
    charged_yen: int
    charged_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGroup:
    """All lines of one tax rate."""

    tax_rate_bp: int
    lines: tuple[InvoiceLine, ...]
    taxable_yen: int
    tax_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A draft: what would be invoiced for the month as it is known now."""

    organisation_id: UUID
    month: Month
    drafted_at: datetime
    groups: tuple[RateGroup, ...]
    subtotal_yen: int
    tax_yen: int
    total_yen: int
    prepaid_applied_yen: int
    amount_due_yen: int
    open_jobs: int
    """Jobs submitted by the end of the month whose charge is not final yet."""


def draft(
    *,
    organisation_id: UUID,
    month: Month,
    usage: Sequence[UsageSum],
    covers: Sequence[JobCover],
    open_jobs: int,
    now: datetime,
    rounding: Rounding = INVOICE_ROUNDING,
) -> Invoice:
    """The invoice of a month's usage sums and of the jobs that caused them."""
    rates = sorted({each.tax_rate_bp for each in usage})
    groups = tuple(_group(rate, usage, covers, rounding) for rate in rates)
    subtotal, tax = sum(group.taxable_yen for group in groups), sum(group.tax_yen for group in groups)
    applied = _prepaid_applied(subtotal + tax, covers)
    return Invoice(
        organisation_id=organisation_id,
        month=month,
        drafted_at=now,
        groups=groups,
        subtotal_yen=subtotal,
        tax_yen=tax,
        total_yen=subtotal + tax,
        prepaid_applied_yen=applied,
        amount_due_yen=subtotal + tax - applied,
        open_jobs=open_jobs,
    )


def _group(rate_bp: int, usage: Sequence[UsageSum], covers: Sequence[JobCover], rounding: Rounding) -> RateGroup:
    of_rate = [each for each in usage if each.tax_rate_bp == rate_bp]
    granted = sum(cover.of(LotKind.GRANT) for cover in covers if cover.tax_rate_bp == rate_bp)
    charged = [each.charged_micro_yen for each in of_rate] + ([-granted] if granted else [])
    taxable = to_yen(sum(charged), rounding)
    charged_yen = shown_yen(charged, taxable)
    listed = [each.list_micro_yen for each in of_rate]
    waived = [each.price_micro_yen - each.charged_micro_yen for each in of_rate]
    list_yen = shown_yen(listed, to_yen(sum(listed), rounding))
    waived_yen = shown_yen(waived, to_yen(sum(waived), rounding))
    lines = [_line(*shown) for shown in zip(of_rate, list_yen, waived_yen, charged_yen, strict=False)]
    if granted:
        lines.append(_grant_line(charged_yen[-1], granted))
    tax = round_div(taxable * rate_bp, _BASIS_POINTS, rounding)
    return RateGroup(tax_rate_bp=rate_bp, lines=tuple(lines), taxable_yen=taxable, tax_yen=tax)


def _line(usage: UsageSum, list_yen: int, waived_yen: int, charged_yen: int) -> InvoiceLine:
    """The discount is what makes the line add up. Fractions alone never make it negative: then the list gives way."""
    list_yen = max(list_yen, waived_yen + charged_yen)
    return InvoiceLine(
        offering_id=usage.offering_id,
        component=usage.component,
        quantity=usage.quantity,
        list_yen=list_yen,
        discount_yen=list_yen - waived_yen - charged_yen,
        waived_yen=waived_yen,
        charged_yen=charged_yen,
        charged_micro_yen=usage.charged_micro_yen,
    )


def _grant_line(charged_yen: int, granted_micro_yen: int) -> InvoiceLine:
    return InvoiceLine(
        offering_id=None,
        component=None,
        quantity=None,
        list_yen=0,
        discount_yen=0,
        waived_yen=0,
        charged_yen=charged_yen,
        charged_micro_yen=-granted_micro_yen,
    )


def _prepaid_applied(total_yen: int, covers: Sequence[JobCover]) -> int:
    """What is paid already. When nothing was used on credit all of it is; the fraction of a yen by which the wallet
    paid more is the house's `rounding`, booked when the invoice is issued.
    """
    if not any(cover.of(LotKind.CREDIT) for cover in covers):
        return total_yen
    return min(total_yen, sum(cover.of(LotKind.PREPAID) for cover in covers) // MICRO)


def to_yen(micro_yen: int, rounding: Rounding) -> int:
    """Whole yen."""
    return round_div(micro_yen, MICRO, rounding)


def round_div(dividend: int, divisor: int, rounding: Rounding) -> int:
    """A quotient in whole numbers (divisor > 0)."""
    match rounding:
        case Rounding.DOWN:
            return dividend // divisor
        case Rounding.HALF_UP:
            return (2 * dividend + divisor) // (2 * divisor)
        case Rounding.UP:
            return ceil_div(dividend, divisor)
        case _:
            assert_never(rounding)


def shown_yen(micro_yen: Sequence[int], total_yen: int) -> list[int]:
    """Amounts in whole yen that add up to the total: each rounded down, the rest of the yen to the largest remainders.

    Ties go to the earlier line. The total must lie within one yen per line of the exact sum.
    """
    whole = [amount // MICRO for amount in micro_yen]
    missing = total_yen - sum(whole)
    if not 0 <= missing <= len(whole):
        raise ValueError(f"{total_yen} yen do not fit {sum(micro_yen)} micro-yen in {len(whole)} lines")
    by_remainder = sorted(range(len(whole)), key=lambda i: (-(micro_yen[i] % MICRO), i))
    for i in by_remainder[:missing]:
        whole[i] += 1
    return whole
