"""What really happened on a Slurm cluster, by sacct and by the jobs' own folders; no code of the adapter reads it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from infra.slurm.cluster import Cluster
from infra.slurm.records import Row
from tests.support.database import Database

_NAME = re.compile(r"ky-([0-9a-f]{32})")
_ALIVE = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING"}
TURNED_AWAY_WITHIN_S = 30
SAME_START_S = 2


def attempt_of(row: Row) -> UUID | None:
    match = _NAME.fullmatch(row.name) or _NAME.fullmatch(row.comment)
    return UUID(match[1]) if match else None


def ours(cluster: Cluster) -> list[Row]:
    """Every record of a job that we sent."""
    return [row for row in cluster.sacct() if attempt_of(row) is not None]


def remembered(cluster: Cluster) -> list[Row]:
    """The ended jobs that slurmctld itself still knows, by `scontrol`: also those that slurmdbd was never told of."""
    printed = cluster.exec("scontrol", "--oneliner", "show", "jobs", check=True).stdout
    told = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in printed.splitlines()]
    return [
        _remembered(job) for job in told if _NAME.fullmatch(job.get("JobName", "")) and job["JobState"] not in _ALIVE
    ]


def _remembered(job: Mapping[str, str]) -> Row:
    submitted, started, ended = (_local(job[name]) for name in ("SubmitTime", "StartTime", "EndTime"))
    ran = started is not None and ended is not None
    tres = dict(each.split("=") for each in job.get("AllocTRES", "").split(",") if each.count("=") == 1)
    return Row(
        job_id=int(job["JobId"]),
        array_task=None,
        name=job["JobName"],
        user=job["UserId"].partition("(")[0],
        account=job["Account"],
        qos=job["QOS"],
        submitted_at=submitted,
        started_at=started,
        ended_at=ended,
        elapsed_s=int((ended - started).total_seconds()) if ran and ended and started else 0,
        suspended_s=0,
        state=(job["JobState"],),
        exit_code=None,
        signal=None,
        tres={name: int(amount) for name, amount in tres.items() if amount.isdigit()},
        restarts=0,
        nodes=job.get("NodeList", ""),
        comment=job.get("Comment", ""),
    )


def _local(text: str) -> datetime | None:
    """The clusters' clock is UTC, as the daemons print it."""
    return None if text == "Unknown" else datetime.fromisoformat(text).replace(tzinfo=UTC)


def has_ended(row: Row) -> bool:
    """It ran, and is over."""
    return row.ended_at is not None and row.started_at is not None and bool(row.tres)


def key(row: Row) -> tuple[UUID | None, int, int]:
    """Attempt, job id and second of the submission."""
    return attempt_of(row), row.job_id, int(row.submitted_at.timestamp()) if row.submitted_at else 0


async def taken_by_us(database: Database) -> set[tuple[UUID, int, int]]:
    """The same keys of the records that metering has."""
    rows = await database.owner.fetch(
        "SELECT attempt_id, natural_key FROM metering.accounting_row WHERE attempt_id IS NOT NULL"
    )
    found = set()
    for row in rows:
        _, job_id, _, submitted, _ = row["natural_key"].split(":")
        found.add((row["attempt_id"], int(job_id), int(submitted)))
    return found


def real_starts(shared: Path) -> Counter[UUID]:
    """How often each attempt's program has started, by what it printed itself."""
    starts: Counter[UUID] = Counter()
    for stdout in shared.glob("*/*/stdout"):
        for word in re.findall(r"^ran ([0-9a-f-]{36}) ", stdout.read_text(errors="replace"), re.MULTILINE):
            starts[UUID(word)] += 1
    return starts


def folders(shared: Path, attempts: Iterable[UUID]) -> list[str]:
    """What lies in the folders of these attempts, for whoever looks why."""
    found = []
    for attempt in attempts:
        for folder in shared.glob(f"*/{attempt}"):
            texts = {path.name: path.read_text(errors="replace") for path in folder.glob("*") if path.is_file()}
            found.append(f"{folder}: {texts}")
    return found


def gpu_seconds(rows: Iterable[Row], shared: Path) -> dict[UUID, int]:
    """GPU-seconds of each attempt that has an ended record; what the gate turned away is none."""
    total: Counter[UUID] = Counter()
    for row in rows:
        attempt = attempt_of(row)
        if attempt is None or not has_ended(row):
            continue
        total[attempt] += 0 if _turned_away(row, attempt, shared) else row.gpu_s
    return dict(total)


def _turned_away(row: Row, attempt: UUID, shared: Path) -> bool:
    """It ended at once, and by what the head of the job wrote down another start had passed the gate."""
    if row.elapsed_s > TURNED_AWAY_WITHIN_S or row.started_at is None:
        return False
    winner = _winner(shared / row.user / str(attempt) / "started.json")
    if winner is None:
        return False
    return winner["job_id"] != row.job_id or abs(winner["start"] - row.started_at.timestamp()) > SAME_START_S


def _winner(path: Path) -> Mapping[str, int] | None:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


async def metered_gpu_seconds(database: Database, backend: str) -> dict[UUID, int]:
    """What counts in our usage records, by attempt."""
    rows = await database.owner.fetch(
        "SELECT u.attempt_id, sum(u.quantity) AS gpu_s FROM metering.usage_record u "
        "WHERE u.backend = $1 AND u.component = 'gpu_s' "
        "AND NOT EXISTS (SELECT FROM metering.usage_record newer WHERE newer.supersedes = u.id) GROUP BY 1",
        backend,
    )
    found = {row["attempt_id"]: row["gpu_s"] for row in rows}
    assert all(amount == int(amount) for amount in found.values())
    return {attempt: int(amount) for attempt, amount in found.items()}


async def unsettled(database: Database) -> list[str]:
    """Attempts of open holds, each in a line for whoever looks why."""
    return await _lines(database, "h.closed_at IS NULL")


async def failed(database: Database) -> list[str]:
    """Attempts of jobs that ended in another way than well, each in a line for whoever looks why."""
    well = "SELECT FROM scheduler.attempt last WHERE last.job_id = a.job_id AND last.state = 'SUCCEEDED'"
    return await _lines(database, f"NOT EXISTS ({well})")


async def _lines(database: Database, which: str) -> list[str]:
    rows = await database.owner.fetch(
        "SELECT a.id, a.state::text, a.reason, a.backend_ref, b.ending::text, b.accounting_final_at, b.settled_at, "
        "(SELECT string_agg(r.natural_key || ' ' || r.ending || ' ' || r.components::text || r.facts::text, '; ') "
        " FROM metering.accounting_row r WHERE r.attempt_id = a.id) AS rows "
        "FROM scheduler.attempt a JOIN pricing.hold h ON h.job_id = a.job_id "
        f"LEFT JOIN pricing.billable_attempt b ON b.attempt_id = a.id WHERE {which} ORDER BY a.queued_at"
    )
    return [" ".join(f"{name}={value}" for name, value in row.items()) for row in rows]
