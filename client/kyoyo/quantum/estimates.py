"""How much QPU time a circuit will take, as a range, and the time at which it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from kyoyo.models import Estimate, Fields

_US = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededTime:
    """`cap_s`: more is neither used nor charged. `source`: 'durations' of its gates, or the device's 'model'."""

    low_s: Decimal | None
    high_s: Decimal | None
    cap_s: Decimal | None
    low_yen: Decimal | None
    high_yen: Decimal | None
    source: str

    @classmethod
    def of(cls, estimate: Estimate) -> NeededTime | None:
        """Of an estimate. From a portal that tells no range: what its ceiling is for. None: it is for no QPU."""
        qpu = Fields(estimate.raw).inner("qpu")
        cap_s = _seconds(qpu.optional_integer("cap_us"))
        cap_s = _ceiling_s(estimate) if cap_s is None else cap_s
        if not qpu.told and cap_s is None:
            return None
        return cls(
            low_s=_seconds(qpu.optional_integer("low_us")),
            high_s=_seconds(qpu.optional_integer("high_us")),
            cap_s=cap_s,
            low_yen=qpu.yen("low_yen"),
            high_yen=qpu.yen("high_yen"),
            source=qpu.text("source", ""),
        )


def _seconds(microseconds: int | None) -> Decimal | None:
    return None if microseconds is None else Decimal(microseconds) / _US


def _ceiling_s(estimate: Estimate) -> Decimal | None:
    lines: Sequence[Fields] = Fields(estimate.raw).items(Fields, "lines")
    found = [line.yen("quantity") for line in lines if line.text("component", "") == "qpu_s"]
    return next((each for each in found if each is not None), None)
