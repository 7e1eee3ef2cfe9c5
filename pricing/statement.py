"""What lies in a wallet, and how it came to lie there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pricing.ledger.balances import LotBalance, spendable
from pricing.model import LotKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A wallet now. Grants count net amounts, prepaid value and credit count amounts with tax."""

    organisation_id: UUID
    grants_micro_yen: int
    prepaid_micro_yen: int
    credit_micro_yen: int
    """What is left of the credit line."""
    held_micro_yen: int
    owed_micro_yen: int
    """Used on credit and not yet paid; positive."""
    lots: tuple[LotBalance, ...]
    """Spendable lots in the order of consumption."""

    @property
    def available_micro_yen(self) -> int:
        """What a new hold could claim."""
        return self.grants_micro_yen + self.prepaid_micro_yen + self.credit_micro_yen

    @classmethod
    def of(cls, organisation_id: UUID, lots: Sequence[LotBalance], *, owed_micro_yen: int, now: datetime) -> Balance:
        """From every lot of the organisation; what has expired is not available, booked or not."""
        usable = spendable(lots, now)
        free = {kind: sum(lot.available_micro_yen for lot in usable if lot.kind is kind) for kind in LotKind}
        return cls(
            organisation_id=organisation_id,
            grants_micro_yen=free[LotKind.GRANT],
            prepaid_micro_yen=free[LotKind.PREPAID],
            credit_micro_yen=free[LotKind.CREDIT],
            held_micro_yen=sum(lot.held_micro_yen for lot in lots),
            owed_micro_yen=owed_micro_yen,
            lots=tuple(usable),
        )
