"""From records of slurmdbd to usage rows. Pure.

What is billed is the allocation: units of the job's record × its elapsed seconds, from which slurmdbd has already taken
the time that it was suspended (start 0 s, suspended 3 s, end 8 s: elapsed 5). Steps are parts of that and never added.

A record's identity is slurmdbd's own unique key, the job id and the time of its submission, which a requeue renews.
Not SLUID, although 26.05 has one: only v0.0.45 tells it, so one record would have two keys before and after an upgrade,
and would be charged twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from hpc_adapters.contract import BY_OWNER, Seen, UsageRow
from hpc_adapters.slurm import translate
from hpc_adapters.slurm.models import DbJob

TURNED_AWAY: Final = "turned_away"
OVERWRITTEN: Final = "overwritten"
RUNAWAY: Final = "runaway"
_GPU: Final = "gres/gpu"
_MIB: Final = 2**20

Facts = dict[str, str | int | float]


def natural_key(job: DbJob, *, cluster: str, attempt_id: UUID | None) -> str:
    """The same for one record in every window, by every version of the API."""
    task = "-" if job.array_task is None else str(job.array_task)
    submitted = "-" if job.submit_at is None else str(int(job.submit_at.timestamp()))
    return f"{cluster}:{job.job_id}:{task}:{submitted}:{attempt_id or '-'}"


def usage_row(
    job: DbJob,
    *,
    cluster: str,
    attempt_id: UUID | None,
    turned_away: bool = False,
    runaway: bool = False,
    qpu: str | None = None,
) -> UsageRow | None:
    """The row of a record; None when nothing was ever allocated. qpu: the TRES of the site's QPUs.

    `turned_away`: another start of the attempt had won the gate (`telling.is_turned_away`). `runaway`: slurmdbd calls
    it running, slurmctld has long forgotten it; it becomes what `sacctmgr fix runawayjobs` would make of it, and a true
    end that turns up later is a correction.
    """
    if job.started_at is None or not job.tres_alloc:
        return None
    verdict = translate.recorded(job)
    is_over = verdict.seen.is_end and job.ended_at is not None
    billed = _components(job, qpu)
    known = _facts(job, verdict, qpu)
    facts = known | _measured(job)
    if turned_away and is_over:
        billed, facts = _unbilled(billed), {**facts, TURNED_AWAY: "yes", **_held(billed)}
    if runaway and not is_over:
        # Nothing that grows with each look: the same record would be another one every second.
        billed, facts = _unbilled(billed), {**known, RUNAWAY: "yes"}
        return _row(
            job, cluster, attempt_id, ended_at=job.started_at, ending=Seen.NODE_FAILED, billed=billed, facts=facts
        )
    ended_at = max(job.ended_at, job.started_at) if is_over and job.ended_at else None
    return _row(job, cluster, attempt_id, ended_at=ended_at, ending=verdict.seen, billed=billed, facts=facts)


def is_open(job: DbJob) -> bool:
    """Whether slurmdbd waits for its end: a runaway, if slurmctld does not know it any more."""
    return job.started_at is not None and not (translate.recorded(job).seen.is_end and job.ended_at is not None)


def is_whole(job: DbJob) -> bool:
    """Whether all of it is known: what it was given, when it began and how it ended."""
    return job.started_at is not None and bool(job.tres_alloc) and not is_open(job)


def newest(jobs: Iterable[DbJob]) -> tuple[DbJob, ...]:
    """Each record once, in its latest state: questions in parts and overlapping windows bring some twice."""
    latest: dict[tuple[int, datetime | None], DbJob] = {}
    for job in jobs:
        key = (job.job_id, job.submit_at)
        known = latest.get(key)
        if known is None or _lateness(job) >= _lateness(known):
            latest[key] = job
    return tuple(latest.values())


def _lateness(job: DbJob) -> tuple[bool, int]:
    return job.ended_at is not None, job.elapsed_s + job.suspended_s


def gpus(tres: Mapping[str, int]) -> int:
    """Allocated GPUs; where the site tracks only types, their sum."""
    typed = sum(amount for name, amount in tres.items() if name.startswith(f"{_GPU}:"))
    return tres.get(_GPU, typed)


def qpus(tres: Mapping[str, int], qpu: str | None) -> int:
    """QPUs of this TRES; where the site tracks no types, those of any, and where it tracks only types, their sum."""
    if qpu is None:
        return 0
    whole, _, kind = qpu.partition(":")
    typed = {name: amount for name, amount in tres.items() if name.startswith(f"{whole}:")}
    return typed.get(qpu, 0) if kind and typed else tres.get(whole, sum(typed.values()))


def _row(
    job: DbJob,
    cluster: str,
    attempt_id: UUID | None,
    *,
    ended_at: datetime | None,
    ending: Seen,
    billed: Mapping[str, Decimal],
    facts: Facts,
) -> UsageRow:
    assert job.started_at is not None
    return UsageRow(
        natural_key=natural_key(job, cluster=cluster, attempt_id=attempt_id),
        attempt_id=attempt_id,
        started_at=job.started_at,
        ended_at=ended_at,
        final=ended_at is not None,
        ending=ending,
        components=billed,
        facts=facts,
    )


def _components(job: DbJob, qpu: str | None) -> dict[str, Decimal]:
    """Allocated units × seconds."""
    elapsed = Decimal(job.elapsed_s)
    billed = {"gpu_s": gpus(job.tres_alloc) * elapsed, "cpu_s": job.tres_alloc.get("cpu", 0) * elapsed}
    if held := qpus(job.tres_alloc, qpu):
        billed["qpu_s"] = held * elapsed
    return billed


def _unbilled(billed: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return dict.fromkeys(billed, Decimal(0))


def _held(billed: Mapping[str, Decimal]) -> Facts:
    """What it kept others from using, all the same."""
    return {f"held_{name}": int(amount) for name, amount in billed.items()}


def _facts(job: DbJob, verdict: translate.Verdict, qpu: str | None) -> Facts:
    facts: Facts = {
        "gpus": gpus(job.tres_alloc),
        "cpus": job.tres_alloc.get("cpu", 0),
        "memory_mb": job.tres_alloc.get("mem", 0),
        "nodes": job.tres_alloc.get("node", job.node_count),
        "slurm_job_id": job.job_id,
    }
    if held := qpus(job.tres_alloc, qpu):
        facts |= {"qpus": held, "qpu_from": "allocated"}
    if job.sluid:
        facts["sluid"] = job.sluid
    if job.suspended_s:
        facts["suspended_s"] = job.suspended_s
    if job.restart_count:
        facts["restarts"] = job.restart_count
    if verdict.detail:
        facts["detail"] = verdict.detail
    if verdict.detail == BY_OWNER:
        facts["cancelled_by"] = "owner"
    return facts


def _measured(job: DbJob) -> Facts:
    """From the steps: what ran inside, measured by Slurm. Absent where it measured nothing, never zero."""
    facts: Facts = {}
    if cpu_used_s := sum(step.cpu_used_s for step in job.steps):
        facts["cpu_used_s"] = round(cpu_used_s, 3)
    if peak := max((step.peak_memory_bytes or 0 for step in job.steps), default=0):
        facts["peak_memory_mb"] = -(-peak // _MIB)
    if energy := sum(step.energy_j or 0 for step in job.steps):
        facts["energy_j"] = energy
    return facts
