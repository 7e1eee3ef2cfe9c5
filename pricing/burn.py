"""How fast a wallet empties, when it will be empty, and what will lapse before it is used. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pricing.days import day_of
from pricing.ledger.balances import LotBalance, spendable

LOOK_BACK_DAYS = 30
_HORIZON_DAYS = 3660


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What becomes of a wallet if it goes on as in the days looked at."""

    days: int
    """So many whole days were looked at: fewer for a young wallet, 0 for one of today."""
    per_day_micro_yen: int
    """Mean of those days, rounded up. What jobs hold is not used yet."""
    exhausted_on: date | None
    """The first day that it cannot pay for, if it is like the mean; None: not within ten years, or nothing is used."""
    lapsing_micro_yen: int
    """What will lapse unused."""


def outlook(lots: Sequence[LotBalance], *, used_by_day: Mapping[date, int], opened_on: date, now: datetime) -> Outlook:
    """From what was used on each of the last days (Tokyo; today is not over and does not count)."""
    today = day_of(now)
    days = min(LOOK_BACK_DAYS, (today - opened_on).days)
    used = sum(used_by_day.get(today - timedelta(days=back), 0) for back in range(1, days + 1))
    per_day = -(-used // days) if days > 0 and used > 0 else 0
    exhausted_on, lapsing = _run_down(spendable(lots, now), per_day, now)
    return Outlook(days=max(days, 0), per_day_micro_yen=per_day, exhausted_on=exhausted_on, lapsing_micro_yen=lapsing)


def _run_down(lots: Sequence[LotBalance], per_day: int, now: datetime) -> tuple[date | None, int]:
    """Day by day in the order of consumption. Grants, prepaid value and credit count yen for yen: a first look."""
    left = {lot.lot_id: lot.available_micro_yen for lot in lots}
    if not per_day:
        return (None, sum(lot.available_micro_yen for lot in lots if lot.expires_at is not None))
    lapsing = 0
    for day in range(_HORIZON_DAYS):
        at = now + timedelta(days=day)
        lapsed = [lot.lot_id for lot in lots if lot.lot_id in left and lot.is_expired(at)]
        lapsing += sum(left.pop(lot_id) for lot_id in lapsed)
        need = per_day
        for lot_id in list(left):
            taken = min(need, left[lot_id])
            left[lot_id] -= taken
            need -= taken
        if need:
            return day_of(at), lapsing
    return None, lapsing
