"""PBS accounting records as usage rows. Pure.

One line is `MM/DD/YYYY HH:MM:SS;TYPE;JOB ID;key=value …`, in the server's local time; the epochs inside are exact. What
counts is E (it ended) and R (it was rerun: that try ended); D says who had it deleted, S that it started. Source: the
accounting chapter of the PBS Professional Administrator's Guide, and the records in tests/fixtures/pbs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hpc_adapters.contract import BY_OWNER, Seen, UsageRow, Window
from hpc_adapters.jobhead.places import attempt_in_name
from hpc_adapters.jobhead.wrapper import SUPERSEDED
from hpc_adapters.pbs import translate
from hpc_adapters.pbs.parsing import Unreadable, count, seconds, size_mb, user_of

_LINE = re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d;(?P<kind>[A-Za-z]);(?P<job_id>[^;]+);(?P<rest>.*)")
_ENDS = frozenset("ER")
TURNED_AWAY_WITHIN_S = 30
"""A start that the gate turned away ends at once; whoever runs longer has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line. `told` are its key=value pairs, without quotes."""

    kind: str
    job_id: str
    told: Mapping[str, str]


def record(line: str) -> Record | None:
    """None: not a line of this form."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    try:
        words = shlex.split(match["rest"])
    except ValueError:  # a quote that is never closed
        words = match["rest"].split()
    pairs = (word.partition("=") for word in words if "=" in word)
    return Record(kind=match["kind"], job_id=match["job_id"], told={name: value for name, _, value in pairs})


def usage_rows(lines: Iterable[str], window: Window, *, gpus_per_node: int) -> list[UsageRow]:
    """One row for each try that touches the window. gpus_per_node: where a record names nodes and no GPUs."""
    deleted_by: dict[str, str] = {}
    starts: dict[tuple[str, str], Record] = {}
    rows: dict[str, UsageRow] = {}
    for found in filter(None, map(record, lines)):
        key = (found.job_id, found.told.get("start", ""))
        if found.kind == "D":
            deleted_by[found.job_id] = user_of(found.told.get("requestor", ""))
        elif found.kind == "S":
            starts[key] = found
        elif found.kind in _ENDS and (row := _ended(found, deleted_by.get(found.job_id), gpus_per_node)):
            starts.pop(key, None)
            rows[row.natural_key] = row
    running = (_running(found) for found in starts.values())
    return [row for row in (*rows.values(), *filter(None, running)) if window.touches(row.started_at, row.ended_at)]


def _ended(found: Record, deleted_by: str | None, gpus_per_node: int) -> UsageRow | None:
    """None: it never started, or cannot be read."""
    told = found.told
    started_at, ended_at = _epoch(told.get("start")), _epoch(told.get("end"))
    status = _status(told.get("Exit_status"))
    if started_at is None or ended_at is None or status is None or told.get("session") == "0":
        return None
    used_up = translate.used_up(told.get("resources_used.walltime"), told.get("Resource_List.walltime"))
    seen, _ = translate.ending(status, deleted=deleted_by is not None, used_up_walltime=used_up)
    ran_s = _ran_s(told, started_at, ended_at)
    units = {"gpu_s": _gpus(told, gpus_per_node), "cpu_s": count(told.get("Resource_List.ncpus"))}
    attempt_id = attempt_in_name(told.get("jobname", ""))
    components = {name: Decimal(amount * ran_s) for name, amount in units.items()}
    facts: dict[str, str | int | float] = {"gpus": units["gpu_s"], "cpus": units["cpu_s"], **_measured(told)}
    if attempt_id is not None and status == SUPERSEDED and ran_s <= TURNED_AWAY_WITHIN_S:
        facts |= {"turned_away": "yes", "held_s": ran_s}
        components = dict.fromkeys(components, Decimal(0))
    if seen is Seen.CANCELLED and deleted_by == told.get("user"):
        facts["cancelled"] = BY_OWNER
    return UsageRow(
        natural_key=_key(found, attempt_id),
        attempt_id=attempt_id,
        started_at=started_at,
        ended_at=ended_at,
        final=True,
        ending=seen,
        components=components,
        facts=facts,
    )


def _running(found: Record) -> UsageRow | None:
    started_at = _epoch(found.told.get("start"))
    if started_at is None:
        return None
    attempt_id = attempt_in_name(found.told.get("jobname", ""))
    return UsageRow(
        natural_key=_key(found, attempt_id),
        attempt_id=attempt_id,
        started_at=started_at,
        ended_at=None,
        final=False,
        ending=Seen.RUNNING,
        components={},
    )


def _key(found: Record, attempt_id: UUID | None) -> str:
    """Ids come again when the server's sequence wraps, tries of one job differ in their start."""
    return f"{found.job_id}:{found.told.get('start', '-')}:{attempt_id or '-'}"


def _ran_s(told: Mapping[str, str], started_at: datetime, ended_at: datetime) -> int:
    """PBS's own walltime leaves out what was suspended; without it, from start to end."""
    try:
        return seconds(told["resources_used.walltime"])
    except (KeyError, Unreadable):
        return max(0, int((ended_at - started_at) / timedelta(seconds=1)))


def _gpus(told: Mapping[str, str], gpus_per_node: int) -> int:
    if "Resource_List.ngpus" in told:
        return count(told["Resource_List.ngpus"])
    return count(told.get("Resource_List.nodect")) * gpus_per_node


def _measured(told: Mapping[str, str]) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float] = {}
    try:
        facts["peak_memory_mb"] = size_mb(told["resources_used.mem"])
        facts["cpu_used_s"] = seconds(told["resources_used.cput"])
    except (KeyError, Unreadable):
        pass  # not every site has both
    return facts


def _status(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _epoch(text: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text and text.isascii() and text.isdigit() else None
