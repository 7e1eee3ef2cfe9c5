"""What the simulated cluster's accounting says of one native job, its faults included."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.contract import Seen, UsageRow, Window
from hpc_adapters.simulated.cluster import Cluster, Incarnation
from hpc_adapters.simulated.truth import components


def rows(cluster: Cluster, window: Window, now: datetime) -> Iterator[UsageRow]:
    for job in _touching(cluster, window):
        if job.started_at is None or job.forgotten or not _recorded(job, now):
            continue
        yield _row(job, job.started_at, now)
        if job.fate.row_doubled:
            yield _row(job, job.started_at, now)


def _touching(cluster: Cluster, window: Window) -> Iterator[Incarnation]:
    first = bisect_left(cluster.ended, window.since, key=lambda job: job.ended_at or window.since)
    for job in (*cluster.ended[first:], *cluster.live()):
        if job.started_at is not None and job.started_at < window.until:
            yield job


def _recorded(job: Incarnation, now: datetime) -> bool:
    return job.ended_at is None or now >= job.ended_at + timedelta(seconds=job.fate.recorded_after_s)


def _row(job: Incarnation, started_at: datetime, now: datetime) -> UsageRow:
    ending = job.ending or Seen.RUNNING
    return UsageRow(
        natural_key=f"{job.native_id}.{job.serial}",
        attempt_id=job.request.attempt_id,
        started_at=started_at,
        ended_at=job.ended_at,
        final=job.ended_at is not None,
        ending=ending,
        components=_components(job, started_at, now),
        facts={
            "gpus": job.request.resources.gpus,
            "cpus": job.request.resources.cpus,
            "memory_mb": job.request.resources.memory_mb,
        }
        | ({} if job.passed_gate else {"turned_away": "yes"}),
    )


def _components(job: Incarnation, started_at: datetime, now: datetime) -> Mapping[str, Decimal]:
    """Exact use; a second too much while a faulty record waits for its correction. A job that the start gate refused
    used nothing that anybody may be charged for.
    """
    until = job.ended_at or now
    wrong_s = 0
    if job.ended_at is not None and job.fate.corrected_after_s is not None:
        wrong_s = int(now < job.ended_at + timedelta(seconds=job.fate.corrected_after_s))
    used = components(job.request, until - started_at + timedelta(seconds=wrong_s))
    return used if job.passed_gate else dict.fromkeys(used, Decimal(0))
