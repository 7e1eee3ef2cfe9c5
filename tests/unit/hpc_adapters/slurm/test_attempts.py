"""What is asked before an attempt is called lost: the run that passed the gate may have an id that we never held."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest

from hpc_adapters.contract import Observation, Ref, Seen
from hpc_adapters.errors import Forgotten, Unavailable
from hpc_adapters.jobhead.places import job_name, work_of
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.slurm.attempts import ACCOUNTING_AWAY, ACCOUNTING_BEHIND, Attempts
from hpc_adapters.slurm.calls import LiveJobs, Ping, Slurm
from hpc_adapters.slurm.models import DbJob, LiveJob, Records
from hpc_adapters.slurm.models.jobs import db_job
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.view import View

T0 = datetime(2026, 11, 20, 9, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
ATTEMPT = UUID(int=7)


class Accounting:
    """slurmctld has purged everything; slurmdbd knows `jobs`, and goes away after so many answers."""

    def __init__(self, *jobs: DbJob, answers: int = 99, queue: int = 0) -> None:
        self.jobs, self.answers, self.queue = jobs, answers, queue

    async def live_jobs(self, since: datetime | None, *, known: Mapping[int, LiveJob]) -> LiveJobs:
        return LiveJobs(jobs=(), unreadable=(), updated_at=NOW)

    async def ping(self) -> Ping:
        return Ping(release="", cluster="", version="", skew_s=0, accounting_queue=self.queue)

    async def db_jobs_by_id(self, job_ids: Sequence[int], *, with_steps: bool) -> Records[DbJob]:
        self.answers -= 1
        if self.answers < 0:
            raise Unavailable("away", maybe_done=False)
        return Records(tuple(job for job in self.jobs if job.job_id in job_ids), ())

    async def db_jobs_by_name(self, names: Sequence[str], *, since: datetime, with_steps: bool) -> Records[DbJob]:
        return Records(tuple(job for job in self.jobs if job.name in names), ())


def recorded(job_id: int, state: str, *, start: float, length: float, exit_code: int, user: str = "alice") -> DbJob:
    job = db_job({"job_id": job_id, "name": job_name(ATTEMPT), "user": user, "state": {"current": [state]}})
    started_at = T0 + timedelta(seconds=start)
    ended_at = started_at + timedelta(seconds=length)
    return replace(
        job, submit_at=T0, started_at=started_at, ended_at=ended_at, exit_code=exit_code, tres_alloc={"cpu": 1}
    )


WON = recorded(1, "COMPLETED", start=0, length=600, exit_code=0)
LOST = recorded(2, "FAILED", start=3, length=6, exit_code=75)


async def seen(slurm: Accounting, folder: Path, *, gate: int) -> Observation | Forgotten:
    """Of the attempt whose second submission we hold, when the run with the id `gate` passed the gate at T0."""
    work = work_of(folder, "alice", ATTEMPT)
    work.mkdir(parents=True)
    (work / "started.json").write_text(json.dumps({"job_id": gate, "restart": 0, "start": int(T0.timestamp())}))
    settings = SlurmSettings(name="slurm", cluster="c", url="unix:/s", jwt_key=b"k", folder=folder)
    calls = cast("Slurm", slurm)
    attempts = Attempts(
        settings,
        slurm=calls,
        view=View(calls, folder=folder, clock=lambda: NOW),
        spool=Spool(folder, uids={}),
        clock=lambda: NOW,
    )
    [answer] = await attempts.observe([Ref("slurm", ATTEMPT, "2:alice")])
    return answer


async def test_the_first_of_two_submissions_speaks_also_when_only_slurmdbd_still_knows_it(tmp_path: Path) -> None:
    """Otherwise the attempt is called lost, and the program runs again in a new one."""
    answer = await seen(Accounting(WON, LOST), tmp_path, gate=1)
    assert isinstance(answer, Observation)
    assert (answer.seen, answer.exit_code) == (Seen.SUCCEEDED, 0)


@pytest.mark.parametrize("gate", [3, 2**40])
async def test_a_run_that_is_in_nobodys_records_is_lost(tmp_path: Path, gate: int) -> None:
    answer = await seen(Accounting(WON, LOST), tmp_path, gate=gate)
    assert isinstance(answer, Observation)
    assert (answer.seen, answer.detail) == (Seen.NODE_FAILED, "superseded")


async def test_a_stranger_with_that_id_is_not_the_run(tmp_path: Path) -> None:
    answer = await seen(Accounting(replace(WON, user="bob"), LOST), tmp_path, gate=1)
    assert isinstance(answer, Observation)
    assert answer.seen is Seen.NODE_FAILED


@pytest.mark.parametrize(
    ("slurm", "detail"),
    [(Accounting(LOST, answers=1), ACCOUNTING_AWAY), (Accounting(LOST, queue=5), ACCOUNTING_BEHIND)],
)
async def test_while_slurmdbd_cannot_tell_all_nothing_is_called_lost(
    tmp_path: Path, slurm: Accounting, detail: str
) -> None:
    answer = await seen(slurm, tmp_path, gate=1)
    assert isinstance(answer, Observation)
    assert (answer.seen, answer.detail, answer.not_now) == (Seen.UNKNOWN, detail, True)
