"""The policy of a cycle once more, as slowly and plainly as it can be said: every decision looks at everything again.

It shares no code with scheduler.core.cycle, room, quotas and fairshare, only their words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Limits, Snapshot, Waiting

Amount = tuple[int, ...]
Decision = tuple[UUID, Why | None]
Path = tuple[UUID | None, ...]


def decisions(snapshot: Snapshot) -> tuple[list[Decision], dict[UUID, Why]]:
    """In the order of the line: each attempt and why it waits (None: it starts); and those out of the contest."""
    barred = {each.attempt_id: why for each in snapshot.waiting if (why := _barred(each, snapshot))}
    left = [each for each in snapshot.waiting if each.attempt_id not in barred]
    weights, charged = _claims(snapshot)
    started = _Started(snapshot)
    decided = []
    while left:
        job = _next(left, weights, charged)
        left.remove(job)
        for depth in (1, 2, 3):
            charged[job.leaf[:depth]] += max(1, job.micro_nu)
        decided.append((job.attempt_id, started.decide(job)))
    return decided, barred


def _barred(job: Waiting, snapshot: Snapshot) -> Why | None:
    pool = snapshot.pools.get(job.backend)
    rules = {
        Why.CANCEL_PENDING: job.cancel_wanted,
        Why.NOT_ELIGIBLE: snapshot.standings[job.organisation_id].refused is not None,
        Why.RETRY_LATER: job.not_before is not None and job.not_before > snapshot.now,
        Why.BACKEND_OFFLINE: pool is None or not pool.online,
        Why.EXCEEDS_MACHINE: pool is not None and not _within(astuple(job.needs), astuple(pool.total)),
    }
    return next((why for why, applies in rules.items() if applies), None)


def _claims(snapshot: Snapshot) -> tuple[dict[Path, int], Counter[Path]]:
    """Weights, and what each branch of the tree has used; one that nobody names has weight 1."""
    weights: dict[Path, int] = {(each.organisation_id,): each.weight for each in snapshot.standings.values()}
    used = Counter({(each.organisation_id,): each.used_micro_nu for each in snapshot.standings.values()})
    for path, stake in snapshot.stakes.items():
        weights[path] = stake.weight
        used[path] = stake.used_micro_nu
    return weights, used


def _next(left: list[Waiting], weights: dict[Path, int], charged: Counter[Path]) -> Waiting:
    """The first of each user's jobs, of these the first of each project, of these of each organisation, of all."""
    heads = _first_of_each(left, 3, lambda job: (_is_spot(job), not job.is_call, job.submitted_at, job.attempt_id))
    for depth in (3, 2, 1):

        def turn(job: Waiting, depth: int = depth) -> tuple[object, ...]:
            path = job.leaf[:depth]
            rank = (_is_spot(job), not job.is_call) if depth > 1 else (_is_spot(job),)
            return rank, Fraction(charged[path], weights.get(path, 1)), job.submitted_at, job.attempt_id

        heads = _first_of_each(heads, depth - 1, turn)
    return heads[0]


def _first_of_each(jobs: list[Waiting], depth: int, key: Callable[[Waiting], tuple[object, ...]]) -> list[Waiting]:
    """The first of each branch of so many levels."""
    below: dict[Path, list[Waiting]] = {}
    for job in jobs:
        below.setdefault(job.leaf[:depth], []).append(job)
    return [min(each, key=key) for each in below.values()]


def _is_spot(job: Waiting) -> bool:
    return job.service_class is ServiceClass.SPOT and not job.is_call


@dataclass
class _First:
    """The first job of a backend that did not fit, and when it can start. needs None: nobody knows when."""

    at: datetime
    needs: Amount | None


