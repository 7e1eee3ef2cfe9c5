"""Figures over the whole house: what was given as a discount, and whether the books are whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountTotals:
    """What an organisation's usage was worth and what it was charged, without tax."""

    organisation_id: UUID
    list_micro_yen: int
    market_micro_yen: int
    price_micro_yen: int
    charged_micro_yen: int

    @property
    def discount_micro_yen(self) -> int:
        """Below the list price, by the price (not by waivers)."""
        return self.list_micro_yen - self.price_micro_yen

    @property
    def waived_micro_yen(self) -> int:
        """What ran and was not charged: lost work, or beyond a ceiling."""
        return self.price_micro_yen - self.charged_micro_yen


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The ledger as a whole."""

    imbalance_micro_yen: int
    """Sum of every posting ever made: 0, or the books are wrong."""
    open_holds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What should have been settled by now and is not."""

    parked_usage: int
    """Usage without a price, which waits for a person (service.waive_parked)."""
    unsettled_attempts: int
    """Attempts that ended a while ago: their accounting has not come, or part of it is parked."""
