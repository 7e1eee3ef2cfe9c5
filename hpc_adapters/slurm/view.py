"""The queue as slurmctld told it last, followed by its changes.

slurmctld sends all jobs or none, and makes some 20 kB of each: the whole list is asked for now and then, and between
that only the states of all jobs, and the jobs whose state has changed. What is there is told by both; that something is
not there, only by the whole list (`whole`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Seen
from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm import ownership, telling, translate
from hpc_adapters.slurm.calls import UNREADABLE_JOB, Slurm
from hpc_adapters.slurm.models import LiveJob
from hpc_adapters.slurm.models.jobs import is_end

_OVERLAP: Final = timedelta(seconds=2)
"""Slurm's times are whole seconds, and something may happen twice within one."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_WHOLE_EVERY: Final = timedelta(seconds=10)
"""An id that was given again, and was found in the state of its last bearer; a name that its owner has changed."""
_WHOLE_AT_MOST: Final = timedelta(minutes=2)
_SHARE: Final = 20
"""So many times as long as it took, no whole list is asked for: a large site's takes seconds of slurmrestd's time."""
_WAITS: Final = timedelta(seconds=3)
"""A job that waits says in its reason alone that it is held: ours are read again after so long."""
_AGAIN: Final = 4
"""So many of them in one look, the longest not read first."""
_AT_ONCE: Final = 4
_COMPLETING: Final = "COMPLETING"


@dataclass(frozen=True, slots=True)
class Queue:
    """All jobs of one cluster. `asked_at`: everything that was accepted before then is in it."""

    jobs: Sequence[LiveJob] = ()
    unreadable_ids: frozenset[str] = frozenset()
    asked_at: datetime = _NEVER
    is_whole: bool = False
    """Slurm's own whole list: what is not in it is not there."""
    by_attempt: Mapping[UUID, Sequence[LiveJob]] = field(default_factory=dict, repr=False)
    by_id: Mapping[int, LiveJob] = field(default_factory=dict, repr=False)
    waiting: Mapping[UUID, LiveJob] = field(default_factory=dict, repr=False)
    """Of those that are surely ours: what has not started."""

    def of(self, attempt_id: UUID, *, user: str, folder: Path) -> list[LiveJob]:
        """The jobs of an attempt that was handed over as this user."""
        found = self.by_attempt.get(attempt_id, ())
        return [job for job in found if ownership.is_ours(job, user=user, attempt_id=attempt_id, folder=folder)]

    def claiming(self, attempt_id: UUID) -> Sequence[LiveJob]:
        """The jobs that name the attempt, whosever they are."""
        return self.by_attempt.get(attempt_id, ())

    def with_id(self, job_id: int) -> LiveJob | None:
        return self.by_id.get(job_id)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One job as it was read, with the attempts that it names, and the one that it surely is of."""

    job: LiveJob
    named: Sequence[UUID]
    surely: UUID | None
    state: frozenset[str]
    """As told last. For what changes nothing for us the job is not read again: a stranger's, one that completes."""
    waits: bool
    read_at: datetime


