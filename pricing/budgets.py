"""Limits that an organisation sets on what its projects and members may spend. Pure.

Spent is what was charged on the days of the period, without tax and before grants, and what open holds could still
cost: so a limit can be reached, and never be passed. It stops new jobs only; what waits or runs has its money already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from infra.tokyo import TOKYO
from pricing.errors import BudgetExceeded
from pricing.units import MICRO, yen_text

_FISCAL_YEAR_BEGINS = 4


class BudgetPeriod(StrEnum):
    """How long a limit counts before it begins anew."""

    MONTH = "month"
    FISCAL_YEAR = "fiscal_year"
    """April to March."""
    FOREVER = "forever"

    def begins(self, now: datetime) -> date:
        """The first day, of Tokyo, of the period in which this moment lies."""
        day = now.astimezone(TOKYO).date()
        match self:
            case BudgetPeriod.MONTH:
                return day.replace(day=1)
            case BudgetPeriod.FISCAL_YEAR:
                return date(day.year - (day.month < _FISCAL_YEAR_BEGINS), _FISCAL_YEAR_BEGINS, 1)
            case BudgetPeriod.FOREVER:
                return date.min


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit in force. Of a project, of a member, of a member within a project, or (neither) of the organisation."""

    id: UUID
    organisation_id: UUID
    project_id: UUID | None
    person_id: UUID | None
    period: BudgetPeriod
    limit_yen: int
    reason: str
    decided_by: UUID
    decided_at: datetime

    def covers(self, project_id: UUID, person_id: UUID) -> bool:
        """Whether what this member spends in this project counts."""
        return self.project_id in {None, project_id} and self.person_id in {None, person_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A budget, and what of it is gone in the period that runs."""

    budget: Budget
    since: date
    charged_micro_yen: int
    held_micro_yen: int
    """What open holds could still cost beyond what is charged."""

    @property
    def left_micro_yen(self) -> int:
        """Below 0 when the limit was lowered."""
        return self.budget.limit_yen * MICRO - self.charged_micro_yen - self.held_micro_yen


def require_within(budgets: Iterable[Spent], *, needed_micro_yen: int) -> None:
    """Whether new ceilings find a place under every limit. BudgetExceeded names the one with the least left."""
    tight = [each for each in budgets if each.left_micro_yen < needed_micro_yen]
    if not tight:
        return
    least = min(tight, key=lambda each: (each.left_micro_yen, str(each.budget.id)))
    raise BudgetExceeded(
        of=_of(least.budget),
        period=least.budget.period.value,
        limit_yen=str(least.budget.limit_yen),
        left_yen=yen_text(max(least.left_micro_yen, 0)),
        needed_yen=yen_text(needed_micro_yen),
    )


def _of(budget: Budget) -> str:
    match (budget.project_id is not None, budget.person_id is not None):
        case (True, True):
            return "member_in_project"
        case (True, False):
            return "project"
        case (False, True):
            return "member"
        case _:
            return "organisation"
