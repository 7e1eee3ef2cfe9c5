"""What an attempt used of the device. Pure. `qpu_from` among the facts says whose figure the QPU time is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.contract import Seen
from hpc_adapters.quantum.queued.model import RemoteJob
from hpc_adapters.quantum.queued.records import Accepted

_MICROSECOND = timedelta(microseconds=1)
_CHARGED_WHEN_STOPPED = frozenset({Seen.CANCELLED, Seen.TIMED_OUT, Seen.RUNNING})


def used(
    accepted: Accepted, jobs: Sequence[RemoteJob], seen: Seen, detail: str, *, until: datetime
) -> tuple[Mapping[str, Decimal], Mapping[str, str | int | float]]:
    """Components and facts.

    Succeeded: the vendor's execution times, else the model, and all shots. Stopped or still running: the vendor's times
    where it tells them, else the wall time since the start up to the model, and the shots that the model takes in that.
    Failed, or lost by the vendor: nothing. Never more than the attempt's cap.
    """
    facts: dict[str, str | int | float] = {"qpus": 1, "vendor_jobs": len(jobs), "vendor_job": jobs[0].job_id}
    is_stopped = seen in _CHARGED_WHEN_STOPPED or detail == "qpu-cap-reached"
    if seen is not Seen.SUCCEEDED and not is_stopped:
        return {"qpu_s": Decimal(0), "shot": Decimal(0)}, facts | {"qpu_from": "none"}
    told = [job.execution_s for job in jobs if job.execution_s is not None]
    if seen is Seen.SUCCEEDED:
        is_told = len(told) == len(jobs)
        used_us = _us(sum(told, Decimal(0))) if is_told else accepted.model_us(len(jobs))
        shots = accepted.shots
    else:
        is_told = bool(told)
        wall_us = sum(_wall_us(job, until) for job in jobs if job.execution_s is None)
        used_us = _us(sum(told, Decimal(0))) + min(wall_us, accepted.model_us(len(jobs)))
        shots = accepted.shots_within(used_us, len(jobs))
    if accepted.max_qpu_us is not None:
        used_us = min(used_us, accepted.max_qpu_us)
    components = {"qpu_s": Decimal(used_us) / 1_000_000, "shot": Decimal(shots)}
    return components, facts | {"qpu_from": "vendor" if is_told else "model"}


def _us(seconds: Decimal) -> int:
    return int(seconds * 1_000_000)


def _wall_us(job: RemoteJob, until: datetime) -> int:
    if job.running_at is None:
        return 0
    return max(0, ((job.ended_at or until) - job.running_at) // _MICROSECOND)
