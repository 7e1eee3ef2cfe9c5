"""From Slurm's words to the port's: every state, every flag, and the reasons that matter. Pure and total.

A state is a base and flags beside it. A word that we do not know is never an end: UNKNOWN, or, beside a base that is no
end, only noted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hpc_adapters.contract import BY_OWNER, Seen
from hpc_adapters.slurm.models import DbJob, LiveJob

BASES: Final = {
    "PENDING": Seen.WAITING,
    "RUNNING": Seen.RUNNING,
    "SUSPENDED": Seen.RUNNING,
    "COMPLETED": Seen.SUCCEEDED,
    "CANCELLED": Seen.CANCELLED,
    "FAILED": Seen.FAILED,
    "TIMEOUT": Seen.TIMED_OUT,
    "NODE_FAIL": Seen.NODE_FAILED,
    "PREEMPTED": Seen.PREEMPTED,
    "BOOT_FAIL": Seen.NODE_FAILED,
    "DEADLINE": Seen.CANCELLED,
    "OUT_OF_MEMORY": Seen.OUT_OF_MEMORY,
}
"""Slurm's base states. DEADLINE: the site's own limit for starting, which we never set."""

NOT_YET_AN_END: Final = {
    "COMPLETING": "completing",
    "SIGNALING": "signaling",
    "RESIZING": "resizing",
    "STOPPED": "stopped",
}
"""Flags beside which even an end is none yet, and nodes are still held."""

NOT_YET_A_START: Final = {
    "CONFIGURING": "configuring",
    "POWER_UP_NODE": "powering-up",
    "REQUEUED": "requeued",
    "REQUEUE_HOLD": "requeued-held",
    "REQUEUE_FED": "requeued",
    "SPECIAL_EXIT": "requeued-held",
    "RESV_DEL_HOLD": "held-reservation-deleted",
    "LAUNCH_FAILED": "launch-failed",
}
"""Flags beside which a running base is none yet, and a waiting one says more than its reason."""

PASSING: Final = {
    "STAGE_OUT": "stage-out",
    "RECONFIG_FAIL": "reconfig-failed",
    "REVOKED": "revoked",
    "EXPEDITING": "expediting",
    "UPDATE_DB": "",
}
"""Flags that change nothing for us."""

CLOSED: Final = {
    "REQUEUED": "requeued",
    "REQUEUE_HOLD": "requeued",
    "REQUEUE_FED": "requeued",
    "SPECIAL_EXIT": "requeued",
}
"""Flags that slurmdbd leaves on the record that a requeue has closed, beside PENDING."""

ALONE: Final = {"RESIZING": Seen.SUCCEEDED, "REVOKED": Seen.CANCELLED}
"""The only word of a record that was closed because the job was resized, or runs at a sister cluster."""

STUCK: Final = frozenset(
    {
        "held",
        "held-by-site",
        "requeued-held",
        "launch-failed",
        "launch-failed-held",
        "held-reservation-deleted",
        "bad-constraints",
        "dependency-never",
        "invalid-account",
        "invalid-qos",
        "partition-limit",
        "reservation-deleted",
    }
)
"""Details of a waiting job that will not start unless somebody acts."""

_REASONS: Final = {
    "None": "",
    "JobHeldAdmin": "held-by-site",
    "JobHeldUser": "held",
    "DependencyNeverSatisfied": "dependency-never",
    "BadConstraints": "bad-constraints",
    "InvalidAccount": "invalid-account",
    "InvalidQOS": "invalid-qos",
    "InactiveLimit": "site-limit",
    "PartitionTimeLimit": "partition-limit",
    "PartitionNodeLimit": "partition-limit",
    "PartitionDown": "partition-down",
    "PartitionInactive": "partition-down",
    "ReservationDeleted": "reservation-deleted",
    "ReqNodeNotAvail": "nodes-not-available",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions": (
        "nodes-not-available"
    ),
    "launch failed requeued held": "launch-failed-held",
    "launch_failed_requeued_held": "launch-failed-held",
    "job requeued in held state": "requeued-held",
    "job_requeued_in_held_state": "requeued-held",
    "JobArrayTaskLimit": "array-limit",
    "BeginTime": "begin-time",
    "Cleaning": "cleaning",
}
_LIMITS: Final = re.compile(r"(Assoc|QOS|Max|Grp)[A-Za-z]*(Limit|Grp|Max|GRES|Cpu|Jobs|Mem|Node|Wall|Minutes)[A-Za-z]*")
OUR_FAULT: Final = frozenset(
    {"JobLaunchFailure", "SystemFailure", "NodeDown", "NodeFailure", "Prolog", "LaunchFailure", "FailedLaunch"}
)
"""Reasons of a FAILED job whose program never had a fair chance."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST: Final = 40
_SIGNALLED: Final = 128


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Slurm's words about a job come to. `detail` is a short machine word without a tenant's text."""

    seen: Seen
    detail: str = ""
    exit_code: int | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether it waits and will not start by itself."""
        return self.seen is Seen.WAITING and self.detail in STUCK


