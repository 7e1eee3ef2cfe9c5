"""Promotions and the volume discount: what they take off a month, each as a negative line of its own. Pure.

They are taken off what a customer pays itself: what grants cover is a gift already. Of one tax rate in one month

    own share     = (charged − covered by grants) ÷ charged
    promotion     = percent × charged for the jobs that it is for × own share,   or a fixed amount once a month
    volume        = Σ over tiers: percent of the tier × what of the month's rest lies in it

Promotions come first, in the order of their ids, then the volume discount of all rates together, given to each rate in
proportion. Every amount is rounded down to a micro-yen, and all of them together never exceed what is paid.

Of use that is taken back after its month was closed, what its document took off is taken back too:

    returned      = own part given back ÷ own part charged × (promotions × its part of what was promoted
                    + volume discount × its part of the month),   rounded up, of a rate, to a micro-yen

What is taken back counts in no month's reductions but its own: those of the month that takes it back are of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import ceil
from uuid import UUID

from accounts.model import CustomerClass

PROMOTION, VOLUME, RETURNED = "promotion", "volume_discount", "discount_returned"
_WHOLE_BP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A discount for jobs submitted in [starts_at, ends_at). Either percent_bp or month_micro_yen."""

    id: UUID
    title_ja: str
    title_en: str
    starts_at: datetime
    ends_at: datetime
    offering_id: str | None = None
    """None: of all offerings."""
    customer_class: CustomerClass | None = None
    """None: for every class."""
    percent_bp: int | None = None
    """Off what its jobs are charged, in 1/100 of a percent."""
    month_micro_yen: int | None = None
    """Off an organisation's month, without tax, and no more than its jobs are charged."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Of what a month's charge lies above this, up to the next tier, so much is taken off."""

    above_micro_yen: int
    percent_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateMonth:
    """What a month comes to at one tax rate, without tax, and what of it grants cover."""

    tax_rate_bp: int
    charged_micro_yen: int
    granted_micro_yen: int = 0

    @property
    def own_micro_yen(self) -> int:
        """What the customer pays itself; never below 0."""
        return max(0, self.charged_micro_yen - max(0, self.granted_micro_yen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """What a month's jobs that a promotion is for were charged at one tax rate."""

    promotion: Promotion
    tax_rate_bp: int
    charged_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A line of an invoice. code: `promotion`, `volume_discount`, or `discount_returned`."""

    code: str
    tax_rate_bp: int
    micro_yen: int
    """Negative; positive: returned."""
    promotion: Promotion | None = None


def reductions(months: Sequence[RateMonth], promoted: Sequence[Promoted], tiers: Sequence[Tier]) -> list[Reduction]:
    """What is taken off a month. months: one for each tax rate; tiers: with rising thresholds."""
    left = {each.tax_rate_bp: each.own_micro_yen for each in months}
    found = _promotions({each.tax_rate_bp: each for each in months}, promoted, left)
    return found + _volume(tiers, left)


def _promotions(months: Mapping[int, RateMonth], promoted: Sequence[Promoted], left: dict[int, int]) -> list[Reduction]:
    found = []
    spent: dict[UUID, int] = {}
    for each in sorted(promoted, key=lambda one: (one.promotion.id, one.tax_rate_bp)):
        month = months.get(each.tax_rate_bp)
        if month is None or month.charged_micro_yen <= 0 or each.charged_micro_yen <= 0:
            continue
        own = each.charged_micro_yen * month.own_micro_yen // month.charged_micro_yen
        if each.promotion.percent_bp is not None:
            wanted = own * each.promotion.percent_bp // _WHOLE_BP
        else:
            wanted = min(own, (each.promotion.month_micro_yen or 0) - spent.get(each.promotion.id, 0))
        taken = min(wanted, left[each.tax_rate_bp])
        if taken > 0:
            spent[each.promotion.id] = spent.get(each.promotion.id, 0) + taken
            left[each.tax_rate_bp] -= taken
            found.append(
                Reduction(code=PROMOTION, tax_rate_bp=each.tax_rate_bp, micro_yen=-taken, promotion=each.promotion)
            )
    return found


def _volume(tiers: Sequence[Tier], left: Mapping[int, int]) -> list[Reduction]:
    total = sum(left.values())
    whole = volume_discount(total, tiers)
    found, given, seen = [], 0, 0
    for rate in sorted(left):
        seen += left[rate]
        share = whole * seen // total - given if total else 0  # as differences of sums: they add up to the whole
        given += share
        if share:
            found.append(Reduction(code=VOLUME, tax_rate_bp=rate, micro_yen=-share))
    return found


def volume_discount(month_micro_yen: int, tiers: Sequence[Tier]) -> int:
    """What is taken off a month of this size: of each part its own tier's percentage, so more never costs less."""
    ends = [*(each.above_micro_yen for each in tiers[1:]), max(month_micro_yen, 0)]
    off = 0
    for tier, end in zip(tiers, ends, strict=False):
        inside = min(end, month_micro_yen) - tier.above_micro_yen
        off += max(0, inside) * tier.percent_bp
    return off // _WHOLE_BP


@dataclass(frozen=True, slots=True, kw_only=True)
class Discounted:
    """What a job was charged in a closed month, and all charges at its rate; what the document took off. Micro-yen.

    What jobs of the month took back of earlier months is in neither.
    """

    charged_micro_yen: int
    is_promoted: bool
    month_micro_yen: int
    promoted_micro_yen: int
    """Of that, of jobs that a promotion is for."""
    promotions_micro_yen: int
    volume_micro_yen: int

    @property
    def reduction(self) -> Fraction:
        """What was taken off the job."""
        of_promotions = self.charged_micro_yen if self.is_promoted else 0
        return Fraction(self.promotions_micro_yen * of_promotions, max(self.promoted_micro_yen, 1)) + Fraction(
            self.volume_micro_yen * self.charged_micro_yen, max(self.month_micro_yen, 1)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What of a job's charges of closed months is taken back now, in micro-yen without tax."""

    job_id: UUID
    tax_rate_bp: int
    taken_micro_yen: int
    before_micro_yen: int
    """What it was charged till then."""
    claimed_micro_yen: int
    """What grants pay of it: its first charges."""
    months: Sequence[Discounted]

    @property
    def own_micro_yen(self) -> int:
        """Of what is taken back, what the customer had to pay itself."""
        return self._own(self.before_micro_yen) - self._own(self.before_micro_yen - self.taken_micro_yen)

    @property
    def returned(self) -> Fraction:
        """What had been taken off that; never more than that."""
        own = self._own(sum(each.charged_micro_yen for each in self.months))
        if own == 0:
            return Fraction(0)
        taken_off = sum((each.reduction for each in self.months), Fraction(0))
        return self.own_micro_yen * min(taken_off / own, Fraction(1))

    def _own(self, net_micro_yen: int) -> int:
        return max(0, net_micro_yen - self.claimed_micro_yen)


def returned(found: Sequence[TakenBack]) -> list[Reduction]:
    """What is taken back of discounts, by tax rate: positive."""
    made = []
    for rate in sorted({each.tax_rate_bp for each in found}):
        micro_yen = ceil(sum((each.returned for each in found if each.tax_rate_bp == rate), Fraction(0)))
        if micro_yen:
            made.append(Reduction(code=RETURNED, tax_rate_bp=rate, micro_yen=micro_yen))
    return made


def without(month: RateMonth, found: Sequence[TakenBack]) -> RateMonth:
    """A month as it would be if nothing were taken back in it."""
    of_rate = [each for each in found if each.tax_rate_bp == month.tax_rate_bp]
    return RateMonth(
        tax_rate_bp=month.tax_rate_bp,
        charged_micro_yen=month.charged_micro_yen + sum(each.taken_micro_yen for each in of_rate),
        granted_micro_yen=month.granted_micro_yen + sum(each.taken_micro_yen - each.own_micro_yen for each in of_rate),
    )
