"""What `sacct --json` prints, as typed rows. Pure. Numbers come plain or as {set, infinite, number}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of a job as Slurm's accounting has it; a run that was requeued has several, with one job id."""

    job_id: int
    array_task: int | None
    name: str
    user: str
    account: str
    qos: str
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: int
    suspended_s: int
    state: tuple[str, ...]
    exit_code: int | None
    signal: int | None
    tres: Mapping[str, int]
    """Allocated, by type, as in `gres/gpu` or `cpu`."""
    restarts: int
    nodes: str
    comment: str

    @property
    def gpu_s(self) -> int:
        """GPU-seconds that it held: suspended time is none."""
        return self.tres.get("gres/gpu", 0) * (self.elapsed_s - self.suspended_s)


def parse(answer: Mapping[str, Any]) -> list[Row]:
    """Rows in Slurm's order."""
    return [_row(job) for job in answer["jobs"]]


def _row(job: Mapping[str, Any]) -> Row:
    time, exit_code = job["time"], job["exit_code"]
    return Row(
        job_id=job["job_id"],
        array_task=_number(job["array"]["task_id"]),
        name=job["name"],
        user=job["association"]["user"] or job["user"],
        account=job["account"],
        qos=job["qos"],
        submitted_at=_moment(time["submission"]),
        started_at=_moment(time["start"]),
        ended_at=_moment(time["end"]),
        elapsed_s=_number(time["elapsed"]) or 0,
        suspended_s=_number(time["suspended"]) or 0,
        state=tuple(job["state"]["current"]),
        exit_code=_number(exit_code["return_code"]),
        signal=_number(exit_code["signal"]["id"]) or None,
        tres={_type(each): each["count"] for each in job["tres"]["allocated"]},
        restarts=_number(job.get("restart_cnt")) or 0,
        nodes=job["nodes"],
        comment=job["comment"]["job"],
    )


def _type(tres: Mapping[str, Any]) -> str:
    return f"{tres['type']}/{tres['name']}" if tres.get("name") else str(tres["type"])


def _number(value: Any) -> int | None:
    if isinstance(value, Mapping):
        return int(value["number"]) if value.get("set") and not value.get("infinite") else None
    return None if value is None else int(value)


def _moment(value: Any) -> datetime | None:
    epoch = _number(value)
    return datetime.fromtimestamp(epoch, UTC) if epoch else None
