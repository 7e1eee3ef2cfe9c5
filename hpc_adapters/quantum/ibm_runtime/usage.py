"""What was used, as rows: of each job what IBM charges, of each session how long it was open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from hpc_adapters.contract import Seen, UsageRow, Window
from hpc_adapters.keeping import Left, together
from hpc_adapters.quantum.ibm_runtime.checks import attempt_of
from hpc_adapters.quantum.ibm_runtime.jobs import wishes_of
from hpc_adapters.quantum.ibm_runtime.parts import Parts
from hpc_adapters.quantum.ibm_runtime.sessions import opened
from hpc_adapters.quantum.ibm_runtime.store import Record
from hpc_adapters.quantum.ibm_runtime.translate import Told, Usage, Wishes, charged, told_of, usage_of

_BEFORE: Final = timedelta(days=2)
"""A job that touches a window may have waited so long in IBM's queue."""
_NOTHING: Final = {"qpu_s": Decimal(0), "shot": Decimal(0)}


class Accounts:
    """Of one backend."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def rows(self, window: Window) -> Sequence[UsageRow]:
        """Each record that touches the window, once."""
        parts = self._parts
        since, until = window.since - _BEFORE, window.until
        listed = await parts.bridge.call("listed", {"since": since.isoformat(), "until": until.isoformat()})
        await parts.end_doubles([job for job in listed if not _is_over(job)])
        records = [record for record in await asyncio.to_thread(parts.store.records) if record.vendor_id is not None]
        gone = await asyncio.to_thread(parts.gone.rows, window)
        known = {record.vendor_id for record in records} | await asyncio.to_thread(parts.gone.native_ids, since)
        records = [record for record in records if not _was_over(record, window)]
        strays = {str(job["id"]): job for job in listed if job["id"] not in known}
        open_ids = [str(record.vendor_id) for record in records if not record.is_session and record.usage is None]
        looks = await parts.bridge.call("look", {"jobs": [*open_ids, *strays]})
        rows: list[UsageRow | None] = [self._session(record) for record in records if record.is_session]
        rows += [self._job(record, looks.get(record.vendor_id)) for record in records if not record.is_session]
        rows += [self._stray(job, looks[vendor_id]) for vendor_id, job in strays.items()]
        here = [row for row in rows if row is not None and window.touches(row.started_at, row.ended_at)]
        return together(here, gone)

    def left(self, record: Record) -> Left | None:
        """What is told of one that is over, with its usage known, when its folder is gone; None: it is not so far."""
        if record.end is None or (record.usage is None and not record.is_session):
            return None
        started = record.vendor_id is not None and (record.is_session or record.end.started_at is not None)
        row = (self._session(record) if record.is_session else self._job(record, None)) if started else None
        native_id = record.vendor_id or str(record.attempt_id)
        return Left(record.attempt_id, native_id, record.end.ended_at, row)

    def _session(self, record: Record) -> UsageRow:
        end = record.end
        opened_at = opened(record)
        seconds = ((self._parts.clock() if end is None else end.ended_at) - opened_at) // timedelta(microseconds=1)
        return UsageRow(
            natural_key=f"{record.attempt_id}:session",
            attempt_id=record.attempt_id,
            started_at=opened_at,
            ended_at=None if end is None else end.ended_at,
            final=end is not None,
            ending=Seen.RUNNING if end is None else end.seen,
            components={"session_s": Decimal(max(0, seconds)) / 1_000_000},
            facts={"vendor_session": str(record.vendor_id), **dict(record.usage or {})},
        )

    def _job(self, record: Record, look: Mapping[str, Any] | None) -> UsageRow | None:
        told = self._told(record, look)
        if told is None or told.started_at is None:
            if record.end is not None and record.usage is None:  # it never reached the device, and never will
                self._parts.store.final_usage(record.attempt_id, {"qpu_s": "0"})
            return None
        used = self._used(record, told, look)
        executions = int(record.sent.get("executions", 0)) if told.seen is Seen.SUCCEEDED else 0
        cap_us = record.sent.get("cap_us")
        facts: dict[str, str | int | float] = {
            "qpus": 1,
            "device": self._parts.settings.device,
            "vendor_job": str(record.vendor_id),
            "vendor_qpu_s": float(used.qpu_s),
        }
        facts |= {key: record.sent[key] for key in ("calibration_id", "session") if record.sent.get(key)}
        if (record.usage or {}).get("lost"):
            facts["vendor_usage"] = "lost"
        return UsageRow(
            natural_key=str(record.vendor_id),
            attempt_id=record.attempt_id,
            started_at=told.started_at,
            ended_at=told.ended_at,
            final=record.end is not None and used.final,
            ending=told.seen,
            components={"qpu_s": charged(told, used.qpu_s, cap_us=cap_us), "shot": Decimal(executions)},
            facts=facts,
        )

    def _told(self, record: Record, look: Mapping[str, Any] | None) -> Told | None:
        """As it ended, where we have seen that; else as IBM says now, its end not yet believed."""
        end = record.end
        if end is not None:
            return Told(seen=end.seen, detail=end.detail, started_at=end.started_at, ended_at=end.ended_at)
        if look is None:
            return None
        told = told_of(look, wishes_of(record))
        return Told(seen=Seen.RUNNING, started_at=told.started_at) if told.seen.is_end else told

    def _used(self, record: Record, told: Told, look: Mapping[str, Any] | None) -> Usage:
        """Kept once it is final: IBM may delete the job. What it deleted before is lost, and nobody pays for it."""
        if record.usage is not None:
            return Usage(Decimal(record.usage["qpu_s"]), final=True)
        used = Usage(Decimal(0), final=False) if look is None else usage_of(look["metrics"])
        if told.ended_at is None:
            return used
        overdue = self._parts.clock() > told.ended_at + timedelta(seconds=self._parts.settings.accounting_lag_s)
        if used.final or (look is None and overdue):
            lost = {} if used.final else {"lost": "yes"}
            self._parts.store.final_usage(record.attempt_id, {"qpu_s": str(used.qpu_s), **lost})
            return Usage(used.qpu_s, final=True)
        return used

    def _stray(self, job: Mapping[str, Any], look: Mapping[str, Any] | None) -> UsageRow | None:
        """A second job of one submission, which costs its owner nothing, or one that is not in our books."""
        told = None if look is None else told_of(look, Wishes())
        if look is None or told is None or told.started_at is None:
            return None
        used = usage_of(look["metrics"])
        double = self._parts.is_double(job)
        components = _NOTHING if double else {"qpu_s": charged(told, used.qpu_s, cap_us=None), "shot": Decimal(0)}
        facts: dict[str, str | int | float] = {
            "device": self._parts.settings.device,
            "vendor_job": str(job["id"]),
            "vendor_qpu_s": float(used.qpu_s),
        }
        return UsageRow(
            natural_key=str(job["id"]),
            attempt_id=attempt_of(job.get("tags")),
            started_at=told.started_at,
            ended_at=told.ended_at,
            final=told.ended_at is not None and used.final,
            ending=told.seen,
            components=components,
            facts={**facts, "turned_away": "yes"} if double else facts,
        )


def _was_over(record: Record, window: Window) -> bool:
    """Before the window, with nothing left to find out: records are kept for long, and most are asked for no more."""
    return record.end is not None and record.usage is not None and record.end.ended_at < window.since


def _is_over(job: Mapping[str, Any]) -> bool:
    return told_of({"job": job}, Wishes()).seen.is_end
