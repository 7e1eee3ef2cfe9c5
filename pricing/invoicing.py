"""What an organisation's month comes to in whole yen. Pure; nothing is posted here.

Rounding, once per tax rate and invoice, never per line: 消費税法施行令 第70条の10 (a qualified invoice shows the tax
per rate, computed from the total of that rate), 国税庁「インボイス制度に関するQ&A」問57 (one rounding per rate per
invoice, the issuer chooses the method). For each rate: micro-yen are summed, made yen once, taxed once; lines are shown
in whole yen by the largest remainder, so that the shown lines add up to the shown total. A negative amount is rounded
like the positive one: what is taken back whole comes to what was charged.

Grants are a discount and lower the taxable amount, and so do promotions and volume discounts (`Extra`); prepaid value
pays, tax included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """A month's rated lines of one offering, component and tax rate, added up (a document: also of one project, and of
    the month of use).
    """

    offering_id: str
    component: Component
    tax_rate_bp: int
    quantity: Decimal
    list_micro_yen: int
    price_micro_yen: int
    charged_micro_yen: int
    project_id: UUID | None = None
    used_in: Month | None = None
    """An earlier month than the invoice's: it was closed when this became known."""
    corrects: bool = False
    """It changes what was known of an earlier month (or else adds to it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What lowers a rate's taxable amount by a rule of its own, such as a volume discount. Not more than there is.

    What was taken off use that is given back is the one that raises it.
    """

    code: str
    """Names the rule, such as 'volume_discount': papers have words for it."""
    tax_rate_bp: int
    micro_yen: int
    """Negative; positive: what was taken off and is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What paid for a month's charges at one tax rate: granted + taxed = charged, taxed + tax = prepaid + credit."""

    tax_rate_bp: int
    granted_micro_yen: int
    tax_micro_yen: int
    """On what grants do not cover, as the ledger has it: cut off per job to a micro-yen."""
    prepaid_micro_yen: int
    """With tax."""
    credit_micro_yen: int
    """With tax."""


