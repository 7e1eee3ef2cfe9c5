"""What became of attempts: from the queue where that is enough, else from the accounting and the jobs' own folders.

An attempt is Forgotten only after full answers of both daemons. Where one of them cannot tell now, the others are told
all the same, and this one is UNKNOWN.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Observation, Ref, Seen
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.jobhead import places
from hpc_adapters.jobhead.endings import Ended
from hpc_adapters.jobhead.places import Native, job_name
from hpc_adapters.jobhead.spool import FOLDER_AWAY, Spool
from hpc_adapters.slurm import ownership, telling
from hpc_adapters.slurm.calls import Slurm
from hpc_adapters.slurm.models import DbJob, LiveJob
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.telling import Known, Told
from hpc_adapters.slurm.view import Queue, View

ACCOUNTING_AWAY: Final = "accounting-unavailable"
ACCOUNTING_BEHIND: Final = "accounting-behind"
UNREADABLE: Final = "unreadable-record"
_REMEMBERED: Final = timedelta(days=30)
_IDS_END: Final = 2**26
"""Slurm's own MAX_JOB_ID and one."""


@dataclass(slots=True)
class _Accounting:
    """What slurmdbd told in one call of ours; asked when first needed."""

    records: Mapping[int, Sequence[DbJob]] = field(default_factory=dict)
    named: Mapping[str, Sequence[DbJob]] = field(default_factory=dict)
    is_away: bool = False
    is_behind: bool = False

    def require_whole(self) -> None:
        """Unavailable: what it did not tell may be there."""
        if self.is_away or self.is_behind:
            raise Unavailable(ACCOUNTING_AWAY if self.is_away else ACCOUNTING_BEHIND, maybe_done=False)

    def has_namesake(self, job: LiveJob | DbJob) -> bool:
        return telling.has_namesake(job, self.records.get(job.job_id, ()))

    def of(self, native: Native, attempt_id: UUID, settings: SlurmSettings) -> list[DbJob]:
        """The records of an attempt, by the id that we were given and by its name."""
        found = [*self.records.get(native.job_id, ()), *self.named.get(job_name(attempt_id), ())]
        unique = {(job.job_id, job.submit_at): job for job in found}
        return [
            job
            for job in unique.values()
            if not telling.was_refused(job)
            and ownership.is_ours(job, user=native.user, attempt_id=attempt_id, folder=settings.folder)
        ]


