"""The dozen calls that we make of Slurm, typed. Each raises Unavailable; what else, it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hpc_adapters.contract import Window
from hpc_adapters.slurm.models import DbJob, Json, LiveJob, Node, Partition, Records, Unreadable
from hpc_adapters.slurm.rest import Rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """slurmctld answered."""

    release: str
    cluster: str
    version: str
    """Of the API."""
    skew_s: float
    """slurmctld's clock minus ours, to about a second; positive: it is ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJobs:
    """Everything that slurmctld has in memory; `unchanged`: nothing is newer than `since`, and `jobs` is empty."""

    jobs: tuple[LiveJob, ...]
    unreadable: tuple[Unreadable, ...]
    updated_at: datetime | None
    """slurmctld's time of its last change: the next `since`, less an overlap."""
    unchanged: bool = False


class Slurm:
    """One cluster through its REST server. Reads as the service user, acts as the user who is named."""

    def __init__(self, rest: Rest, *, service_user: str) -> None:
        self._rest, self._reader = rest, service_user

    async def version(self) -> str:
        """Of the API, such as 'v0.0.42': what a body for `submit` is written for."""
        raise NotImplementedError

    async def ping(self) -> Ping:
        """Ask slurmctld itself for its time."""
        raise NotImplementedError

    async def ping_accounting(self) -> None:
        """Whether slurmdbd answers: a small question to it. Returned: it does."""
        raise NotImplementedError

    async def live_jobs(self, since: datetime | None = None) -> LiveJobs:
        """All jobs in slurmctld's memory (Slurm sends all or, when nothing changed since, none)."""
        raise NotImplementedError

    async def live_job(self, job_id: int) -> LiveJob | None:
        """By id alone: compare the user and the attempt. None after a full answer that knows no such id."""
        raise NotImplementedError

    async def db_jobs_in(self, window: Window) -> Records[DbJob]:
        """Every record that ran in the window or ended in it, requeued ones and duplicates each by itself."""
        raise NotImplementedError

    async def db_jobs_by_id(self, job_ids: Sequence[int]) -> Records[DbJob]:
        """Every record that has one of the ids, old bearers of a reused id included."""
        raise NotImplementedError

    async def db_jobs_by_name(self, names: Sequence[str], *, since: datetime) -> Records[DbJob]:
        """Every record with one of the names that was submitted or alive since then."""
        raise NotImplementedError

    async def submit(self, user: str, body: Json, *, version: str) -> int:
        """Hand a job over as that user; `body` as written for `version`. The job's id.

        Rejected: Slurm will never take it. Unavailable: with exact maybe_done.
        """
        raise NotImplementedError

    async def cancel(self, user: str, job_id: int, *, name: str | None = None) -> bool:
        """End it, as that user, so that Slurm itself refuses a stranger's job; with `name`, only if it is so named.

        True: the wish was taken. False: it has ended already, or there is no such job of this user and name.
        """
        raise NotImplementedError

    async def nodes(self) -> Records[Node]:
        """All machines."""
        raise NotImplementedError

    async def partitions(self) -> Records[Partition]:
        """All partitions."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()
