"""What the audit is given, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from hpc_adapters.contract import UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something is not as the facts say. explanation: a known, harmless reason; None: somebody must look."""

    check: str
    """Stable name of the rule that was broken."""
    subject: str
    """What it is about, e.g. 'job:0191…'."""
    expected: str
    found: str
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a backend's accounting answered for [since, asked_at). rows None: it did not answer."""

    backend: str
    since: datetime
    asked_at: datetime
    lag_s: float
    rows: Sequence[UsageRow] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureClaim:
    """A figure that the house reports for [since, until) as known at an instant."""

    key: str
    resource: str
    since: datetime
    until: datetime
    as_known_at: datetime
    value: Decimal | None
    numerator: Decimal | None = None
    denominator: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateClaim:
    """One tax rate of a draft invoice. used_micro_yen: charge of its usage lines; covered: by grants."""

    tax_rate_bp: int
    used_micro_yen: int
    covered_micro_yen: int
    lines_yen: int
    taxable_yen: int
    tax_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceClaim:
    """A draft invoice of an organisation for the month [since, until)."""

    organisation_id: UUID
    month: str
    since: datetime
    until: datetime
    rates: Sequence[RateClaim]
    total_yen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the house says of itself, to be checked: the audit does not calculate it with the house's code."""

    figures: Sequence[FigureClaim] = ()
    invoices: Sequence[InvoiceClaim] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    """What the house could not even say → the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything that was found, and how much was looked at."""

    at: datetime
    differences: Sequence[Difference]
    looked_at: Mapping[str, int] = field(default_factory=dict)

    @property
    def unexplained(self) -> int:
        return sum(each.explanation is None for each in self.differences)

    def as_json(self) -> dict[str, object]:
        """For printing by a program."""
        return {
            "at": self.at.isoformat(),
            "looked_at": dict(self.looked_at),
            "unexplained": self.unexplained,
            "explained": len(self.differences) - self.unexplained,
            "differences": [
                {
                    "check": each.check,
                    "subject": each.subject,
                    "expected": each.expected,
                    "found": each.found,
                    "explanation": each.explanation,
                }
                for each in self.differences
            ],
        }

    def lines(self) -> list[str]:
        """For printing to a person: one line per difference, the unexplained first, then the sum."""
        ordered = sorted(self.differences, key=lambda each: (each.explanation is not None, each.check, each.subject))
        told = [
            f"{'explained ' if each.explanation else 'DIFFERENCE'}  {each.check}  {each.subject}: "
            f"expected {each.expected}, found {each.found}" + (f"  ({each.explanation})" if each.explanation else "")
            for each in ordered
        ]
        seen = ", ".join(f"{count} {what}" for what, count in self.looked_at.items())
        explained = len(self.differences) - self.unexplained
        return [*told, f"audit: {self.unexplained} unexplained, {explained} explained; looked at {seen}"]
