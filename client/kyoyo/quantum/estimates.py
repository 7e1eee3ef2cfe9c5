"""How much QPU time a circuit will take, as a range, and the time at which it is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from kyoyo.models import Estimate, Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededTime:
    """Seconds: at least, probably, at most, and where the device stops; more is neither used nor charged.

    `source`: 'durations' of its gates, the device's 'model', or that of the 'offering'. `low_yen`: without tax.
    """

    low_s: Decimal
    expected_s: Decimal
    high_s: Decimal
    cap_s: Decimal
    low_yen: Decimal | None
    source: str

    @classmethod
    def of(cls, estimate: Estimate) -> NeededTime | None:
        """Of an estimate; None: it is for no QPU, or of a portal that tells no range."""
        told = Fields(estimate.raw)
        service = told.inner("service")
        if not service.told:
            return None
        return cls(
            low_s=service.needed_yen("low_s"),
            expected_s=service.needed_yen("expected_s"),
            high_s=service.needed_yen("high_s"),
            cap_s=service.needed_yen("cap_s"),
            low_yen=told.yen("low_yen"),
            source=service.text("source", ""),
        )
