"""When somebody is told that value runs out: at 75, 90 and 100 per cent of what there was, or lapses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pricing.budgets import Spent
from pricing.ledger.balances import LotBalance
from pricing.ledger.templates import transaction_id
from pricing.units import MICRO, yen_text

PERCENT = (100, 90, 75)
LAPSING_DAYS = (7, 30)


class NoticeKind(StrEnum):
    """What is told."""

    WALLET_USED = "wallet_used"
    BUDGET_USED = "budget_used"
    VALUE_LAPSES = "value_lapses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Told once: the id follows from what it is about."""

    id: UUID
    organisation_id: UUID
    kind: NoticeKind
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedLot:
    """A lot, what was ever put into it, and what lies in it now."""

    lot: LotBalance
    issued_micro_yen: int


def of_wallet(organisation_id: UUID, lots: Sequence[IssuedLot], now: datetime) -> list[Notice]:
    """The highest threshold that the wallet has reached, of all that is in force in it: held counts as used.

    New value begins a new round, and so does the lapse of old.
    """
    usable = [each for each in lots if not each.lot.is_expired(now) and each.issued_micro_yen > 0]
    issued = sum(each.issued_micro_yen for each in usable)
    free = sum(each.lot.available_micro_yen for each in usable)
    reached = _reached(issued - free, issued)
    if reached is None:
        return []
    round_of = ",".join(sorted(f"{each.lot.lot_id}={each.issued_micro_yen}" for each in usable))
    facts = {"percent": str(reached), "left_yen": yen_text(free), "of_yen": yen_text(issued)}
    return [_notice(NoticeKind.WALLET_USED, organisation_id, facts, round_of, reached)]


def of_lapsing(organisation_id: UUID, lots: Iterable[IssuedLot], now: datetime) -> list[Notice]:
    """Of each lot that lapses within 30 or 7 days and still has value that no job holds."""
    notices = []
    for each in lots:
        lot = each.lot
        if lot.expires_at is None or lot.available_micro_yen <= 0 or lot.is_expired(now):
            continue
        days = next((days for days in LAPSING_DAYS if lot.expires_at - now <= timedelta(days=days)), None)
        if days is not None:
            facts = {
                "days": str(days),
                "lapses_at": lot.expires_at.isoformat(),
                "left_yen": yen_text(lot.available_micro_yen),
                "kind": lot.kind.value,
            }
            notices.append(_notice(NoticeKind.VALUE_LAPSES, organisation_id, facts, lot.lot_id, days))
    return notices


def of_budgets(spent: Iterable[Spent]) -> list[Notice]:
    """The highest threshold that each limit has reached in its period."""
    notices = []
    for each in spent:
        limit = each.budget.limit_yen * MICRO
        reached = _reached(limit - each.left_micro_yen, limit)
        if reached is not None:
            facts = {
                "percent": str(reached),
                "budget": str(each.budget.id),
                "limit_yen": str(each.budget.limit_yen),
                "left_yen": yen_text(max(each.left_micro_yen, 0)),
            }
            notice = _notice(
                NoticeKind.BUDGET_USED, each.budget.organisation_id, facts, each.budget.id, each.since, reached
            )
            notices.append(notice)
    return notices


def _reached(used: int, of: int) -> int | None:
    """The highest threshold that is reached; none where there is nothing to use."""
    return next((percent for percent in PERCENT if of > 0 and used * 100 >= of * percent), None)


def _notice(kind: NoticeKind, organisation_id: UUID, facts: Mapping[str, str], *key: object) -> Notice:
    return Notice(
        id=transaction_id("notice", kind, organisation_id, *key),
        organisation_id=organisation_id,
        kind=kind,
        facts=facts,
    )