class Attempts:
    """Safe for concurrent use in one loop."""

    def __init__(
        self, settings: SlurmSettings, *, slurm: Slurm, view: View, spool: Spool, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._slurm, self._view, self._spool, self._clock = settings, slurm, view, spool, clock
        self._ended = Ended(spool)

    async def find(self, attempt_id: UUID) -> Ref | None:
        """Unavailable."""
        queue = await self._view.whole()
        found: Sequence[LiveJob | DbJob] = await self._known_of(queue.claiming(attempt_id), attempt_id)
        if not found:
            since = self._clock() - _REMEMBERED - timedelta(seconds=self._settings.max_walltime_s)
            records = await self._slurm.db_jobs_by_name([job_name(attempt_id)], since=since, with_steps=False)
            found = await self._known_of(records.items, attempt_id)
            if found and not any(telling.verdict(job).seen.is_end for job in found):
                await self._require_up_to_date()
                return None  # accepted once, and lost: slurmctld no longer knows it
        if not found:
            return None
        user = found[0].user
        start = await asyncio.to_thread(self._spool.started, user, attempt_id) if len(found) > 1 else None
        first = next((job for job in found if start is not None and job.job_id == start.job_id), found[0])
        return Ref(self._settings.name, attempt_id, str(Native(first.job_id, user)))

    async def observe(self, refs: Sequence[Ref]) -> list[Observation | Forgotten]:
        """In the order of `refs`. Unavailable: slurmctld does not answer."""
        natives = [self._native(ref) for ref in refs]
        queue = await self._queue_with([(ref, native) for ref, native in zip(refs, natives, strict=True) if native])
        now = self._clock()
        glances: list[Told | None] = [
            None if native is None else telling.at_a_glance(self._live(queue, native, ref.attempt_id))
            for ref, native in zip(refs, natives, strict=True)
        ]
        unsure = [
            (ref, native)
            for ref, native, told in zip(refs, natives, glances, strict=True)
            if native is not None and told is None
        ]
        accounting = await self._ask_accounting(unsure) if unsure else _Accounting()
        answers: list[Observation | Forgotten] = []
        for ref, native, told in zip(refs, natives, glances, strict=True):
            if native is None:
                answers.append(Forgotten(ref.attempt_id))
            elif told is not None:
                answers.append(telling.observation(ref, told, now=now))
            else:
                answers.append(await self._look_closer(ref, native, queue, accounting, now))
        await self._ended.remember([answer for answer in answers if isinstance(answer, Observation)])
        return answers

    async def cancel(self, ref: Ref) -> None:
        """Every copy of it. Forgotten, Unavailable."""
        native = self._native(ref)
        if native is None:
            raise Forgotten(ref.attempt_id)
        queue = await self._queue_with([(ref, native)])
        live = self._live(queue, native, ref.attempt_id)
        for job in live:
            if not telling.verdict(job).seen.is_end:
                await self._slurm.cancel(native.user, job.job_id, name=job.name)
        if live or ref.attempt_id in self._ended:
            return
        records = await self._slurm.db_jobs_by_id([native.job_id], with_steps=False)
        if not _Accounting(records=_by_id(records.items)).of(native, ref.attempt_id, self._settings):
            raise Forgotten(ref.attempt_id)

    async def has_ended(self, ref: Ref) -> bool:
        """Whether nothing of it runs any more; False also when nobody can tell now. Cheap to ask again."""
        if ref.attempt_id in self._ended:
            return True
        native = self._native(ref)
        assert native is not None
        try:
            queue = await self._view.recent(self._settings.view_s)
            live = self._live(queue, native, ref.attempt_id)
            if any(not telling.verdict(job).seen.is_end for job in live):
                return False
            [answer] = await self.observe([ref])
        except Unavailable:
            return False
        return isinstance(answer, Forgotten) or answer.seen.is_end

    def _native(self, ref: Ref) -> Native | None:
        return places.native(ref.native_id) if ref.backend == self._settings.name else None

    async def _queue_with(self, asked: Sequence[tuple[Ref, Native]]) -> Queue:
        """As of now; the whole list, if one of these is not in it. Unavailable."""
        queue = await self._view.now()
        if queue.is_whole or all(self._live(queue, native, ref.attempt_id) for ref, native in asked):
            return queue
        return await self._view.whole()

    def _live(self, queue: Queue, native: Native, attempt_id: UUID) -> list[LiveJob]:
        """The attempt's jobs in the queue, if the id that we hold was ever one of its own.

        A copy with another id counts too; but an id that another attempt bears says that ours is gone.
        """
        return queue.of(attempt_id, user=native.user, folder=self._settings.folder)

    async def _look_closer(
        self, ref: Ref, native: Native, queue: Queue, accounting: _Accounting, now: datetime
    ) -> Observation | Forgotten:
        unknown = Observation(ref=ref, seen=Seen.UNKNOWN, observed_at=now)
        try:
            known = await asyncio.to_thread(self._known, ref.attempt_id, native, queue, accounting)
        except OSError:
            return replace(unknown, detail=FOLDER_AWAY, not_now=True)
        await self._clear(known, ref.attempt_id, native.user)
        try:
            told = await self._told(known, ref.attempt_id, native, queue, accounting)
        except Unavailable as cannot:
            return replace(unknown, detail=cannot.detail, not_now=cannot.detail != UNREADABLE)
        if told is None:
            return Forgotten(ref.attempt_id)
        if _needs_record(told) and self._is_fresh(told, now):
            return replace(unknown, detail=ACCOUNTING_BEHIND, not_now=True)
        return telling.observation(ref, told, now=now)

    async def _told(
        self, known: Known, attempt_id: UUID, native: Native, queue: Queue, accounting: _Accounting
    ) -> Told | None:
        """Of all records. Unavailable: what is missing for an answer, as a word."""
        ids = {native.job_id, native.job_id if known.start is None else known.start.job_id}
        if not queue.unreadable_ids.isdisjoint(map(str, ids)):
            raise Unavailable(UNREADABLE, maybe_done=False)
        told = telling.tell(known)
        may_hide = told is not None and telling.may_hide_another(told, known)
        if told is None or may_hide or _needs_record(told):
            accounting.require_whole()
        return telling.tell(await self._with_winner(known, attempt_id, native)) if may_hide else told

    def _known(self, attempt_id: UUID, native: Native, queue: Queue, accounting: _Accounting) -> Known:
        """In a thread. OSError."""
        live = self._live(queue, native, attempt_id)
        recorded = accounting.of(native, attempt_id, self._settings)
        jobs: list[LiveJob | DbJob] = [*live, *recorded]
        return Known(
            live=live,
            recorded=recorded,
            has_namesake=any(accounting.has_namesake(job) for job in jobs),
            start=self._spool.started(native.user, attempt_id),
            end=self._spool.ended(native.user, attempt_id),
            note=self._spool.noted(native.user, attempt_id),
        )

    async def _with_winner(self, known: Known, attempt_id: UUID, native: Native) -> Known:
        """With the records of the run that passed the gate, by its own id: slurmctld may have purged it."""
        assert known.start is not None
        job_id = known.start.job_id
        if not 0 < job_id < _IDS_END:
            return known  # its owner has written nonsense
        try:
            records = _by_id((await self._slurm.db_jobs_by_id([job_id], with_steps=False)).items)
        except Unavailable as away:
            raise Unavailable(ACCOUNTING_AWAY, maybe_done=False) from away
        found = _Accounting(records=records).of(Native(job_id, native.user), attempt_id, self._settings)
        return replace(known, recorded=[*known.recorded, *found])

    def _is_fresh(self, told: Told, now: datetime) -> bool:
        ended_at = told.job.ended_at
        return ended_at is not None and now - ended_at < timedelta(seconds=self._settings.accounting_lag_s)

    async def _clear(self, known: Known, attempt_id: UUID, user: str) -> None:
        """End copies that can never run: those that wait for nobody, and those that the gate would turn away.

        The cancel is the owner's own token. A note says that it was ours, unless the run itself is another copy.
        """
        stuck = [job for job in known.live if telling.is_never_released(telling.verdict(job))]
        for job in {job.job_id: job for job in (*stuck, *telling.strays(known))}.values():
            if known.start is None or known.start.job_id == job.job_id:
                await asyncio.to_thread(self._spool.note, user, attempt_id, telling.verdict(job).detail or "requeued")
            await self._slurm.cancel(user, job.job_id, name=job.name)

    async def _ask_accounting(self, unsure: Sequence[tuple[Ref, Native]]) -> _Accounting:
        """By id for all; by name for those of which the id says nothing (another copy may have run)."""
        try:
            ids = sorted({native.job_id for _, native in unsure})
            by_id = _by_id((await self._slurm.db_jobs_by_id(ids, with_steps=False)).items)
            found = _Accounting(records=by_id)
            missing = [
                job_name(ref.attempt_id)
                for ref, native in unsure
                if not found.of(native, ref.attempt_id, self._settings)
            ]
            if missing:
                since = self._clock() - _REMEMBERED - timedelta(seconds=self._settings.max_walltime_s)
                named = await self._slurm.db_jobs_by_name(missing, since=since, with_steps=False)
                found.named = _by_name(named.items)
            found.is_behind = (await self._slurm.ping()).accounting_queue > 0
        except Unavailable:
            return _Accounting(is_away=True)
        return found

    async def _require_up_to_date(self) -> None:
        """Unavailable: slurmctld has not told slurmdbd everything yet."""
        if (await self._slurm.ping()).accounting_queue > 0:
            raise Unavailable(ACCOUNTING_BEHIND, maybe_done=False)

    async def _known_of(self, jobs: Sequence[LiveJob | DbJob], attempt_id: UUID) -> Sequence[LiveJob | DbJob]:
        """Those that are the attempt's: by a path, or by a name of the user for whom we made its folder."""
        jobs = [job for job in jobs if not telling.was_refused(job)]
        sure = [job for job in jobs if ownership.surely_of(job, self._settings.folder) == attempt_id]
        claims = [job for job in jobs if job not in sure and ownership.claimed_by(job) == attempt_id]
        proved = [job for job in claims if await self._knows(job.user, attempt_id)]
        return sorted([*sure, *proved], key=lambda job: job.job_id)

    async def _knows(self, user: str, attempt_id: UUID) -> bool:
        try:
            return await asyncio.to_thread(self._spool.knows, user, attempt_id)
        except OSError as error:
            raise Unavailable(FOLDER_AWAY, maybe_done=False) from error


def _needs_record(told: Told) -> bool:
    """A cancel: slurmctld does not say whose it was."""
    return told.verdict.seen is Seen.CANCELLED and isinstance(told.job, LiveJob)


def _by_id(jobs: Sequence[DbJob]) -> Mapping[int, Sequence[DbJob]]:
    found: dict[int, list[DbJob]] = defaultdict(list)
    for job in jobs:
        found[job.job_id].append(job)
    return found


def _by_name(jobs: Sequence[DbJob]) -> Mapping[str, Sequence[DbJob]]:
    found: dict[str, list[DbJob]] = defaultdict(list)
    for job in jobs:
        found[job.name].append(job)
    return found
