"""A job as slurmctld shows it, and as slurmdbd has kept it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from hpc_adapters.slurm.models.lenient import (
    Json,
    NotReadable,
    Records,
    T,
    count,
    instant,
    is_infinite,
    mapping,
    number,
    records,
    text,
    tres,
    words,
)

ENDS: Final = frozenset(
    {
        "COMPLETED",
        "CANCELLED",
        "FAILED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "OUT_OF_MEMORY",
    }
)
"""Base states after which the job's processes are gone, unless COMPLETING stands beside them."""
_AGAIN_OR_NOT_YET: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
_COMPLETING: Final = "COMPLETING"
_BEARER: Final = re.compile(r"(\d{1,10})(?:[_+]|$)")
"""The job's own id, before the number of an array's task or of a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What both daemons tell of a job."""

    job_id: int
    cluster: str
    name: str
    comment: str
    user: str
    account: str
    partition: str
    qos: str
    state: tuple[str, ...]
    """The base state, then flags, as Slurm spells them."""
    reason: str
    submit_at: datetime | None
    started_at: datetime | None
    """None while it has not started: Slurm's estimates are no facts."""
    ended_at: datetime | None
    """None before the end, a started job's time limit is no end."""
    exit_code: int | None
    signal: int | None
    derived_exit_code: int | None
    restart_count: int | None
    stdout: str
    """Its path; with Slurm's %-patterns where that version does not expand them."""
    working_directory: str
    nodes: str
    tres_alloc: Mapping[str, int]
    sluid: str
    """Slurm's own identity of this record, empty before 26.05."""
    array_job_id: int | None
    array_task: int | None
    het_job_id: int | None
    het_offset: int | None
    time_limit_s: int | None
    """None: no limit, or none told."""

    @property
    def base_state(self) -> str:
        """The first word; the rest are flags. Empty when there is none."""
        return self.state[0] if self.state else ""

    def mentions(self, word: str) -> bool:
        """Whether name, comment, the path of its output or its working folder contains the word."""
        return any(word in place for place in (self.name, self.comment, self.stdout, self.working_directory))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob(_Job):
    """A job in slurmctld's memory: waiting, running, or ended less than MinJobAge ago."""

    node_count: int
    suspended_since: datetime | None = None
    was_suspended: bool = False
    """Now or ever."""
    failed_node: str = ""
    priority: int | None = None
    tres_req: Mapping[str, int] = field(default_factory=dict)
    """What it asked for; what it holds is `tres_alloc`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job. Its allocation is a part of the job's and never counted beside it."""

    id: str
    name: str
    state: tuple[str, ...]
    started_at: datetime | None
    ended_at: datetime | None
    cpu_used_s: float
    peak_memory_bytes: int | None
    """The largest task's."""
    energy_j: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DbJob(_Job):
    """One record of slurmdbd: a job has one for each time it was started or requeued."""

    elapsed_s: int
    suspended_s: int
    eligible_at: datetime | None
    kill_by: str
    """Who asked for its end; empty when nobody did."""
    cpu_used_s: float
    node_count: int
    original_sluid: str = ""
    steps: tuple[Step, ...] = field(default=())


def live_jobs(value: object, known: Mapping[int, LiveJob] = MappingProxyType({})) -> Records[LiveJob]:
    """`jobs` of an answer of slurmctld. `known`: read before, by id; what had ended is taken from there."""
    return records(value, lambda raw: _read_before(raw, known) or live_job(raw), id_field="job_id")


def is_end(state: Collection[str]) -> bool:
    """Whether these words say that the job's processes are gone."""
    return not ENDS.isdisjoint(state) and _COMPLETING not in state


def states(value: object) -> Mapping[int, frozenset[str]] | None:
    """`jobs` of slurmctld's list of states, by id. None: not all of it can be read."""
    if not isinstance(value, list):
        return None
    found: dict[int, frozenset[str]] = {}
    for element in value:
        entry = mapping(element)
        job_id = _BEARER.match(text(entry.get("job_id")))
        state = frozenset(words(entry.get("state")))
        if job_id is None or not state:
            return None
        found[int(job_id[1])] = found.get(int(job_id[1]), frozenset()) | state
    return found


def db_jobs(value: object) -> Records[DbJob]:
    """`jobs` of an answer of slurmdbd."""
    return records(value, db_job, id_field="job_id")


def live_job(raw: Json) -> LiveJob:
    """NotReadable when there is no id, no user or no state."""
    state = words(raw.get("job_state"))
    exit_code, signal = _exit(raw.get("exit_code"))
    return LiveJob(
        job_id=_job_id(raw),
        cluster=text(raw.get("cluster")),
        name=text(raw.get("name")),
        comment=text(raw.get("comment")),
        user=_required(text(raw.get("user_name")), "user"),
        account=text(raw.get("account")),
        partition=text(raw.get("partition")),
        qos=text(raw.get("qos")),
        state=_state(state),
        reason=text(raw.get("state_reason")),
        submit_at=instant(raw.get("submit_time")),
        started_at=_live_start(raw, state),
        ended_at=instant(raw.get("end_time")) if is_end(state) else None,
        exit_code=exit_code,
        signal=signal,
        derived_exit_code=_exit(raw.get("derived_exit_code"))[0],
        restart_count=number(raw.get("restart_cnt")),
        stdout=text(raw.get("stdout_expanded")) or text(raw.get("standard_output")),
        working_directory=text(raw.get("current_working_directory")),
        nodes=text(raw.get("nodes")),
        tres_alloc=tres(raw.get("tres_alloc_str")),
        sluid=text(mapping(raw, "step_id").get("sluid")) or text(raw.get("sluid")),
        array_job_id=number(raw.get("array_job_id")) or None,
        array_task=number(raw.get("array_task_id")),
        het_job_id=number(raw.get("het_job_id")) or None,
        het_offset=number(raw.get("het_job_offset")),
        time_limit_s=_minutes(raw.get("time_limit")),
        node_count=count(raw.get("node_count")),
        suspended_since=instant(raw.get("suspend_time")) if "SUSPENDED" in state else None,
        was_suspended=instant(raw.get("suspend_time")) is not None,
        failed_node=text(raw.get("failed_node")),
        priority=number(raw.get("priority")),
        tres_req=tres(raw.get("tres_req_str")),
    )


