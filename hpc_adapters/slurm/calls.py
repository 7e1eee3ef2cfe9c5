"""The dozen calls that we make of Slurm, typed. Each raises Unavailable; what else, it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from hpc_adapters.contract import Window
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.slurm import refusals
from hpc_adapters.slurm.answers import Answer
from hpc_adapters.slurm.faults import ACCESS_DENIED, ALREADY_DONE, NO_SUCH_JOB, NOT_THAT_JOB, SlurmError
from hpc_adapters.slurm.models import DbJob, Json, LiveJob, Node, Partition, Records, Unreadable, jobs, machines
from hpc_adapters.slurm.models.lenient import count, instant, mapping, number
from hpc_adapters.slurm.rest import Params, Rest

UNREADABLE_JOB: Final = "unreadable-job"
_STATES: Final = "slurm/{v}/jobs/state/"
NODE_REFUSALS: Final = {2010: "not-allowed", 2018: "unknown-node", 2028: "node-not-ready", 2180: "node-not-ready"}
"""Slurm's number → our code, of a change of a node's state."""
_NO_POWER_SAVING: Final = frozenset({2028, 2187})
"""What POWER_DOWN and POWER_UP get where no SuspendProgram is configured: 24.11, 26.05."""
_AT_ONCE: Final = 500
"""Ids or names in one question to slurmdbd."""
_DUPLICATES: Final = ("show_duplicates", "true")
_WHOLE: Final = ("disable_truncate_usage_time", "true")


class Cancel(StrEnum):
    """What became of the wish that a job end."""

    TAKEN = "taken"
    ENDED = "ended"
    """It had ended already."""
    NOT_THERE = "not_there"
    """No job of this id, this user and this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """slurmctld answered."""

    release: str
    cluster: str
    version: str
    """Of the API."""
    skew_s: float
    """slurmctld's clock minus ours, to about a second; positive: it is ahead."""
    accounting_queue: int
    """Messages that slurmctld still has to bring to slurmdbd: the lag of the accounting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJobs:
    """Everything that slurmctld has in memory; `unchanged`: nothing is newer than `since`, and `jobs` is empty."""

    jobs: tuple[LiveJob, ...]
    unreadable: tuple[Unreadable, ...]
    updated_at: datetime | None
    """slurmctld's time of its last change: the next `since`, less an overlap. None when unchanged."""
    unchanged: bool = False


