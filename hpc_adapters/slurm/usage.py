"""Usage rows of a window: slurmdbd's records, with whose they are, which ran nothing, and what their GPUs did."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Seen, UsageRow, Window
from hpc_adapters.errors import Unavailable
from hpc_adapters.jobhead.spool import FOLDER_AWAY, End, Spool, Start
from hpc_adapters.slurm import accounting, ownership, telling, unrecorded
from hpc_adapters.slurm.calls import Slurm
from hpc_adapters.slurm.figures import Figures
from hpc_adapters.slurm.models import DbJob
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.telling import Known
from hpc_adapters.slurm.view import Queue, View
from hpc_adapters.workloads.gpu_sampler import facts as gpu_facts

_SECOND: Final = timedelta(seconds=1)
_MOST_KEPT: Final = 20_000
_FOLDER_READS_AT_MOST_S: Final = telling.HEAD_S
_NOT_MEASURED: Final = {"gpu_measured": "no"}


@dataclass(frozen=True, slots=True)
class _Left:
    """What an ended record's working folder says; it is read once."""

    attempt_id: UUID | None
    start: Start | None = None
    end: End | None = None
    note: str = ""
    gpu: dict[str, str | float] = field(default_factory=dict)
    asks_site: bool = False
    """Whether the site's own figures have still to be asked for; that is done once."""


