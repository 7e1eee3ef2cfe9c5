"""How much each branch of the share tree may have: waiting (decided at submission), and with backends (in each cycle).

Limits hold on a backend and in total, at every level; a job must find room in all that concern it. An array counts by
its tasks. Calls of running jobs are no jobs of their own: what they may use at most counts with the job that makes
them, as long as that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from infra.tokyo import TOKYO
from scheduler.core.branches import Branch, Leaf, branches_of, level_of
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Holding, Limits, Place, Snapshot, Standing, Waiting

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


class _Gauge:
    """What a branch has on a backend (None: in total), beside what it may."""

    __slots__ = ("backend", "branch", "gpus", "limits", "micro_nu", "running")

    def __init__(self, place: Place, limits: Limits, used_micro_nu: int) -> None:
        self.branch, self.backend = place
        self.limits = limits
        self.running = 0
        self.gpus = 0
        self.micro_nu = used_micro_nu

    def refusal(self, job: Waiting) -> Refused | None:
        """The first of its limits that the job would break."""
        here = self.backend is None or self.backend == job.backend
        limits, micro_nu = self.limits, self._micro_nu(job)
        if here and limits.max_running_jobs is not None and self.running >= limits.max_running_jobs:
            return Why.RUNNING_QUOTA, self._facts(running=self.running, max=limits.max_running_jobs)
        if here and limits.max_gpus is not None and job.needs.gpus and self.gpus + job.needs.gpus > limits.max_gpus:
            return Why.GPU_QUOTA, self._facts(used=self.gpus, asked=job.needs.gpus, max=limits.max_gpus)
        most = limits.max_month_micro_nu
        if most is not None and micro_nu and self.micro_nu + micro_nu > most:
            return Why.NU_QUOTA, self._facts(used=_nu(self.micro_nu), asked=_nu(micro_nu), max=_nu(most))
        return None

    def take(self, each: Waiting | Holding) -> None:
        if self.backend is None or self.backend == each.backend:
            self.running += 1
            self.gpus += each.needs.gpus
        self.micro_nu += self._micro_nu(each)

    def _micro_nu(self, each: Waiting | Holding) -> int:
        """Its full size, where this counts it; what its calls may use counts on the device that they go to."""
        own = each.micro_nu if self.backend in {None, each.backend} else 0
        return own + (each.calls_micro_nu if self.backend in {None, each.calls} else 0)

    def _facts(self, **numbers: object) -> dict[str, object]:
        return {"level": level_of(self.branch).value, "on": self.backend or EVERYWHERE, **numbers}


class Quotas:
    """Counts the starts of one cycle against every limit. A look costs a step for each limit on the job's branches."""

    def __init__(self, snapshot: Snapshot) -> None:
        limits = _with_running_jobs(snapshot.limits, snapshot.standings)
        self._gauges: dict[Branch, list[_Gauge]] = {}
        for place in sorted(limits, key=_total_first):
            gauge = _Gauge(place, limits[place], snapshot.month_micro_nu.get(place, 0))
            self._gauges.setdefault(place[0], []).append(gauge)
        self._known: dict[Leaf, tuple[_Gauge, ...]] = {}
        for each in snapshot.holding:
            self.take(each)

    def refusal(self, job: Waiting) -> Refused | None:
        """Which limit it would break, from the top of the tree down; None: none. Calls are in no quota."""
        if job.is_call:
            return None
        for gauge in self._of(job.leaf):
            found = gauge.refusal(job)
            if found is not None:
                return found
        return None

    def take(self, each: Waiting | Holding) -> None:
        """It is, or will be, with its backend."""
        if not each.is_call:
            for gauge in self._of(each.leaf):
                gauge.take(each)

    def _of(self, leaf: Leaf) -> tuple[_Gauge, ...]:
        found = self._known.get(leaf)
        if found is None:
            on_branches = (self._gauges.get(branch, ()) for branch in branches_of(leaf))
            found = self._known[leaf] = tuple(gauge for gauges in on_branches for gauge in gauges)
        return found


def _total_first(place: Place) -> str:
    return place[1] or ""


def _with_running_jobs(limits: Mapping[Place, Limits], standings: Mapping[UUID, Standing]) -> dict[Place, Limits]:
    """The running jobs of an organisation in total are always limited."""
    every = dict(limits)
    for organisation, standing in standings.items():
        place: Place = ((organisation,), None)
        known = limits.get(place, Limits())
        most = standing.max_running_jobs
        if known.max_running_jobs is not None:
            most = min(most, known.max_running_jobs)
        every[place] = replace(known, max_running_jobs=most)
    return every


def _nu(micro_nu: int) -> float:
    return micro_nu / MICRO
