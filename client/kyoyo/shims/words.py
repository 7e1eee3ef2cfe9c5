"""Kyoyo's words as Slurm's: states, reasons, times. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from kyoyo.models import JobRecord

STATES: Mapping[str, str] = {
    "PENDING": "PD",
    "RUNNING": "R",
    "COMPLETING": "CG",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "OUT_OF_MEMORY": "OOM",
    "PREEMPTED": "PR",
    "NODE_FAIL": "NF",
}
NEVER_HERE = ("SUSPENDED", "BOOT_FAIL", "DEADLINE", "CONFIGURING", "RESIZING", "REQUEUED", "REQUEUE_HOLD", "STOPPED")
"""Slurm's states that no job of the portal is ever in: one may ask for them, and finds nothing."""
_OURS: Mapping[str, str] = {
    "QUEUED": "PENDING",
    "DISPATCHING": "PENDING",
    "RUNNING": "RUNNING",
    "CANCELLING": "COMPLETING",
    "SUCCEEDED": "COMPLETED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
    "PREEMPTED": "PREEMPTED",
    "LOST": "NODE_FAIL",
}
_ENDS: Mapping[str, str] = {"timed_out": "TIMEOUT", "out_of_memory": "OUT_OF_MEMORY"}
_REASONS: Mapping[str, str] = {
    "NOT_PLANNED_YET": "None",
    "NEXT_CYCLE": "None",
    "CANCEL_PENDING": "None",
    "NO_CAPACITY": "Resources",
    "RESERVED_FOR_EARLIER": "Priority",
    "RUNNING_QUOTA": "AssocGrpJobsLimit",
    "GPU_QUOTA": "AssocGrpGRES",
    "NU_QUOTA": "AssocGrpBillingMinutes",
    "BORROW_LIMIT": "AssocGrpGRES",
    "KEPT_SHARE": "Resources",
    "RESERVED_SHARE": "AssocGrpGRES",
    "KEPT_FOR_RESERVED": "Resources",
    "BACKEND_OFFLINE": "PartitionDown",
    "EXCEEDS_MACHINE": "ReqNodeNotAvail",
    "NOT_ELIGIBLE": "InvalidAccount",
    "PARKED": "JobHeldAdmin",
    "ARRAY_THROTTLE": "JobArrayTaskLimit",
    "STAGING": "BurstBufferStageIn",
}
NOTHING = "N/A"


def state_of(record: JobRecord) -> str:
    """Slurm's long word for a job's state; a state that we do not know as it is."""
    told = _OURS.get(record.state, record.state)
    return _ENDS.get(record.reason.lower(), told) if told == "FAILED" else told


def compact(state: str) -> str:
    """Slurm's short word."""
    return STATES.get(state, state[:2])


def states_of(text: str) -> frozenset[str]:
    """The long words that a list names, short or long in any case. ValueError: the word that is none."""
    by_word = {**{long: long for long in (*STATES, *NEVER_HERE)}, **{short: long for long, short in STATES.items()}}
    found: set[str] = set()
    for word in text.split(","):
        if word.upper() == "ALL":
            return frozenset(STATES)
        long = by_word.get(word.upper())
        if long is None:
            raise ValueError(word)
        found.add(long)
    return frozenset(found)


def reason_of(record: JobRecord) -> str:
    """Why it waits, or how it ended, in one word."""
    state = state_of(record)
    if state == "PENDING":
        waiting = str(record.raw.get("waiting_reason") or (record.raw.get("waiting") and "Resources") or "")
        return _REASONS.get(waiting, _camel(waiting) or "None")
    if record.reason == "dependency_never_satisfied":
        return "DependencyNeverSatisfied"
    cause, _, code = record.reason.partition(":")
    if cause == "refused":
        return _camel(code.replace("-", "_"))
    return {"FAILED": "NonZeroExitCode", "TIMEOUT": "TimeLimit", "OUT_OF_MEMORY": "OutOfMemory"}.get(state, "None")


def used_s(record: JobRecord, now: datetime) -> int:
    """For how long it ran, or has run."""
    if record.started_at is None:
        return 0
    return max(0, int(((record.ended_at or now) - record.started_at).total_seconds()))


def short_time(seconds: int) -> str:
    """M:SS, H:MM:SS, D-HH:MM:SS, as squeue writes them."""
    days, rest = divmod(seconds, 86_400)
    hours, minutes, left = rest // 3_600, rest // 60 % 60, rest % 60
    if days:
        return f"{days}-{hours:02}:{minutes:02}:{left:02}"
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def long_time(seconds: int) -> str:
    """HH:MM:SS or D-HH:MM:SS, as sacct writes them."""
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3_600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{clock}" if days else clock


def stamp(at: datetime | None, missing: str = NOTHING) -> str:
    """A local time, as Slurm's tools write it."""
    return missing if at is None else at.astimezone().strftime("%Y-%m-%dT%H:%M:%S")


def megabytes(amount: int) -> str:
    """100M, 64G."""
    return f"{amount // 1024}G" if amount and amount % 1024 == 0 else f"{amount}M"


def tasks_in_short(indices: Iterable[int]) -> str:
    """1-3,7."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def names_in(text: str) -> Sequence[str]:
    """The words of a comma separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("_"))