def live(job: LiveJob) -> Verdict:
    """Of a job in slurmctld's memory. It does not know who cancelled: ask slurmdbd for BY_OWNER."""
    return _verdict(job, killed_by="")


def recorded(job: DbJob) -> Verdict:
    """Of one record of slurmdbd. One that was closed because the job was requeued is over: the rest is another."""
    if job.ended_at is not None and (flag := next((word for word in job.state if word in CLOSED), None)):
        return Verdict(Seen.PREEMPTED, CLOSED[flag])
    return _verdict(job, killed_by=job.kill_by)


def _verdict(job: LiveJob | DbJob, *, killed_by: str) -> Verdict:
    seen, flag = words(job.state)
    if seen is Seen.WAITING:
        return Verdict(seen, flag if flag in STUCK else reason(job.reason) or flag)
    if seen is Seen.FAILED and _head(job.reason) in OUR_FAULT:
        return Verdict(Seen.NODE_FAILED, reason(job.reason))
    if seen is Seen.FAILED and job.started_at is None:
        return Verdict(Seen.FAILED, reason(job.reason) or "never-started")
    if seen is Seen.CANCELLED and killed_by and killed_by == job.user:
        return Verdict(seen, BY_OWNER)
    return _ended(seen, flag, exit_code=job.exit_code, signal=job.signal)


def words(state: tuple[str, ...]) -> tuple[Seen, str]:
    """Of a state's words, and the flag that decided or says most."""
    base = next((word for word in state if word in BASES), None)
    flags = [word for word in state if word != base]
    strangers = [flag for flag in flags if not _is_known(flag)]
    if base is None:
        return (ALONE.get(flags[0], Seen.UNKNOWN), _flag(flags[0])) if flags else (Seen.UNKNOWN, "unknown-state")
    seen = BASES[base]
    if strangers:
        return (Seen.UNKNOWN if seen.is_end else seen), "unknown-state"
    holding = next((NOT_YET_AN_END[flag] for flag in flags if flag in NOT_YET_AN_END), "")
    waiting = next((NOT_YET_A_START[flag] for flag in flags if flag in NOT_YET_A_START), "")
    if holding:
        return Seen.RUNNING, holding
    if waiting and not seen.is_end:
        return Seen.WAITING, waiting
    detail = next((_flag(flag) for flag in flags), "")
    return seen, detail or ("" if BASES[base] is not Seen.RUNNING or base == "RUNNING" else "suspended")


def reason(text: str) -> str:
    """Slurm's reason as a machine word: from the table, a limit, or its own name in small letters."""
    head = _head(text)
    for known in (text, head):
        if known in _REASONS:
            return _REASONS[known]
    if _LIMITS.fullmatch(head):
        return "site-limit"
    word = re.sub(r"[^a-z0-9]+", "-", _CAMEL.sub("-", head).lower()).strip("-")
    return word[:_LONGEST].rstrip("-")


def _ended(seen: Seen, flag: str, *, exit_code: int | None, signal: int | None) -> Verdict:
    if seen not in {Seen.SUCCEEDED, Seen.FAILED}:
        return Verdict(seen, flag)
    if signal:
        return Verdict(Seen.FAILED, f"signal-{signal}", exit_code or _SIGNALLED + signal)
    if seen is Seen.SUCCEEDED and exit_code:
        return Verdict(Seen.FAILED, flag, exit_code)
    return Verdict(seen, flag, 0 if seen is Seen.SUCCEEDED and not flag else exit_code)


def _head(text: str) -> str:
    """A reason without what Slurm hangs behind it: 'ReqNodeNotAvail, UnavailableNodes:n1', 'RaisedSignal:9(Killed)'."""
    return re.split(r"[,:(]", text, maxsplit=1)[0].strip()


def _is_known(flag: str) -> bool:
    return flag in NOT_YET_AN_END or flag in NOT_YET_A_START or flag in PASSING


def _flag(flag: str) -> str:
    return NOT_YET_AN_END.get(flag) or NOT_YET_A_START.get(flag) or PASSING.get(flag, "unknown-state")
