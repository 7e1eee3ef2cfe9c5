"""How much each branch of the share tree may have: waiting (decided at submission), and with backends (in each cycle).

Limits hold on a backend and in total, at every level; a job must find room in all that concern it. An array counts by
its tasks. Calls of running jobs are no jobs of their own: what they may use at most counts with the job that makes
them, as long as that runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.tokyo import TOKYO
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Limits

MICRO = 1_000_000
EVERYWHERE = "*"
"""In facts: a limit that holds in total."""
Refused = tuple[Why, dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An organisation's weight in the fair share, and its quotas on jobs."""

    weight: int = 1
    max_queued_jobs: int = 1_000
    max_running_jobs: int = 100


def may_queue(most: int | None, *, queued: int, asked: int = 1) -> bool:
    """Whether so many more jobs may wait. None: no limit."""
    return most is None or queued + asked <= most


def out_of_reach(limits: Limits, *, gpus: int, micro_nu: int) -> tuple[str, int, int] | None:
    """What one job wants beyond a limit even if nothing else ran: the limit's name, asked, and at most."""
    for name, asked, most in (
        ("max_gpus", gpus, limits.max_gpus),
        ("max_month_nu", micro_nu, limits.max_month_micro_nu),
    ):
        if most is not None and asked > most:
            return name, asked, most
    return None


def month_of(now: datetime) -> datetime:
    """When the month of limits on normalised units began: Japan's calendar."""
    return now.astimezone(TOKYO).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(now: datetime) -> datetime:
    """When the next one begins."""
    return month_of(month_of(now) + timedelta(days=32))