def cover_of_job(tax_rate_bp: int, *, before: Draw, after: Draw) -> Cover:
    """What paid for a job's charges between two instants, from what had been drawn by then."""
    return Cover(
        tax_rate_bp=tax_rate_bp,
        granted_micro_yen=after.of(LotKind.GRANT) - before.of(LotKind.GRANT),
        tax_micro_yen=after.tax_micro_yen - before.tax_micro_yen,
        prepaid_micro_yen=after.of(LotKind.PREPAID) - before.of(LotKind.PREPAID),
        credit_micro_yen=after.of(LotKind.CREDIT) - before.of(LotKind.CREDIT),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """list − discount − waived = charged, in whole yen without tax. What grants cover, and an `Extra`, has only a
    (negative) charge.
    """

    offering_id: str | None
    """None: what grants cover at this tax rate, or an extra."""
    component: Component | None
    quantity: Decimal | None
    list_yen: int
    discount_yen: int
    """What the price lies below the list price."""
    waived_yen: int
    """What ran and was not charged: lost work, or beyond a ceiling."""
    charged_yen: int
    charged_micro_yen: int
    project_id: UUID | None = None
    used_in: Month | None = None
    corrects: bool = False
    extra: str | None = None
    """The code of an extra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGroup:
    """All lines of one tax rate."""

    tax_rate_bp: int
    lines: tuple[InvoiceLine, ...]
    taxable_yen: int
    tax_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What is invoiced for the month as it is known now; a draft as long as the month is open."""

    organisation_id: UUID
    month: Month
    drafted_at: datetime
    groups: tuple[RateGroup, ...]
    subtotal_yen: int
    tax_yen: int
    total_yen: int
    prepaid_applied_yen: int
    amount_due_yen: int
    """Of this month's use; negative when what was used on credit is taken back."""
    open_jobs: int
    """Jobs submitted by the end of the month whose charge is not final yet."""
    given_back_yen: int = 0
    """By extras, of what prepaid value has paid already; below 0: it pays what of discounts is taken back."""


def draft(
    *,
    organisation_id: UUID,
    month: Month,
    usage: Sequence[UsageSum],
    covers: Sequence[Cover],
    open_jobs: int,
    now: datetime,
    extras: Sequence[Extra] = (),
    rounding: Rounding = INVOICE_ROUNDING,
    prepaid_yen: int = 0,
) -> Invoice:
    """The invoice of a month's usage sums and of what paid for them.

    prepaid_yen: is there to pay what of discounts is taken back.
    """
    groups = _groups(usage, covers, extras, rounding)
    subtotal, tax = sum(group.taxable_yen for group in groups), sum(group.tax_yen for group in groups)
    without = _total(_groups(usage, covers, (), rounding)) if extras else subtotal + tax
    due = _due(without, covers)
    spared = without - subtotal - tax
    off_the_bill = min(spared, max(due, 0))
    from_prepaid = min(max(-spared, 0), max(due - off_the_bill, 0), prepaid_yen)
    return Invoice(
        organisation_id=organisation_id,
        month=month,
        drafted_at=now,
        groups=groups,
        subtotal_yen=subtotal,
        tax_yen=tax,
        total_yen=subtotal + tax,
        prepaid_applied_yen=subtotal + tax - due + off_the_bill + from_prepaid,
        amount_due_yen=due - off_the_bill - from_prepaid,
        open_jobs=open_jobs,
        given_back_yen=spared - off_the_bill - from_prepaid,
    )


def _groups(
    usage: Sequence[UsageSum], covers: Sequence[Cover], extras: Sequence[Extra], rounding: Rounding
) -> tuple[RateGroup, ...]:
    rates = sorted({each.tax_rate_bp for each in usage})
    return tuple(_group(rate, usage, covers, extras, rounding) for rate in rates)


def _total(groups: Iterable[RateGroup]) -> int:
    return sum(group.taxable_yen + group.tax_yen for group in groups)


def _group(
    rate_bp: int, usage: Sequence[UsageSum], covers: Sequence[Cover], extras: Sequence[Extra], rounding: Rounding
) -> RateGroup:
    of_rate = [each for each in usage if each.tax_rate_bp == rate_bp]
    granted = sum(cover.granted_micro_yen for cover in covers if cover.tax_rate_bp == rate_bp)
    less: list[tuple[str | None, int]] = [(None, -granted)] if granted else []
    less += [(each.code, each.micro_yen) for each in extras if each.tax_rate_bp == rate_bp]
    charged = [each.charged_micro_yen for each in of_rate] + [micro_yen for _, micro_yen in less]
    taxable = to_yen(sum(charged), rounding)
    charged_yen = shown_yen(charged, taxable)
    listed = [each.list_micro_yen for each in of_rate]
    waived = [each.price_micro_yen - each.charged_micro_yen for each in of_rate]
    list_yen = shown_yen(listed, to_yen(sum(listed), rounding))
    waived_yen = shown_yen(waived, to_yen(sum(waived), rounding))
    lines = [_line(*shown) for shown in zip(of_rate, list_yen, waived_yen, charged_yen, strict=False)]
    rest = charged_yen[len(of_rate) :]
    lines += [_less(code, yen, micro_yen) for (code, micro_yen), yen in zip(less, rest, strict=True)]
    tax = round_div(taxable * rate_bp, _BASIS_POINTS, rounding)
    return RateGroup(tax_rate_bp=rate_bp, lines=tuple(lines), taxable_yen=taxable, tax_yen=tax)


def _line(usage: UsageSum, list_yen: int, waived_yen: int, charged_yen: int) -> InvoiceLine:
    """The discount is what makes the line add up. Fractions alone never turn its sign: then the list gives way."""
    list_yen = (min if usage.list_micro_yen < 0 else max)(list_yen, waived_yen + charged_yen)
    return InvoiceLine(
        offering_id=usage.offering_id,
        component=usage.component,
        quantity=usage.quantity,
        list_yen=list_yen,
        discount_yen=list_yen - waived_yen - charged_yen,
        waived_yen=waived_yen,
        charged_yen=charged_yen,
        charged_micro_yen=usage.charged_micro_yen,
        project_id=usage.project_id,
        used_in=usage.used_in,
        corrects=usage.corrects,
    )


def _less(code: str | None, charged_yen: int, micro_yen: int) -> InvoiceLine:
    return InvoiceLine(
        offering_id=None,
        component=None,
        quantity=None,
        list_yen=0,
        discount_yen=0,
        waived_yen=0,
        charged_yen=charged_yen,
        charged_micro_yen=micro_yen,
        extra=code,
    )


def _due(total_yen: int, covers: Sequence[Cover]) -> int:
    """What is still to be paid (or, below 0, to be given back): nothing unless something was used on credit.

    A fraction of a yen that prepaid value paid is not asked for again; what the wallet paid more than the total is the
    house's `rounding`. Both are booked when the invoice is issued.
    """
    credit = sum(cover.credit_micro_yen for cover in covers)
    rest = total_yen - ceil_div(sum(cover.prepaid_micro_yen for cover in covers), MICRO)
    return max(rest, 0) if credit > 0 else min(rest, 0) if credit < 0 else 0


def to_yen(micro_yen: int, rounding: Rounding) -> int:
    """Whole yen."""
    return round_div(micro_yen, MICRO, rounding)


def round_div(dividend: int, divisor: int, rounding: Rounding) -> int:
    """A quotient in whole numbers (divisor > 0); of a negative dividend as of the positive one, with the sign."""
    if dividend < 0:
        return -round_div(-dividend, divisor, rounding)
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