class Usage:
    """Safe for concurrent use in one loop."""

    def __init__(
        self,
        settings: SlurmSettings,
        *,
        slurm: Slurm,
        view: View,
        spool: Spool,
        clock: Callable[[], datetime],
        figures: Figures | None = None,
    ) -> None:
        """figures: the site's own of GPU use, which come before what jobs measured themselves."""
        self._settings, self._slurm, self._view, self._spool, self._clock = settings, slurm, view, spool, clock
        self._figures = figures
        self._kept: OrderedDict[tuple[int, datetime | None], _Left] = OrderedDict()

    async def rows(self, window: Window) -> list[UsageRow]:
        """Every record of our partition that touches the window, each once. Unavailable."""
        wider = Window(window.since - _SECOND, window.until + 2 * _SECOND)
        found = await self._slurm.db_jobs_in(wider)
        recorded = [*found.items, *await self._never_recorded(found.items, wider)]
        jobs = [job for job in accounting.newest(recorded) if self._is_here(job)]
        runaways = await self._runaways(jobs)
        try:
            left = await asyncio.to_thread(lambda: [self._left(job) for job in jobs])
        except OSError as error:
            raise Unavailable(FOLDER_AWAY, maybe_done=False) from error
        left = await self._with_figures(jobs, left)
        bearers: defaultdict[int, list[DbJob]] = defaultdict(list)
        for job in found.items:
            bearers[job.job_id].append(job)
        rows = [
            self._row(
                job,
                each,
                is_runaway=job.job_id in runaways,
                has_namesake=telling.has_namesake(job, bearers[job.job_id]),
            )
            for job, each in zip(jobs, left, strict=True)
        ]
        return [row for row in rows if row is not None and window.touches(row.started_at, row.ended_at)]

    def _is_here(self, job: DbJob) -> bool:
        return job.cluster in {"", self._settings.cluster} and (
            self._settings.partition in job.partition.split(",")
            or ownership.surely_of(job, self._settings.folder) is not None
        )

    def _row(self, job: DbJob, left: _Left, *, is_runaway: bool, has_namesake: bool) -> UsageRow | None:
        row = accounting.usage_row(
            job,
            cluster=self._settings.cluster,
            attempt_id=left.attempt_id,
            turned_away=left.attempt_id is not None and telling.is_turned_away(job, left.start),
            runaway=is_runaway,
            qpu=self._settings.qpu_tres,
        )
        if row is None or left.attempt_id is None:
            return row
        if accounting.TURNED_AWAY in row.facts and left.start is not None and left.start.job_id == job.job_id:
            # Slurm rolled the job back and started it again under the same record: the first start has none any more.
            row = replace(row, facts={**row.facts, accounting.TURNED_AWAY: accounting.OVERWRITTEN})
        if row.facts.get("gpus") and row.final:
            row = replace(row, facts={**row.facts, **(_of_this_run(left, row) or _NOT_MEASURED)})
        return replace(row, ending=_ending(job, left, row, has_namesake=has_namesake))

    def _left(self, job: DbJob) -> _Left:
        """In a thread. OSError."""
        key = (job.job_id, job.submit_at)
        if (kept := self._kept.get(key)) is not None:
            return kept
        attempt_id = ownership.surely_of(job, self._settings.folder)
        if attempt_id is None:
            claimed = ownership.claimed_by(job)
            attempt_id = claimed if claimed and self._spool.knows(job.user, claimed) else None
        left = _Left(attempt_id)
        if attempt_id is None or accounting.is_open(job):
            return left
        left = self._read(job, attempt_id)
        self._kept[key] = left
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return left

    def _read(self, job: DbJob, attempt_id: UUID) -> _Left:
        may_be_forgotten = telling.verdict(job).seen in telling.ENDS_OF_FORGETTING
        needs_end = may_be_forgotten or telling.length_s(job) <= _FOLDER_READS_AT_MOST_S
        is_cancelled = "CANCELLED" in job.state
        return _Left(
            attempt_id,
            start=self._spool.started(job.user, attempt_id) if needs_end or telling.was_requeued(job) else None,
            end=self._spool.ended(job.user, attempt_id) if needs_end else None,
            note=self._spool.noted(job.user, attempt_id) if is_cancelled else "",
            gpu=self._measured(job, attempt_id),
            asks_site=self._figures is not None and accounting.gpus(job.tres_alloc) > 0,
        )

    def _measured(self, job: DbJob, attempt_id: UUID) -> dict[str, str | float]:
        if not accounting.gpus(job.tres_alloc):
            return {}
        return _gpu_facts(job, self._spool.gpu_summary(job.user, attempt_id))

    async def _with_figures(self, jobs: Sequence[DbJob], left: Sequence[_Left]) -> list[_Left]:
        """Asked one after the other, each once; a Prometheus that does not answer is not waited for a second time."""
        found = list(left)
        is_away = False
        for place, (job, each) in enumerate(zip(jobs, left, strict=True)):
            if self._figures is None or not each.asks_site:
                continue
            summary = None if is_away else await self._figures.summary(job)
            is_away = summary is None
            told = {} if summary is None else _gpu_facts(job, summary)
            found[place] = replace(each, gpu=each.gpu if told in ({}, _NOT_MEASURED) else told, asks_site=False)
            self._kept[(job.job_id, job.submit_at)] = found[place]
        return found

    async def _never_recorded(self, recorded: Sequence[DbJob], window: Window) -> list[DbJob]:
        """Of our own jobs, by slurmctld's word: nothing is left to tell slurmdbd, which lists none or an open one."""
        queue = await self._view.recent(self._settings.accounting_lag_s)
        before = self._clock() - timedelta(seconds=self._settings.accounting_lag_s)
        ours = [job for jobs in queue.by_attempt.values() for job in jobs]
        ended = unrecorded.ended_long_enough(ours, window=window, before=before)
        missing = unrecorded.missing_from([job for job in recorded if accounting.is_whole(job)], ended)
        if not missing or (await self._slurm.ping()).accounting_queue > 0:
            return []
        return unrecorded.as_records(missing)

    async def _runaways(self, jobs: Sequence[DbJob]) -> frozenset[int]:
        """Ids that slurmdbd waits for, and slurmctld, up to date with it, does not know any more."""
        lag = timedelta(seconds=self._settings.accounting_lag_s)
        now = self._clock()
        overdue = [
            job for job in jobs if accounting.is_open(job) and job.started_at is not None and job.started_at < now - lag
        ]
        if not overdue:
            return frozenset()
        queue = await self._view.now()
        if not all(_is_live(job, queue) for job in overdue):
            queue = await self._view.whole()
        gone = frozenset(job.job_id for job in overdue if not _is_live(job, queue))
        if gone and (await self._slurm.ping()).accounting_queue > 0:
            return frozenset()
        return gone


def _gpu_facts(job: DbJob, summary: Mapping[str, object]) -> dict[str, str | float]:
    found = gpu_facts([summary])
    gpus = summary.get("gpus")
    if not isinstance(gpus, dict) or len(gpus) < accounting.gpus(job.tres_alloc):
        found.pop("gpu_energy_j", None)  # a part of the sum is no sum
    return found


def _is_live(job: DbJob, queue: Queue) -> bool:
    """Whether slurmctld knows this very job; another bearer of its id is not it. Its owner may have renamed it."""
    live = queue.with_id(job.job_id)
    return live is not None and live.user == job.user and (live.name == job.name or live.submit_at == job.submit_at)


def _of_this_run(left: _Left, row: UsageRow) -> dict[str, str | float]:
    """What was measured belongs to the run that passed the gate."""
    return {} if accounting.TURNED_AWAY in row.facts else left.gpu


def _ending(job: DbJob, left: _Left, row: UsageRow, *, has_namesake: bool) -> Seen:
    """As observation tells it."""
    if not row.final or accounting.RUNAWAY in row.facts:
        return row.ending
    known = Known(recorded=[job], start=left.start, end=left.end, note=left.note, has_namesake=has_namesake)
    told = telling.tell(known)
    return row.ending if told is None else told.verdict.seen
