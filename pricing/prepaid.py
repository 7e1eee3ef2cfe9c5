"""Prepaid value and the law on it (資金決済に関する法律). Pure.

Value that can be used for less than six months from its issue is outside the law's duties (第4条第2号, 施行令
第4条第2項). Of all other value the unused balance on a base date, 31 March and 30 September (第3条第2項), counts: over
ten million yen (第5条第1項, 施行令 第6条) the issuer notifies within two months and deposits half of it (第14条).
Have counsel confirm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pricing.days import Month, day_of, midnight
from pricing.units import MICRO

LAWFUL_MONTHS = 6
"""Value that lapses before so many months are over is exempt."""
NOTIFY_ABOVE_YEN = 10_000_000
_BASE_DATES = ((3, 31), (9, 30))


def expiry(paid_at: datetime, *, months: int | None = LAWFUL_MONTHS) -> datetime | None:
    """When value lapses that was paid in then: the midnight of Tokyo that ends the last day before `months` are over.

    The first day counts as a whole, and one more is taken off, so that six months are less than six however one counts.
    months None: never.
    """
    if months is None:
        return None
    day = day_of(paid_at)
    month = Month(day.year + (day.month - 1 + months) // 12, (day.month - 1 + months) % 12 + 1)
    over = min(month.first + timedelta(days=day.day - 1), month.following.first)
    return midnight(over - timedelta(days=1))


def is_exempt(issued_at: datetime, expires_at: datetime | None) -> bool:
    """Whether value of this life lies outside the law's duties."""
    longest = expiry(issued_at)
    return expires_at is not None and longest is not None and expires_at <= longest


def base_date(day: date) -> date:
    """The last base date that is not after this day."""
    before = [date(year, *month_day) for year in (day.year - 1, day.year) for month_day in _BASE_DATES]
    return max(each for each in before if each <= day)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepaidBalance:
    """Unused prepaid value at the end of a day in Tokyo, in all wallets: what may be spent, and what jobs hold."""

    on: date
    exempt_micro_yen: int
    """It lapses within less than six months of its issue."""
    counted_micro_yen: int
    """All other."""
    warn_above_yen: int = NOTIFY_ABOVE_YEN

    @property
    def is_base_date(self) -> bool:
        """Whether the law looks at this day."""
        return (self.on.month, self.on.day) in _BASE_DATES

    @property
    def must_notify(self) -> bool:
        """Whether the balance would oblige us, if this were a base date."""
        return self.counted_micro_yen > NOTIFY_ABOVE_YEN * MICRO

    @property
    def warns(self) -> bool:
        """Whether all of it together, exempt or not, is beyond the amount that the law knows: look at it now."""
        return self.exempt_micro_yen + self.counted_micro_yen >= self.warn_above_yen * MICRO

    @property
    def deposit_yen(self) -> int:
        """What would have to be deposited: at least half of what counts, rounded up; 0 where nothing is due."""
        return -(-self.counted_micro_yen // (2 * MICRO)) if self.must_notify else 0
