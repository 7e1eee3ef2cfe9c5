"""One job of a trace, checked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from scheduler.simulate.numbers import Where, counted, seconds

REQUIRED: Final = ("job_id", "org", "submit_s", "duration_s", "limit_s", "gpus")
OPTIONAL: Final = ("user", "qpu_s", "qpu", "machine")
MAX_SUBMIT_S: Final = 4_000_000_000
"""Times since the epoch are taken too."""
MAX_DURATION_S: Final = 10 * 366 * 86_400
MAX_GPUS: Final = 10_000_000
MIN_LIMIT_S: Final = 1


class TraceJob(NamedTuple):
    """One row. Times in whole seconds: submission rounded down, durations and limits up."""

    row: int
    job_id: str
    org: str
    user: str
    submit_s: int
    duration_s: int
    limit_s: int
    gpus: int
    qpu_s: int = 0
    qpu: str = ""
    machine: str = ""
    """Whose GPUs; empty: those of the one pool that has no name."""


def checked(where: Where, words: Sequence[str], more: Sequence[str] = ("", "", "", "")) -> TraceJob:
    """A row of words as a job; words: as REQUIRED, more: as OPTIONAL."""
    job_id, org, submit, duration, limit, gpus = words
    user, qpu_s, qpu, machine = more
    where.require(job_id, "job_id", "missing_value")
    where.require(org, "org", "missing_value")
    job = TraceJob(
        where.row,
        job_id,
        org,
        user,
        seconds(where, "submit_s", submit, MAX_SUBMIT_S, up=False),
        seconds(where, "duration_s", duration, MAX_DURATION_S),
        seconds(where, "limit_s", limit, MAX_DURATION_S),
        counted(where, "gpus", gpus, MAX_GPUS),
        seconds(where, "qpu_s", qpu_s, MAX_DURATION_S) if qpu_s else 0,
        qpu,
        machine,
    )
    where.require(job.gpus or job.qpu_s, "gpus", "nothing_asked", value=gpus)
    where.require(not job.qpu_s or qpu, "qpu", "no_qpu")
    where.require(job.limit_s >= MIN_LIMIT_S, "limit_s", "limit_too_short", value=limit, limit=MIN_LIMIT_S)
    return job