class Slurm:
    """One cluster through its REST server. Reads as the service user, acts as the user who is named."""

    def __init__(self, rest: Rest, *, service_user: str) -> None:
        self._rest, self._reader = rest, service_user

    async def version(self) -> str:
        """Of the API, such as 'v0.0.42': what a body for `submit` is written for."""
        return await self._rest.version()

    async def ping(self) -> Ping:
        """Ask slurmctld itself for its time, and how much it still has to tell slurmdbd."""
        answer = await self._read("slurm/{v}/diag/")
        statistics = mapping(answer.body, "statistics")
        return Ping(
            release=answer.release,
            cluster=answer.cluster,
            version=answer.version,
            skew_s=_skew_s(instant(statistics.get("req_time")), answer),
            accounting_queue=count(statistics.get("dbd_agent_queue_size")),
        )

    async def ping_accounting(self) -> None:
        """A small question to slurmdbd. Returned: it has answered."""
        await self._read("slurmdb/{v}/clusters/")

    async def live_jobs(
        self, since: datetime | None = None, *, known: Mapping[int, LiveJob] = MappingProxyType({})
    ) -> LiveJobs:
        """All jobs in slurmctld's memory; none of them when nothing has changed since (Slurm sends all or nothing).

        `known`: what was read before, by id. Of these, jobs that had ended then are not made anew.
        """
        params = {} if since is None else {"update_time": _slurm_time(since)}
        answer = await self._read("slurm/{v}/jobs/", params=params)
        found = jobs.live_jobs(answer.body.get("jobs", [] if answer.unchanged else None), known)
        updated_at = instant(answer.body.get("last_update"))
        if updated_at is None and (since is None or found.items or found.unreadable):
            raise Unavailable("not-a-full-answer: no time of the last change", maybe_done=False)
        return LiveJobs(
            jobs=found.items,
            unreadable=found.unreadable,
            updated_at=updated_at,
            unchanged=updated_at is None,
        )

    async def job_states(self) -> Mapping[int, frozenset[str]] | None:
        """The state's words of every job in slurmctld's memory, by id: some hundredth of what `live_jobs` costs.

        An array's waiting tasks are one job with one id still. There is no time of the last change with it, so an id
        that is missing proves nothing. None: this version does not tell them, or they cannot be read.
        """
        if not await self._rest.offers(_STATES):
            return None
        answer = await self._read(_STATES)
        return None if answer.unchanged else jobs.states(answer.body.get("jobs"))

    async def live_job(self, job_id: int) -> LiveJob | None:
        """By id alone: compare the user and the attempt. None after a full answer that knows no such id."""
        try:
            answer = await self._rest.get(f"slurm/{{v}}/job/{job_id:d}", user=self._reader)
        except SlurmError as error:
            if error.number == NO_SUCH_JOB:
                return None
            raise _unexpected(error) from error
        found = jobs.live_jobs(answer.body.get("jobs"))
        if found.unreadable:
            raise Unavailable(f"{UNREADABLE_JOB}: {found.unreadable[0].why}", maybe_done=False)
        return next((job for job in found.items if job.job_id == job_id), None)

    async def db_jobs_in(self, window: Window, *, with_steps: bool = True) -> Records[DbJob]:
        """Every record that ran in the window or ended in it, requeued ones and duplicates each by itself."""
        times = (("start_time", _slurm_time(window.since)), ("end_time", _slurm_time(window.until)))
        return await self._db_jobs((*times, _WHOLE), with_steps=with_steps)

    async def db_jobs_by_id(self, job_ids: Sequence[int], *, with_steps: bool = True) -> Records[DbJob]:
        """Every record that has one of the ids, old bearers of a reused id included."""
        asked = [("step", f"{job_id:d}") for job_id in job_ids]
        return await self._db_jobs_in_parts(asked, (), with_steps=with_steps)

    async def db_jobs_by_name(
        self, names: Sequence[str], *, since: datetime, with_steps: bool = True
    ) -> Records[DbJob]:
        """Every record with one of the names that waited, ran or ended since then."""
        asked = [("job_name", name) for name in names]
        return await self._db_jobs_in_parts(asked, (("start_time", _slurm_time(since)), _WHOLE), with_steps=with_steps)

    async def submit(self, user: str, body: Json, *, version: str) -> int:
        """Hand a job over as that user; `body` as written for `version`. The job's id.

        Rejected: Slurm will never take it. Unavailable: with exact maybe_done.
        """
        try:
            answer = await self._rest.post("slurm/{v}/job/submit", user=user, body=body, version=version)
        except SlurmError as error:
            raise refusals.of_submission(error.fault) from error
        job_id = number(answer.body.get("job_id")) or number(mapping(answer.body, "result").get("job_id"))
        if not job_id:
            raise Unavailable("no-job-id", maybe_done=True)
        return job_id

    async def cancel(self, user: str, job_id: int, *, name: str | None = None) -> Cancel:
        """End it, as that user, so that Slurm itself refuses a stranger's job; with `name`, only if it is so named.

        slurmctld compares user and name in the same step, so an id that was reused a moment ago harms nobody.
        """
        if job_id <= 0:
            raise ValueError("without an id this would end every job of the user")
        wish: dict[str, object] = {"jobs": [f"{job_id:d}"], "user_name": user}
        if name is not None:
            wish["job_name"] = name
        try:
            await self._rest.delete("slurm/{v}/jobs/", user=user, body=wish)
        except SlurmError as error:
            return _cancelled(error)
        return Cancel.TAKEN

    async def nodes(self) -> Records[Node]:
        """All machines."""
        answer = await self._read("slurm/{v}/nodes/")
        return machines.nodes(answer.body.get("nodes"))

    async def partitions(self) -> Records[Partition]:
        """All partitions."""
        answer = await self._read("slurm/{v}/partitions/")
        return machines.partitions(answer.body.get("partitions"))

    async def update_node(self, admin: str, name: str, *, state: str, reason: str | None) -> None:
        """Change the state of one node, as a user with AdminLevel=Administrator. Rejected: Slurm says no."""
        body = {"state": [state], **({} if reason is None else {"reason": reason})}
        try:
            await self._rest.post(f"slurm/{{v}}/node/{quote(name, safe='')}", user=admin, body=body)
        except SlurmError as error:
            is_power = state.startswith("POWER_") and error.number in _NO_POWER_SAVING
            code = "no-power-saving" if is_power else NODE_REFUSALS.get(error.number)
            if code is None:
                raise _unexpected(error) from error
            raise Rejected(code, node=name, state=state) from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()

    async def _read(self, path: str, *, params: Params | None = None) -> Answer:
        """A "no" to a question that Slurm may not refuse us is an outage: our user has lost its rights, say."""
        try:
            return await self._rest.get(path, user=self._reader, params=params)
        except SlurmError as error:
            raise Unavailable(f"slurm-error: {error.fault}", maybe_done=False) from error

    async def _db_jobs_in_parts(
        self, asked: Sequence[tuple[str, str]], always: Iterable[tuple[str, str]], *, with_steps: bool
    ) -> Records[DbJob]:
        """Nothing asked is nothing found: an empty filter would mean everything."""
        parts = [asked[first : first + _AT_ONCE] for first in range(0, len(asked), _AT_ONCE)]
        found = [await self._db_jobs((*part, *always), with_steps=with_steps) for part in parts]
        return Records(
            tuple(item for part in found for item in part.items),
            tuple(item for part in found for item in part.unreadable),
        )

    async def _db_jobs(self, params: Sequence[tuple[str, str]], *, with_steps: bool) -> Records[DbJob]:
        steps = () if with_steps else (("skip_steps", "true"),)
        answer = await self._read("slurmdb/{v}/jobs/", params=(*params, _DUPLICATES, *steps))
        return jobs.db_jobs(answer.body.get("jobs"))


def _cancelled(error: SlurmError) -> Cancel:
    if error.number in ALREADY_DONE:
        return Cancel.ENDED
    if error.number in {NO_SUCH_JOB, NOT_THAT_JOB, ACCESS_DENIED}:
        return Cancel.NOT_THERE
    raise _unexpected(error) from error


def _unexpected(error: SlurmError) -> Unavailable:
    """A "no" to a question that has none in our book."""
    is_sure = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return Unavailable(f"slurm-error: {error.fault}", maybe_done=not is_sure)


def _skew_s(theirs: datetime | None, answer: Answer) -> float:
    """Against the middle of our question. Slurm's clock shows whole seconds: half of one is added."""
    if theirs is None:
        raise Unavailable("not-a-full-answer: no time of slurmctld", maybe_done=False)
    ours = answer.asked_at + (answer.answered_at - answer.asked_at) / 2
    return (theirs - ours).total_seconds() + 0.5


def _slurm_time(at: datetime) -> str:
    """Since 1970, as every version understands it: v0.0.40 takes no plain number, and a date would be local time."""
    return f"uts{int(at.timestamp())}"