def db_job(raw: Json) -> DbJob:
    """NotReadable when there is no id, no user or no state."""
    times, state = mapping(raw, "time"), words(mapping(raw, "state").get("current"))
    exit_code, signal = _exit(raw.get("exit_code"))
    array, het = mapping(raw, "array"), mapping(raw, "het")
    return DbJob(
        job_id=_job_id(raw),
        cluster=text(raw.get("cluster")),
        name=text(raw.get("name")),
        comment=_comment(raw.get("comment")),
        user=_required(text(raw.get("user")) or text(mapping(raw, "association").get("user")), "user"),
        account=text(raw.get("account")),
        partition=text(raw.get("partition")),
        qos=text(raw.get("qos")),
        state=_state(state),
        reason=text(mapping(raw, "state").get("reason")),
        submit_at=instant(times.get("submission")),
        started_at=instant(times.get("start")),
        ended_at=instant(times.get("end")),
        exit_code=exit_code,
        signal=signal,
        derived_exit_code=_exit(raw.get("derived_exit_code"))[0],
        restart_count=number(raw.get("restart_cnt")),
        stdout=text(raw.get("stdout_expanded")) or text(raw.get("stdout")),
        working_directory=text(raw.get("working_directory")),
        nodes=text(raw.get("nodes")),
        tres_alloc=tres(mapping(raw, "tres").get("allocated")),
        sluid=text(raw.get("sluid")),
        original_sluid=text(raw.get("original_sluid")),
        array_job_id=number(array.get("job_id")) or None,
        array_task=number(array.get("task_id")),
        het_job_id=number(het.get("job_id")) or None,
        het_offset=number(het.get("job_offset")),
        time_limit_s=_minutes(times.get("limit")),
        elapsed_s=count(times.get("elapsed")),
        suspended_s=count(times.get("suspended")),
        eligible_at=instant(times.get("eligible")),
        kill_by=text(raw.get("kill_request_user")),
        cpu_used_s=_seconds(times.get("total")),
        node_count=count(raw.get("allocation_nodes")),
        steps=tuple(_step(mapping(step)) for step in _list(raw.get("steps"))),
    )


def _read_before(raw: Json, known: Mapping[int, LiveJob]) -> LiveJob | None:
    """The same record of an ended job: little of it can change, and nothing that tells what became of it."""
    job_id = raw.get("job_id")
    job = known.get(job_id) if isinstance(job_id, int) else None
    if job is None or job.ended_at is None:
        return None
    is_same = (
        words(raw.get("job_state")) == job.state
        and text(raw.get("user_name")) == job.user
        and text(raw.get("name")) == job.name
        and instant(raw.get("submit_time")) == job.submit_at
        and instant(raw.get("end_time")) == job.ended_at
        and number(raw.get("restart_cnt")) == job.restart_count
    )
    return job if is_same else None


def _live_start(raw: Json, state: tuple[str, ...]) -> datetime | None:
    """Jobs without a start have one in slurmctld: an estimate before, and the end where nothing was allocated."""
    if _AGAIN_OR_NOT_YET & set(state) or (ENDS & set(state) and not tres(raw.get("tres_alloc_str"))):
        return None
    return instant(raw.get("start_time"))


def _step(raw: Json) -> Step:
    times, energy = mapping(raw, "time"), mapping(raw, "statistics", "energy")
    return Step(
        id=text(mapping(raw, "step").get("id")),
        name=text(mapping(raw, "step").get("name")),
        state=words(raw.get("state")),
        started_at=instant(times.get("start")),
        ended_at=instant(times.get("end")),
        cpu_used_s=_seconds(times.get("total")),
        peak_memory_bytes=tres(mapping(raw, "tres", "requested").get("max")).get("mem"),
        energy_j=number(energy.get("consumed")),
    )


def _job_id(raw: Json) -> int:
    return _required(number(raw.get("job_id")), "job-id")


def _state(state: tuple[str, ...]) -> tuple[str, ...]:
    return _required(state, "state")


def _required(value: T | None, name: str) -> T:
    if not value:
        raise NotReadable(f"no-{name}")
    return value


def _exit(value: object) -> tuple[int | None, int | None]:
    """Code and signal; a plain number is what wait(2) gives."""
    if not isinstance(value, Mapping):
        status = number(value)
        return (None, None) if status is None else ((status >> 8) & 0xFF, (status & 0x7F) or None)
    signal = value.get("signal")
    signal_id = number(mapping(signal).get("id") or mapping(signal).get("signal_id"))
    return number(value.get("return_code")), signal_id or None


def _minutes(value: object) -> int | None:
    minutes = None if is_infinite(value) else number(value)
    return None if minutes is None else int(timedelta(minutes=minutes).total_seconds())


def _seconds(value: object) -> float:
    return count(mapping(value).get("seconds")) + count(mapping(value).get("microseconds")) / 1_000_000


def _comment(value: object) -> str:
    return text(mapping(value).get("job")) if isinstance(value, Mapping) else text(value)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
