"""How a hold is put together from lots, and how a charge is drawn from it. Pure.

Grants cover amounts without tax (they are a discount); prepaid value and the credit line cover amounts with tax.
Order: grants by earliest expiry, then prepaid value by earliest expiry, then credit. A draw is a function of the
*total* charged on a job so far, so that several settlements of one job, in any order, draw in the end what one
settlement would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from pricing.model import LotKind
from pricing.units import tax_on, with_tax

_FOREVER = datetime.max.replace(tzinfo=UTC)
_RANK = {LotKind.GRANT: 0, LotKind.PREPAID: 1, LotKind.CREDIT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LotBalance:
    """A lot and what lies in it now."""

    lot_id: UUID
    kind: LotKind
    expires_at: datetime | None
    available_micro_yen: int
    held_micro_yen: int = 0

    def is_expired(self, now: datetime) -> bool:
        """A lot may be spent until, and not at, the instant of its expiry."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a hold claims, or a charge draws, of one lot."""

    lot_id: UUID
    kind: LotKind
    expires_at: datetime | None
    amount_micro_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a ceiling needs, what there is, and the parts to hold (empty when it does not suffice)."""

    needed_micro_yen: int
    available_micro_yen: int
    parts: tuple[Part, ...]

    @property
    def suffices(self) -> bool:
        """Whether the wallet covers the ceiling."""
        return self.needed_micro_yen <= self.available_micro_yen


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a charge takes: per lot in the order of the parts, and how it divides into net and tax."""

    net_micro_yen: int
    tax_micro_yen: int
    by_lot: tuple[Part, ...]

    def of(self, kind: LotKind) -> int:
        """What it takes from lots of one kind."""
        return sum(part.amount_micro_yen for part in self.by_lot if part.kind is kind)


def spendable(lots: Iterable[LotBalance], now: datetime) -> list[LotBalance]:
    """Lots in the order of consumption, without what has expired (whether or not the expiry has been booked yet)."""
    usable = [lot for lot in lots if lot.available_micro_yen > 0 and not lot.is_expired(now)]
    return sorted(usable, key=lambda lot: (_RANK[lot.kind], lot.expires_at or _FOREVER, str(lot.lot_id)))


def claim(lots: Iterable[LotBalance], *, ceiling_micro_yen: int, tax_rate_bp: int, now: datetime) -> Claim:
    """How the wallet covers a ceiling (without tax)."""
    usable = spendable(lots, now)
    granted = sum(lot.available_micro_yen for lot in usable if lot.kind is LotKind.GRANT)
    from_grants = min(granted, ceiling_micro_yen)
    needed = from_grants + with_tax(ceiling_micro_yen - from_grants, tax_rate_bp)
    available = sum(lot.available_micro_yen for lot in usable)
    if needed > available:
        return Claim(needed_micro_yen=needed, available_micro_yen=available, parts=())
    whole = [
        Part(lot_id=lot.lot_id, kind=lot.kind, expires_at=lot.expires_at, amount_micro_yen=lot.available_micro_yen)
        for lot in usable
    ]
    parts = draw(whole, net_micro_yen=ceiling_micro_yen, tax_rate_bp=tax_rate_bp).by_lot
    held = tuple(part for part in parts if part.amount_micro_yen)
    return Claim(needed_micro_yen=needed, available_micro_yen=available, parts=held)


def without(lots: Iterable[LotBalance], parts: Iterable[Part]) -> list[LotBalance]:
    """What is left to spend when parts of lots have been set aside."""
    taken = {part.lot_id: part.amount_micro_yen for part in parts}
    return [replace(lot, available_micro_yen=lot.available_micro_yen - taken.get(lot.lot_id, 0)) for lot in lots]


def draw(parts: Sequence[Part], *, net_micro_yen: int, tax_rate_bp: int) -> Draw:
    """What a charge of `net_micro_yen` takes from parts in their order. ValueError when they do not cover it.

    Grants first, for the net amount; what is left is taxed as a whole and taken, with the tax, from the others. Never
    decreasing in the net amount for any lot.
    """
    granted = sum(part.amount_micro_yen for part in parts if part.kind is LotKind.GRANT)
    taxable = max(net_micro_yen - granted, 0)
    tax = tax_on(taxable, tax_rate_bp)
    left = {True: net_micro_yen - taxable, False: taxable + tax}
    taken = []
    for part in parts:
        is_grant = part.kind is LotKind.GRANT
        amount = min(part.amount_micro_yen, left[is_grant])
        left[is_grant] -= amount
        taken.append(Part(lot_id=part.lot_id, kind=part.kind, expires_at=part.expires_at, amount_micro_yen=amount))
    if any(left.values()):
        raise ValueError(f"a charge of {net_micro_yen} micro-yen is not covered by its hold")
    return Draw(net_micro_yen=net_micro_yen, tax_micro_yen=tax, by_lot=tuple(taken))


def remainder(parts: Sequence[Part], drawn: Draw) -> list[Part]:
    """What is left of a hold after a draw; lots with nothing left are left out."""
    rest = [
        replace(part, amount_micro_yen=part.amount_micro_yen - used.amount_micro_yen)
        for part, used in zip(parts, drawn.by_lot, strict=True)
    ]
    return [part for part in rest if part.amount_micro_yen]
