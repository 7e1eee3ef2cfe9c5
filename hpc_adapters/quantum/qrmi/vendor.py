"""QRMI's own part: one task for each attempt, its start written down by the process that makes it.

QRMI tells no times and no usage: a time is when we first saw it, and the QPU time is the model's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from hpc_adapters.confined import folder
from hpc_adapters.confined.times import from_us, to_us
from hpc_adapters.contract import Seen
from hpc_adapters.devices import Device, DeviceState
from hpc_adapters.errors import Unavailable
from hpc_adapters.keeping import remove
from hpc_adapters.quantum.bridge import Bridge
from hpc_adapters.quantum.ibm_runtime.device import device_of
from hpc_adapters.quantum.ibm_runtime.results import result_document
from hpc_adapters.quantum.qrmi.primitives import Unreadable, data_of, input_of
from hpc_adapters.quantum.qrmi.settings import QrmiSettings
from hpc_adapters.quantum.queued.model import RemoteJob, job_name
from hpc_adapters.quantum.queued.records import Job
from hpc_adapters.quantum.queued.vendor import Gone, NoResult

Json = dict[str, Any]
_SEEN: Final = {
    "registered": None,
    "starting": Seen.WAITING,
    "queued": Seen.WAITING,
    "running": Seen.RUNNING,
    "completed": Seen.SUCCEEDED,
    "failed": Seen.FAILED,
    "cancelled": Seen.CANCELLED,
    "lost": Seen.NODE_FAILED,
}
_GONE: Final = "gone"
_RUNNING, _ENDED = "running.json", "ended.json"
_STATES: Final = {"online": DeviceState.ONLINE, "paused": DeviceState.MAINTENANCE}


class QrmiVendor:
    """Implements `queued.Vendor`. The id of a job is our own name; the process knows which task it is."""

    def __init__(self, settings: QrmiSettings, *, root: Path, clock: Callable[[], datetime]) -> None:
        self._settings, self._gates, self._clock = settings, root / "gates", clock
        self._gates.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bridge = Bridge(settings.program(), hello=settings.hello, deadline_s=settings.call_s)
        self._told: tuple[datetime, Json] | None = None

    async def raw(self, *, fresh: bool = False) -> Json:
        """What QRMI tells of the device: its status, and its target ('configuration', 'properties')."""
        now = self._clock()
        age = None if self._told is None else (now - self._told[0]).total_seconds()
        if self._told is None or fresh or age is None or age > self._settings.target_s:
            self._told = (now, await self._bridge.call("device", {}))
        return self._told[1]

    async def device(self) -> Device:
        told = await self.raw(fresh=True)
        status = told["status"]
        state = _STATES.get(str(status.get("status")).lower(), DeviceState.OFFLINE)
        as_ibm = {
            "status_msg": {DeviceState.ONLINE: "active", DeviceState.MAINTENANCE: "maintenance"}.get(state, "offline"),
            "operational": state is DeviceState.ONLINE,
            "pending_jobs": status.get("pending_job_count"),
        }
        target = told["target"]
        return device_of(
            {"configuration": target["configuration"], "properties": target.get("properties"), "status": as_ibm},
            name=self._settings.name,
            domestic=self._settings.domestic,
            sessions=False,
            now=self._clock(),
        )

    async def find_jobs(self, attempt_id: UUID) -> Sequence[Job] | None:
        """QRMI lists nothing; but a start that was written down is there for good."""
        await self._bridge.call("look", self._gate(job_name(attempt_id)))
        name = job_name(attempt_id)
        return [Job(name, name)] if (self._gates / name).is_dir() else None

    async def register(self, attempt_id: UUID, plan: Json) -> Sequence[Job]:  # noqa: ARG002  one task for all of it
        return [Job(job_name(attempt_id), job_name(attempt_id))]

    async def submit(self, job: Job, run: Json, plan: Json) -> None:
        asked = {"input": json.dumps(input_of(run)), "program_id": run["primitive"], "cost_s": plan["cost_s"]}
        try:
            await self._bridge.call("start", self._gate(job.id) | asked)
        except Unavailable as away:
            if away.detail != "started-before":
                raise

    async def look(self, attempt_id: UUID, jobs: Sequence[Job]) -> Sequence[RemoteJob]:  # noqa: ARG002  in their names
        return [await self._one(job) for job in jobs]

    async def _one(self, job: Job) -> RemoteJob:
        told = await self._bridge.call("look", self._gate(job.id))
        if told["status"] == _GONE:
            raise Gone
        seen = _SEEN.get(told["status"], Seen.UNKNOWN)
        submitted_at = from_us(told["at_us"]) if told.get("at_us") else None
        running_at = self._first(job.id, _RUNNING, now=seen is Seen.RUNNING)
        ended_at = self._first(job.id, _ENDED, now=seen is not None and seen.is_end)
        if seen is Seen.SUCCEEDED and running_at is None:
            running_at = submitted_at
        return RemoteJob(job_id=job.id, seen=seen, submitted_at=submitted_at, running_at=running_at, ended_at=ended_at)

    def _first(self, name: str, file: str, *, now: bool) -> datetime | None:
        """When it was first so. The first time that was written down stays."""
        place = str(self._gates / name)
        known = folder.read_json(place, file)
        if known is None and now:
            known = {"at_us": to_us(self._clock())}
            folder.write_json(place, file, known)
        return None if known is None else from_us(known["at_us"])

    async def stop(self, jobs: Sequence[RemoteJob]) -> None:
        for job in jobs:
            if job.seen is not None and not job.seen.is_end:
                await self._bridge.call("stop", self._gate(job.job_id))

    async def result(self, plan: Json | None, jobs: Sequence[RemoteJob], calibration_id: str | None) -> bytes:
        told = [await self._left(job) for job in jobs]
        if plan is None:
            return json.dumps({"vendor": told, "calibration_id": calibration_id}).encode()
        try:
            pubs = [data for each in told for data in await asyncio.to_thread(data_of, each)]
            body = result_document(
                {"pubs": pubs}, plan["about"], device=self._settings.name, calibration_id=calibration_id
            )
        except (Unreadable, KeyError, ValueError) as error:
            raise NoResult(type(error).__name__) from error
        return json.dumps(body).encode()

    async def _left(self, job: RemoteJob) -> Any:
        told = await self._bridge.call("result", self._gate(job.job_id))
        if told is None:
            raise NoResult("none")
        return told

    async def message(self, jobs: Sequence[RemoteJob]) -> str:  # noqa: ARG002
        """QRMI does not tell."""
        return ""

    async def clear(self, jobs: Sequence[RemoteJob]) -> None:
        """QRMI deletes nothing."""

    async def forget(self, attempt_id: UUID) -> int:
        """Its start stays written down until nothing of it can start again."""
        return await asyncio.to_thread(remove, self._gates, job_name(attempt_id))

    async def expires(self) -> datetime | None:
        return None

    async def close(self) -> None:
        await self._bridge.close()

    def _gate(self, name: str) -> Json:
        return {"gate": str(self._gates / name)}
