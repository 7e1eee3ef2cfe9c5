"""The queue as slurmctld told it last, kept so that "nothing has changed" is a cheap answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.slurm import ownership, telling
from hpc_adapters.slurm.calls import LiveJobs, Slurm
from hpc_adapters.slurm.models import LiveJob

_OVERLAP: Final = timedelta(seconds=2)
"""Slurm's times are whole seconds, and something may happen twice within one."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Queue:
    """One full answer. `asked_at`: everything that was accepted before then is in it."""

    jobs: Sequence[LiveJob] = ()
    unreadable_ids: frozenset[str] = frozenset()
    asked_at: datetime = _NEVER
    by_attempt: Mapping[UUID, Sequence[LiveJob]] = field(default_factory=dict, repr=False)
    by_id: Mapping[int, LiveJob] = field(default_factory=dict, repr=False)

    def of(self, attempt_id: UUID, *, user: str, folder: Path) -> list[LiveJob]:
        """The jobs of an attempt that was handed over as this user."""
        found = self.by_attempt.get(attempt_id, ())
        return [job for job in found if ownership.is_ours(job, user=user, attempt_id=attempt_id, folder=folder)]

    def claiming(self, attempt_id: UUID) -> Sequence[LiveJob]:
        """The jobs that name the attempt, whosever they are."""
        return self.by_attempt.get(attempt_id, ())

    def with_id(self, job_id: int) -> LiveJob | None:
        return self.by_id.get(job_id)


class View:
    """The queue of one cluster. Safe for concurrent use in one loop."""

    def __init__(self, slurm: Slurm, *, folder: Path, clock: Callable[[], datetime]) -> None:
        self._slurm, self._folder, self._clock = slurm, folder, clock
        self._lock = asyncio.Lock()
        self._queue = Queue()
        self._cursor: datetime | None = None

    async def now(self) -> Queue:
        """As it is when this is asked. Unavailable."""
        called_at = self._clock()
        async with self._lock:
            if self._queue.asked_at <= called_at:
                await self._refresh()
            return self._queue

    async def recent(self, max_age_s: float) -> Queue:
        """As it was at most so long ago. Unavailable."""
        async with self._lock:
            oldest = self._clock() - timedelta(seconds=max_age_s)
            if self._queue.asked_at < oldest:
                await self._refresh()
            return self._queue

    async def _refresh(self) -> None:
        asked_at = self._clock()
        answer = await self._slurm.live_jobs(None if self._cursor is None else self._cursor - _OVERLAP)
        if answer.unchanged:
            self._queue = replace(self._queue, asked_at=asked_at)
            return
        self._queue = self._indexed(answer, asked_at)
        self._cursor = answer.updated_at

    def _indexed(self, answer: LiveJobs, asked_at: datetime) -> Queue:
        by_attempt: dict[UUID, list[LiveJob]] = defaultdict(list)
        for job in answer.jobs:
            if telling.was_refused(job):
                continue
            named = {ownership.surely_of(job, self._folder), ownership.claimed_by(job)} - {None}
            for attempt_id in named:
                assert attempt_id is not None
                by_attempt[attempt_id].append(job)
        unreadable = frozenset(each.native_id for each in answer.unreadable)
        return Queue(answer.jobs, unreadable, asked_at, by_attempt, {job.job_id: job for job in answer.jobs})
