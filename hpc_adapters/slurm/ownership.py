"""Which of Slurm's records are an attempt's. Pure.

An id of Slurm's is no identity: it is handed out again. A record is ours when its user is the one that we submitted as,
and the attempt's id stands in its name, its comment, the path of its output or its working folder. The path alone says
both, and its owner cannot change it once the job runs; a name he can.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from hpc_adapters.jobhead.places import attempt_in_name, attempt_in_path
from hpc_adapters.slurm.models import DbJob, LiveJob


def surely_of(job: LiveJob | DbJob, folder: Path) -> UUID | None:
    """The attempt that a record belongs to by its paths, which carry the user. None: no path of ours."""
    for path in (job.working_directory, job.stdout):
        attempt_id = attempt_in_path(folder, job.user, path)
        if attempt_id is not None:
            return attempt_id
    return None


def claimed_by(job: LiveJob | DbJob) -> UUID | None:
    """The attempt that its words claim; whether that attempt is this user's must be known otherwise."""
    return attempt_in_name(job.name) or attempt_in_name(job.comment)


def is_ours(job: LiveJob | DbJob, *, user: str, attempt_id: UUID, folder: Path) -> bool:
    """Whether a record is of this attempt, handed over as this user."""
    return job.user == user and attempt_id in {surely_of(job, folder), attempt_in_name(job.name), claimed_by(job)}