@dataclass
class _Started:
    """What has been started in this cycle so far. Beyond max_starts a job takes its place and starts next time."""

    snapshot: Snapshot
    jobs: list[Waiting] = field(default_factory=list)
    first: dict[str, _First] = field(default_factory=dict)

    def decide(self, job: Waiting) -> Why | None:
        if (beyond := self._beyond_a_limit(job)) is not None:
            return beyond
        if not _within(astuple(job.needs), self._free(job.backend)):
            self.first.setdefault(job.backend, self._reserve(job))
            return Why.NO_CAPACITY
        if self._delays_the_first(job):
            return Why.RESERVED_FOR_EARLIER
        self.jobs.append(job)
        return Why.NEXT_CYCLE if len(self.jobs) > self.snapshot.policy.max_starts else None

    def _beyond_a_limit(self, job: Waiting) -> Why | None:
        """Level by level, in total and then on the backend; of each the running jobs, the GPUs, the month's use."""
        for depth in (1, 2, 3):
            for backend in (None, job.backend):
                have = [
                    each
                    for each in (*self.snapshot.holding, *self.jobs)
                    if each.leaf[:depth] == job.leaf[:depth] and backend in {None, each.backend}
                ]
                limits = self.snapshot.limits.get((job.leaf[:depth], backend), Limits())
                most = limits.max_running_jobs
                if depth == 1 and backend is None:
                    most = self.snapshot.standings[job.organisation_id].max_running_jobs
                if most is not None and len(have) + 1 > most:
                    return Why.RUNNING_QUOTA
                gpus = sum(each.needs.gpus for each in have) + job.needs.gpus
                if limits.max_gpus is not None and job.needs.gpus and gpus > limits.max_gpus:
                    return Why.GPU_QUOTA
                nu = sum(each.micro_nu for each in have) + job.micro_nu
                if limits.max_month_micro_nu is not None and nu > limits.max_month_micro_nu:
                    return Why.NU_QUOTA
        return None

    def _free(self, backend: str) -> Amount:
        pool = self.snapshot.pools[backend]
        held = [each for each in self.snapshot.holding if each.backend == backend]
        unseen = _sum([each.needs for each in held if not each.accepted])
        by_it, by_us = _less(astuple(pool.free), unseen), _less(astuple(pool.total), _sum([h.needs for h in held]))
        base = tuple(map(min, by_it, by_us))
        return _less(base, _sum([each.needs for each in self.jobs if each.backend == backend]))

    def _ends(self, backend: str) -> list[tuple[datetime, Resources]]:
        now, overdue = self.snapshot.now, self.snapshot.now + timedelta(seconds=self.snapshot.policy.overdue_s)
        held = [
            (each.until if each.until > now else overdue, each.needs)
            for each in self.snapshot.holding
            if each.backend == backend
        ]
        return held + [(self._end_of(each), each.needs) for each in self.jobs if each.backend == backend]

    def _end_of(self, job: Waiting) -> datetime:
        return self.snapshot.now + timedelta(seconds=job.walltime_s)

    def _free_at(self, backend: str, at: datetime) -> Amount:
        ended = _sum([needs for end, needs in self._ends(backend) if end <= at])
        return tuple(map(sum, zip(self._free(backend), ended, strict=True)))

    def _reserve(self, job: Waiting) -> _First:
        at = self.snapshot.now
        for at in sorted(end for end, _ in self._ends(job.backend)):
            if _within(astuple(job.needs), self._free_at(job.backend, at)):
                return _First(at, astuple(job.needs))
        return _First(at, None)

    def _delays_the_first(self, job: Waiting) -> bool:
        first = self.first.get(job.backend)
        if first is None or self._end_of(job) <= first.at:
            return False
        if first.needs is None:
            return True
        return not _within(astuple(job.needs), _less(self._free_at(job.backend, first.at), first.needs))


def _within(amount: Amount, free: Amount) -> bool:
    return all(a <= b for a, b in zip(amount, free, strict=True))


def _less(a: Amount, b: Amount) -> Amount:
    return tuple(max(0, x - y) for x, y in zip(a, b, strict=True))


def _sum(amounts: Sequence[Resources]) -> Amount:
    return tuple(map(sum, zip(*map(astuple, amounts), strict=True))) if amounts else (0, 0, 0, 0)
