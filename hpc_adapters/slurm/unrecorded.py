"""Ended jobs that slurmctld still remembers and slurmdbd was never told of, or not of their end. Pure.

What slurmctld has still to tell is kept in its memory: killed while slurmdbd is away, it forgets that, and the record
never comes (24.11), or is one without partition and eligible time, which no question about a time brings (26.05), or
stays open for ever, where only the end was lost. Its own record of the job, which it saved, then stands for it, under
the same natural key: should slurmdbd learn of it after all, that is a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from hpc_adapters.contract import Window
from hpc_adapters.slurm import translate
from hpc_adapters.slurm.models import DbJob, LiveJob

_SHARED = frozenset(each.name for each in fields(LiveJob)) & frozenset(each.name for each in fields(DbJob))


def ended_long_enough(jobs: Iterable[LiveJob], *, window: Window, before: datetime) -> list[LiveJob]:
    """Those that ran in the window and ended before a time at which slurmdbd should know them.

    One that was ever suspended is left out: slurmctld does not tell for how long.
    """
    return [
        job
        for job in jobs
        if job.started_at is not None
        and job.ended_at is not None
        and job.started_at <= job.ended_at < before
        and window.touches(job.started_at, job.ended_at)
        and not job.was_suspended
        and translate.live(job).seen.is_end
    ]


def missing_from(recorded: Iterable[DbJob], jobs: Iterable[LiveJob]) -> list[LiveJob]:
    """Those without a record. A job whose time of submission is not told may be any of its id."""
    known = {(job.job_id, job.submit_at) for job in recorded}
    ids = {job_id for job_id, _ in known}
    return [
        job
        for job in jobs
        if (job.job_id, job.submit_at) not in known and (job.submit_at is not None or job.job_id not in ids)
    ]


def as_records(jobs: Sequence[LiveJob]) -> list[DbJob]:
    """As slurmdbd would have kept them. Who ended a job, slurmctld does not tell."""
    return [
        DbJob(
            **{name: getattr(job, name) for name in _SHARED},
            elapsed_s=_elapsed_s(job),
            suspended_s=0,
            eligible_at=None,
            kill_by="",
            cpu_used_s=0.0,
        )
        for job in jobs
    ]


def _elapsed_s(job: LiveJob) -> int:
    assert job.started_at is not None
    assert job.ended_at is not None
    return (job.ended_at - job.started_at) // timedelta(seconds=1)
