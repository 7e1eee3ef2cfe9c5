"""The life of a session or a batch: opened, watched for its idle time and walltime, closed.

IBM keeps no text of ours with a session, so one whose opening was never answered cannot be found again. It costs
nothing: IBM's sessions begin with their first job, and it never gets one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from hpc_adapters.contract import JobRequest, Observation, Ref, Seen, SessionHold
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.quantum.ibm_runtime.checks import MAX_EXECUTION_S, check_hold
from hpc_adapters.quantum.ibm_runtime.parts import Parts
from hpc_adapters.quantum.ibm_runtime.store import Ending, Record
from hpc_adapters.quantum.stamps import instant

CLOSED: Final = "closed"
IDLE: Final = "idle"
EXPIRED: Final = "expired"
_MAX_TTL_S: Final = 8 * MAX_EXECUTION_S // 3
"""IBM closes a session after eight hours."""


class Sessions:
    """Sessions and batches of one backend."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def submit(self, request: JobRequest, hold: SessionHold) -> Ref:
        """Open it. Rejected: 'unsupported-session', 'invalid-idle-time', 'invalid-walltime'."""
        parts, attempt_id = self._parts, request.attempt_id
        async with parts.sending(attempt_id):
            record = parts.store.record(attempt_id)
            if record is not None and record.vendor_id is not None:
                return parts.ref(attempt_id, record.vendor_id)
            check_hold(hold, parts.settings)
            if request.walltime_s > _MAX_TTL_S:
                raise Rejected("invalid-walltime", walltime_s=request.walltime_s, max_s=_MAX_TTL_S)
            with parts.store.sending(attempt_id):
                async with parts.door:
                    await parts.take_room()
                    return await self._open(request, hold)

    async def _open(self, request: JobRequest, hold: SessionHold) -> Ref:
        parts, attempt_id = self._parts, request.attempt_id
        params = {"dedicated": hold.dedicated, "max_s": request.walltime_s}
        try:
            vendor_id = str((await parts.bridge.call("open_session", params))["id"])
        except (Rejected, Unavailable):
            parts.store.not_sent(attempt_id)
            raise
        now = parts.clock()
        sent = {
            "kind": "session",
            "tenant": request.tenant,
            "walltime_s": request.walltime_s,
            "idle_s": hold.idle_s,
            "dedicated": hold.dedicated,
            "opened_at": now.isoformat(),
        }
        parts.store.send(attempt_id, sent, now=now)
        parts.store.know(attempt_id, vendor_id)
        parts.store.note(attempt_id, "accepted", f"{now.isoformat()} open session={vendor_id}")
        return parts.ref(attempt_id, vendor_id)

    async def observe(self, ref: Ref, record: Record, live: Sequence[Mapping[str, Any]]) -> Observation | Forgotten:
        """RUNNING while it is open; SUCCEEDED after, with why it was closed as the detail."""
        if record.end is None:
            details = await self._parts.bridge.call("session", {"id": record.vendor_id})
            if details is None:
                return Forgotten(ref.attempt_id)
            why = record.wish or self._time_is_up(record, details, live)
            if details.get("state") != "closed" and why is not None:
                await self._close(record, why)
                details = await self._parts.bridge.call("session", {"id": record.vendor_id}) or details
            if details.get("state") != "closed":
                return self._open_still(ref, record)
            record = self._ended(record, details, why)
        assert record.end is not None
        return Observation(
            ref=ref,
            seen=record.end.seen,
            observed_at=self._parts.clock(),
            started_at=record.end.started_at,
            ended_at=record.end.ended_at,
            exit_code=0,
            detail=record.end.detail,
        )

    def _open_still(self, ref: Ref, record: Record) -> Observation:
        opened_at = opened(record)
        return Observation(ref=ref, seen=Seen.RUNNING, observed_at=self._parts.clock(), started_at=opened_at)

    def _time_is_up(self, record: Record, details: Mapping[str, Any], live: Sequence[Mapping[str, Any]]) -> str | None:
        now, opened_at = self._parts.clock(), opened(record)
        if now >= opened_at + timedelta(seconds=record.sent["walltime_s"]):
            return EXPIRED
        if any(job.get("session_id") == record.vendor_id for job in live):
            return None
        last = max(opened_at, instant(details.get("last_job_completed")) or opened_at)
        return IDLE if now > last + timedelta(seconds=record.sent["idle_s"]) else None

    async def _close(self, record: Record, why: str) -> None:
        self._parts.store.wish(record.attempt_id, why)
        await self._parts.bridge.call("close_session", {"id": record.vendor_id})

    def _ended(self, record: Record, details: Mapping[str, Any], why: str | None) -> Record:
        store, opened_at = self._parts.store, opened(record)
        ended_at = max(opened_at, instant(details.get("closed_at")) or self._parts.clock())
        detail = why or (IDLE if details.get("accepting_jobs") else EXPIRED)
        store.end(
            record.attempt_id,
            Ending(seen=Seen.SUCCEEDED, detail=detail, started_at=opened_at, ended_at=ended_at),
        )
        used_s = str(details.get("elapsed_time") or 0)
        store.final_usage(record.attempt_id, {"vendor_usage_s": used_s})
        store.note(record.attempt_id, "ended", f"{ended_at.isoformat()} {detail}")
        kept = store.record(record.attempt_id)
        assert kept is not None
        return kept

    async def cancel(self, record: Record) -> None:
        """Close it: what waits or runs in it ends. Forgotten."""
        self._parts.store.wish(record.attempt_id, CLOSED)
        if not await self._parts.bridge.call("close_session", {"id": record.vendor_id}):
            raise Forgotten(record.attempt_id)


def opened(record: Record) -> datetime:
    """By our clock."""
    return datetime.fromisoformat(record.sent["opened_at"])
