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
        qpu = told.inner("qpu")
        if not qpu.told:
            return None
        return cls(
            low_s=_seconds(qpu, "low_us"),
            expected_s=_seconds(qpu, "expected_us"),
            high_s=_seconds(qpu, "high_us"),
            cap_s=_seconds(qpu, "cap_us"),
            low_yen=qpu.yen("low_yen"),
            source=qpu.text("source", ""),
        )


def _seconds(qpu: Fields, name: str) -> Decimal:
    return (qpu.needed_yen(name) / 1_000_000).normalize()
