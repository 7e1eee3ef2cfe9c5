"""What PBS prints, as values: `qstat -f -F json`, `pbsnodes -a -F json`, sizes, durations and chunks. Pure.

The shapes are those of the transcripts in tests/fixtures/pbs, whose sources are named there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_SIZE = re.compile(r"(\d+)([kmgtp]?)([bw]?)", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_WORD_BYTES = 8
_MEGABYTE = 2**20
_CTIME = "%a %b %d %H:%M:%S %Y"  # as asctime(3) writes it: the server's local time


class Unreadable(ValueError):
    """PBS printed something that is not of its documented form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of `qstat -f`. Times are UTC; what PBS did not say is None."""

    job_id: str
    name: str
    owner: str
    """The Unix user, without the host."""
    state: str
    substate: int | None
    queue: str
    comment: str
    exit_status: int | None
    queued_at: datetime | None
    started_at: datetime | None
    modified_at: datetime | None
    requested: Mapping[str, str]
    used: Mapping[str, str]
    run_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One vnode of `pbsnodes`."""

    name: str
    states: tuple[str, ...]
    available: Mapping[str, str]
    assigned: Mapping[str, str]


def jobs(printed: bytes, *, zone: tzinfo) -> dict[str, Job]:
    """Jobs by id. zone: of the server's clock, for qstat prints local times. Unreadable."""
    told = _object(printed).get("Jobs", {})
    if not isinstance(told, dict):
        raise Unreadable("Jobs is no object")
    return {job_id: _job(job_id, each, zone) for job_id, each in told.items() if "Error" not in _mapping(each)}


def nodes(printed: bytes) -> list[Node]:
    """Every vnode that is known. Unreadable."""
    told = _object(printed).get("nodes", {})
    if not isinstance(told, dict):
        raise Unreadable("nodes is no object")
    return [_node(name, _mapping(each)) for name, each in told.items() if "Error" not in _mapping(each)]


def size_mb(text: str) -> int:
    """Megabytes, rounded up, of a size such as 8gb, 4194304kb, 0b or 16 (bytes). Unreadable."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Unreadable(f"no size: {text!r}")
    unit = _WORD_BYTES if match[3].lower() == "w" else 1
    size_bytes = int(match[1]) * unit * int(1024 ** _POWER[match[2].lower()])
    return -(-size_bytes // _MEGABYTE)


def seconds(text: str) -> int:
    """Seconds of a duration such as 55:26, 00:55:26, 1234:00:00 or 60. Unreadable."""
    parts = text.strip().split(":")
    if not 1 <= len(parts) <= 3 or not all(part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004  H:M:S
        raise Unreadable(f"no duration: {text!r}")
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total


def duration(seconds_: int) -> str:
    """HH:MM:SS, as qsub takes it."""
    return f"{seconds_ // 3600:02}:{seconds_ // 60 % 60:02}:{seconds_ % 60:02}"


def count(text: str | None) -> int:
    """A whole number that PBS printed; 0 where it printed none."""
    return int(text) if text and text.isascii() and text.isdigit() else 0


def user_of(owner: str) -> str:
    """The Unix user of a Job_Owner such as alice@login1 or alice@REALM."""
    return owner.partition("@")[0]


def _object(printed: bytes) -> Mapping[str, object]:
    try:
        told = json.loads(printed)
    except ValueError as wrong:
        raise Unreadable("no JSON") from wrong
    return _mapping(told)


def _mapping(told: object) -> Mapping[str, object]:
    if not isinstance(told, dict):
        raise Unreadable("no object where one was expected")
    return told


def _texts(told: object) -> dict[str, str]:
    return {name: str(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _job(job_id: str, told: object, zone: tzinfo) -> Job:
    job = _mapping(told)
    return Job(
        job_id=job_id,
        name=str(job.get("Job_Name", "")),
        owner=user_of(str(job.get("Job_Owner", ""))),
        state=str(job.get("job_state", "")),
        substate=_integer(job.get("substate")),
        queue=str(job.get("queue", "")),
        comment=str(job.get("comment", "")),
        exit_status=_integer(job.get("Exit_status")),
        queued_at=_instant(job.get("qtime"), zone),
        started_at=_instant(job.get("stime"), zone),
        modified_at=_instant(job.get("mtime"), zone),
        requested=_texts(job.get("Resource_List")),
        used=_texts(job.get("resources_used")),
        run_count=_integer(job.get("run_count")) or 0,
    )


def _node(name: str, told: Mapping[str, object]) -> Node:
    states = tuple(word for word in re.split(r"[,\s]+", str(told.get("state", ""))) if word)
    return Node(
        name=name,
        states=states,
        available=_texts(told.get("resources_available")),
        assigned=_texts(told.get("resources_assigned")),
    )


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _instant(value: object, zone: tzinfo) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        local = datetime.strptime(value, _CTIME)  # noqa: DTZ007  the zone is not printed; it comes as an argument
    except ValueError:
        return None
    return local.replace(tzinfo=zone).astimezone(UTC)


def ended_at(job: Job) -> datetime | None:
    """When a finished job ended: its start and what it used of its walltime; qstat prints no end."""
    if job.started_at is None or "walltime" not in job.used:
        return job.modified_at
    return job.started_at + timedelta(seconds=seconds(job.used["walltime"]))
