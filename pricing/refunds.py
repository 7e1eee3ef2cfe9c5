"""What is charged of work that ended badly, and what is given back later: by rules, not by an operator's mood. Pure.

The refund matrix says for each cause how much of an attempt is charged. It is a policy (`refund_matrix`, set by two
persons); an attempt keeps the share that was in force when it ended. A refund is a decision about a job afterwards: an
amount with its cause and its reason, never more than the job is charged; above a limit (`refund_limit`) two persons
decide. What one person gives back alone counts together: of a job, and on an accounting day, so that no limit is passed
in slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pricing.errors import PolicyWrong, RefundTooLarge, RefundWrong
from pricing.model import WHOLE_BP, Cause, Ending
from pricing.units import micro, yen_text

MATRIX, LIMIT = "refund_matrix", "refund_limit"
_REASON_LENGTH = 500
_DAY_TIMES = 10

DEFAULT_MATRIX: Final[Mapping[Cause, int]] = {
    Cause.SUCCEEDED: WHOLE_BP,
    Cause.USER_ERROR: WHOLE_BP,
    Cause.OUT_OF_MEMORY: WHOLE_BP,
    Cause.WALLTIME: WHOLE_BP,
    Cause.CANCELLED: WHOLE_BP,
    Cause.PREEMPTED: 0,
    Cause.NODE_FAILURE: 0,
    Cause.VENDOR_ERROR: 0,
    Cause.OUR_FAULT: 0,
    Cause.MAINTENANCE_OVERRUN: 0,
    Cause.NEVER_RAN: 0,
}
_FIXED: Final = {Cause.SUCCEEDED: WHOLE_BP, Cause.NEVER_RAN: 0}
"""What no policy changes: what ran to its end is sold, and what never ran is not."""

_USUAL: Final = {
    Ending.SUCCEEDED: Cause.SUCCEEDED,
    Ending.FAILED: Cause.USER_ERROR,
    Ending.CANCELLED: Cause.CANCELLED,
    Ending.PREEMPTED: Cause.PREEMPTED,
    Ending.LOST: Cause.OUR_FAULT,
    Ending.NEVER_RAN: Cause.NEVER_RAN,
}


def usual_cause(ending: Ending) -> Cause:
    """Of an ending about which no more is known."""
    return _USUAL[ending]


def matrix(value: Mapping[str, Any] | None) -> Mapping[Cause, int]:
    """Of the policy `refund_matrix`: cause → what is charged, in 1/100 of a percent; None: the default. PolicyWrong."""
    if value is None:
        return DEFAULT_MATRIX
    try:
        given = {Cause(name): share for name, share in value.items()}
    except ValueError:
        raise PolicyWrong(policy=MATRIX) from None
    sound = all(type(share) is int and 0 <= share <= WHOLE_BP for share in given.values())
    if not sound or any(given.get(cause, share) != share for cause, share in _FIXED.items()):
        raise PolicyWrong(policy=MATRIX)
    return {**DEFAULT_MATRIX, **given}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one person may give back without a second one, in micro-yen without tax."""

    of_job: int
    of_day: int

    def allows(self, amount_micro_yen: int, *, of_job: int, of_day: int) -> bool:
        """Whether one person may, after what the same person gave back alone: of the job, and on the day."""
        return of_job + amount_micro_yen <= self.of_job and of_day + amount_micro_yen <= self.of_day


DEFAULT_LIMITS: Final = Limits(micro(10_000), micro(10_000) * _DAY_TIMES)


def limits(value: Mapping[str, Any] | None) -> Limits:
    """Of the policy `refund_limit`: more needs two persons; None: the default. PolicyWrong.

    `day_above_yen` may be left out: ten times `above_yen`.
    """
    if value is None:
        return DEFAULT_LIMITS
    try:
        of_job = micro(value["above_yen"])
        of_day = micro(value["day_above_yen"]) if "day_above_yen" in value else of_job * _DAY_TIMES
    except (KeyError, ValueError, TypeError, ArithmeticError):
        raise PolicyWrong(policy=LIMIT) from None
    if not 0 <= of_job <= of_day or not set(value) <= {"above_yen", "day_above_yen"}:
        raise PolicyWrong(policy=LIMIT)
    return Limits(of_job, of_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What is given back of a job's charge, without tax; the tax on it goes back with it."""

    id: UUID
    organisation_id: UUID
    job_id: UUID
    cause: Cause
    amount_micro_yen: int
    reason: str
    decided_by: UUID
    approved_by: UUID | None
    """The second person; None: it was within the limit of one."""
    decided_at: datetime


def require_refund(amount_micro_yen: int, reason: str, *, charged_micro_yen: int) -> None:
    """RefundWrong; RefundTooLarge: no more is given back than the job is charged now."""
    if amount_micro_yen <= 0:
        raise RefundWrong(field="amount_yen")
    if not 1 <= len(reason) <= _REASON_LENGTH:
        raise RefundWrong(field="reason")
    if amount_micro_yen > charged_micro_yen:
        raise RefundTooLarge(amount_yen=yen_text(amount_micro_yen), charged_yen=yen_text(charged_micro_yen))


def part(charged_micro_yen: int, *, percent_bp: int) -> int:
    """So much of a charge, rounded up to a micro-yen: in the customer's favour."""
    return -(-charged_micro_yen * percent_bp // WHOLE_BP)
