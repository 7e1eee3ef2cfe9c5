"""The close of a month: draft → grace → closing → closed, and what stands in its way. Pure.

A month is a draft until it ends, and then waits some days for what comes late. Its close is decided once, with the day,
the rules and the issuer that all its documents show: a run that was cut off goes on with the same. What becomes known
of a closed month later lies in the open one (pricing.assign_billed_month in schema.sql). No month is closed before the
one before it. Decision record: infra/decisions/0032-month-close.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pricing.days import Month, day_of
from pricing.errors import (
    BooksNotCompared,
    BooksNotReconciled,
    CloseReasonWrong,
    EarlierMonthOpen,
    IssuerNotSet,
    MonthInGrace,
    MonthNotOver,
    UsageUnsettled,
)
from pricing.invoicing import INVOICE_ROUNDING, Rounding

_LONGEST_REASON = 500
_ISSUER = ("name", "registration_number", "address")


class Step(StrEnum):
    """How far a month has come."""

    DRAFT = "draft"
    """It is not over."""
    GRACE = "grace"
    """It is over; late usage still comes in."""
    CLOSING = "closing"
    """Decided: documents are being issued, organisation by organisation."""
    CLOSED = "closed"
    """Every organisation has been closed. For ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRules:
    """The house's settings. issuer: the fields of pricing.papers.parties.Issuer."""

    issuer: Mapping[str, str]
    grace: timedelta = timedelta(days=3)
    """So long after its end a month waits for late usage before it can be closed."""
    minimum_yen: int = 50
    """What is less is not asked for but carried to the next month (the least that Stripe collects in yen)."""
    least_days_to_pay: int = 14
    rounding: Rounding = INVOICE_ROUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthState:
    """A month as it stands. facts: what the last step rests on."""

    month: Month
    step: Step
    decided_by: UUID | None = None
    facts: Mapping[str, Any] | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known about a month when its close is asked for."""

    earlier_open: Month | None
    """The first month that is not closed, if that is an earlier one."""
    unsettled: int
    """Attempts that ended by its end and whose charge is not final: no accounting yet, or usage without a price."""
    unexplained: int | None
    """Differences that reconciliation cannot explain; None: nobody has asked."""


def grace_ends(month: Month, rules: CloseRules) -> datetime:
    """From when on the month can be closed."""
    return month.until + rules.grace


def require_closable(
    month: Month, findings: Findings, rules: CloseRules, *, leave_unsettled: str | None, now: datetime
) -> None:
    """Whether the close may be decided now. leave_unsettled: why a person closes although use is unsettled, which
    then comes into a later month.

    MonthNotOver, MonthInGrace, EarlierMonthOpen, IssuerNotSet, BooksNotCompared, BooksNotReconciled,
    UsageUnsettled, CloseReasonWrong.
    """
    _require_time(month, rules, now)
    if findings.earlier_open is not None:
        raise EarlierMonthOpen(month=str(month), earlier=str(findings.earlier_open))
    missing = [name for name in _ISSUER if not rules.issuer.get(name)]
    if missing:
        raise IssuerNotSet(missing=missing)
    if findings.unexplained is None:
        raise BooksNotCompared(month=str(month))
    if findings.unexplained:
        raise BooksNotReconciled(month=str(month), differences=findings.unexplained)
    if leave_unsettled is not None and not 0 < len(leave_unsettled.strip()) <= _LONGEST_REASON:
        raise CloseReasonWrong(limit=_LONGEST_REASON)
    if findings.unsettled and leave_unsettled is None:
        raise UsageUnsettled(month=str(month), attempts=findings.unsettled)


def _require_time(month: Month, rules: CloseRules, now: datetime) -> None:
    if now < month.until:
        raise MonthNotOver(month=str(month), ends_at=month.until.isoformat())
    if now < grace_ends(month, rules):
        raise MonthInGrace(month=str(month), until=grace_ends(month, rules).isoformat())


def decision(findings: Findings, rules: CloseRules, *, leave_unsettled: str | None, now: datetime) -> dict[str, Any]:
    """What every document of the month is made by, as JSON: `plan_of` reads it."""
    return {
        "issue_date": day_of(now).isoformat(),
        "minimum_yen": rules.minimum_yen,
        "least_days_to_pay": rules.least_days_to_pay,
        "rounding": rules.rounding.value,
        "issuer": dict(rules.issuer),
        "unsettled": findings.unsettled,
        "leave_unsettled": leave_unsettled,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePlan:
    """What was decided for all documents of a month."""

    month: Month
    issue_date: date
    minimum_yen: int
    least_days_to_pay: int
    rounding: Rounding
    issuer: Mapping[str, str]

    @property
    def due_date(self) -> date:
        """The first end of a month that leaves the customer enough days to pay (月末締め翌月末払い)."""
        earliest = self.issue_date + timedelta(days=self.least_days_to_pay)
        return Month.of(earliest).following.first - timedelta(days=1)


def plan_of(month: Month, facts: Mapping[str, Any]) -> ClosePlan:
    """What `decision` wrote down."""
    return ClosePlan(
        month=month,
        issue_date=date.fromisoformat(facts["issue_date"]),
        minimum_yen=facts["minimum_yen"],
        least_days_to_pay=facts["least_days_to_pay"],
        rounding=Rounding(facts["rounding"]),
        issuer=facts["issuer"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a closed month came to. It is its last fact."""

    organisations: int
    documents: int
    total_yen: int
    amount_due_yen: int

    @property
    def facts(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)