class View:
    """The queue of one cluster. Safe for concurrent use in one loop."""

    def __init__(self, slurm: Slurm, *, folder: Path, clock: Callable[[], datetime]) -> None:
        self._slurm, self._folder, self._clock = slurm, folder, clock
        self._lock = asyncio.Lock()
        self._queue = Queue()
        self._entries: dict[int, _Entry] = {}
        self._cursor: datetime | None = None
        self._whole_due = _NEVER

    async def now(self) -> Queue:
        """As it is when this is asked. Unavailable."""
        called_at = self._clock()
        async with self._lock:
            if self._queue.asked_at <= called_at:
                await self._refresh()
            return self._queue

    async def whole(self) -> Queue:
        """The same, by Slurm's whole list: for whoever concludes from what is not in it. Unavailable."""
        called_at = self._clock()
        async with self._lock:
            if self._queue.asked_at <= called_at or not self._queue.is_whole:
                self._whole_due = _NEVER
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
        """After a failure the whole list is next: slurmctld may have come back without what it knew."""
        asked_at, due = self._clock(), self._whole_due
        self._whole_due = _NEVER
        if asked_at < due and await self._follow(asked_at):
            self._whole_due = due
            return
        await self._take_all(asked_at)
        took = self._clock() - asked_at
        self._whole_due = asked_at + min(max(_WHOLE_EVERY, took * _SHARE), _WHOLE_AT_MOST)

    # -- all ----------------------------------------------------------------------------------------------------------

    async def _take_all(self, asked_at: datetime) -> None:
        since = None if self._cursor is None else self._cursor - _OVERLAP
        answer = await self._slurm.live_jobs(since, known=self._queue.by_id)
        if answer.unchanged:
            self._queue = replace(self._queue, asked_at=asked_at, is_whole=True)
            return
        self._entries = {job.job_id: self._entry(job, asked_at) for job in answer.jobs}
        unreadable = frozenset(each.native_id for each in answer.unreadable)
        self._queue = self._indexed(asked_at, unreadable, is_whole=True)
        self._cursor = answer.updated_at

    # -- only what has changed ----------------------------------------------------------------------------------------

    async def _follow(self, asked_at: datetime) -> bool:
        """False: this does not tell enough, and the whole list must be asked for. Unavailable."""
        states = await self._slurm.job_states()
        if states is None:
            return False
        gone = self._entries.keys() - states.keys()
        if not states or not all(is_end(self._entries[job_id].state) for job_id in gone):
            return False  # slurmctld forgets what has ended, after a while; anything else it may not
        stale = [job_id for job_id, state in states.items() if self._is_stale(job_id, state)]
        if len(stale) > max(_AT_ONCE, len(states) // 2):
            return False
        again = self._waiting_longest(asked_at, besides=stale)
        try:
            read = await self._read([*stale, *again])
        except Unavailable as problem:
            if problem.detail.startswith(UNREADABLE_JOB):
                return False
            raise
        self._note(states, gone, read, asked_at)
        if gone or read:
            self._queue = self._indexed(asked_at, self._queue.unreadable_ids, is_whole=False)
        else:
            self._queue = replace(self._queue, asked_at=asked_at, is_whole=False)
        return True

    def _is_stale(self, job_id: int, state: frozenset[str]) -> bool:
        entry = self._entries.get(job_id)
        if entry is None:
            return str(job_id) not in self._queue.unreadable_ids
        return bool(entry.named) and state != entry.state and not _only_completes(entry.job, state)

    def _note(
        self,
        states: Mapping[int, frozenset[str]],
        gone: Iterable[int],
        read: Mapping[int, LiveJob | None],
        read_at: datetime,
    ) -> None:
        for job_id, job in read.items():
            if job is not None:
                self._entries[job_id] = self._entry(job, read_at)
        for job_id in [*gone, *(job_id for job_id, job in read.items() if job is None)]:
            self._entries.pop(job_id, None)
        for job_id, entry in self._entries.items():
            if states[job_id] != entry.state and job_id not in read:
                self._entries[job_id] = replace(entry, state=states[job_id])

    def _waiting_longest(self, now: datetime, *, besides: Iterable[int]) -> list[int]:
        read_before = now - _WAITS
        found = [
            entry
            for entry in map(self._entries.__getitem__, {job.job_id for job in self._queue.waiting.values()})
            if entry.read_at <= read_before
        ]
        oldest = sorted(found, key=lambda entry: (entry.read_at, entry.job.job_id))
        return [entry.job.job_id for entry in oldest if entry.job.job_id not in set(besides)][:_AGAIN]

    async def _read(self, job_ids: Sequence[int]) -> Mapping[int, LiveJob | None]:
        found: dict[int, LiveJob | None] = {}
        for first in range(0, len(job_ids), _AT_ONCE):
            some = job_ids[first : first + _AT_ONCE]
            answers = await asyncio.gather(*map(self._slurm.live_job, some), return_exceptions=True)
            for job_id, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                found[job_id] = answer
        return found

    # -- both ---------------------------------------------------------------------------------------------------------

    def _entry(self, job: LiveJob, read_at: datetime) -> _Entry:
        before = self._entries.get(job.job_id)
        if before is not None and before.job is job:
            return replace(before, read_at=read_at)
        state = frozenset(job.state)
        if telling.was_refused(job):
            return _Entry(job, (), None, state, waits=False, read_at=read_at)
        surely = ownership.surely_of(job, self._folder)
        named = {surely, ownership.claimed_by(job)}
        waits = surely is not None and telling.verdict(job).seen is Seen.WAITING
        known = [attempt_id for attempt_id in named if attempt_id is not None]
        return _Entry(job, known, surely, state, waits=waits, read_at=read_at)

    def _indexed(self, asked_at: datetime, unreadable: frozenset[str], *, is_whole: bool) -> Queue:
        by_attempt: dict[UUID, list[LiveJob]] = defaultdict(list)
        waiting: dict[UUID, LiveJob] = {}
        for entry in self._entries.values():
            for attempt_id in entry.named:
                by_attempt[attempt_id].append(entry.job)
            if entry.surely is not None and entry.waits:
                waiting[entry.surely] = entry.job
        return Queue(
            jobs=tuple(entry.job for entry in self._entries.values()),
            unreadable_ids=unreadable,
            asked_at=asked_at,
            is_whole=is_whole,
            by_attempt=by_attempt,
            by_id={job_id: entry.job for job_id, entry in self._entries.items()},
            waiting=waiting,
        )


def _only_completes(job: LiveJob, state: frozenset[str]) -> bool:
    """Whether it ran and has ended, but for its nodes' clearing up: it runs still, and is read when that is over."""
    is_running = telling.verdict(job).seen is Seen.RUNNING
    return is_running and _COMPLETING in state and translate.words(tuple(state))[0] is Seen.RUNNING
