"""What the adapter's parts share: the way to IBM, what is kept here, the device as it was last told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from hpc_adapters.contract import Ref
from hpc_adapters.devices import DeviceState
from hpc_adapters.errors import Unavailable
from hpc_adapters.keeping import Past
from hpc_adapters.quantum.bridge import Bridge
from hpc_adapters.quantum.ibm_runtime import device
from hpc_adapters.quantum.ibm_runtime.checks import attempt_of
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from hpc_adapters.quantum.ibm_runtime.store import AttemptStore, Record

DEVICE_LIFE_S = 300.0


@dataclass(slots=True)
class Parts:
    """Of one backend."""

    settings: IbmSettings
    bridge: Bridge
    store: AttemptStore
    clock: Callable[[], datetime]
    gone: Past
    door: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Who counts the room and takes some."""
    _sending: WeakValueDictionary[UUID, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _device: Mapping[str, Any] | None = None
    _device_at: float = 0.0

    def ref(self, attempt_id: UUID, vendor_id: str) -> Ref:
        return Ref(self.settings.name, attempt_id, vendor_id)

    def sending(self, attempt_id: UUID) -> asyncio.Lock:
        """One submission of an attempt at a time, within this process."""
        return self._sending.setdefault(attempt_id, asyncio.Lock())

    async def device(self, *, max_age_s: float = DEVICE_LIFE_S) -> Mapping[str, Any]:
        """What the bridge told of the device, at most so old. Unavailable."""
        if self._device is None or monotonic() - self._device_at > max_age_s:
            told = await self.bridge.call("device", {})
            self._device, self._device_at = told, monotonic()
        return self._device

    def forget_device(self) -> None:
        """What was told of it is no longer true."""
        self._device = None

    async def calibration_id(self) -> str | None:
        calibration = device.calibration_of((await self.device()).get("properties") or {})
        return None if calibration is None else calibration.id

    async def live(self) -> list[Mapping[str, Any]]:
        """Jobs of ours at IBM that have not ended. One that an attempt has beside its own is asked to end."""
        found: list[Mapping[str, Any]] = await self.bridge.call("live", {})
        await self.end_doubles(found)
        return found

    async def end_doubles(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """A repetition on the way may have made a second job of one submission: only the one that we know counts."""
        for job in jobs:
            if self.is_double(job):
                await self.bridge.call("cancel", {"job": job["id"]})

    def is_double(self, job: Mapping[str, Any]) -> bool:
        attempt_id = attempt_of(job.get("tags"))
        record = None if attempt_id is None else self.store.record(attempt_id)
        return record is not None and record.vendor_id is not None and record.vendor_id != job["id"]

    async def room(self, live: Sequence[Mapping[str, Any]]) -> int:
        """How many more jobs and sessions may begin. Jobs in a session are its own."""
        outside = {str(job["id"]) for job in live if not job.get("session_id") and not self.is_double(job)}
        records = await asyncio.to_thread(self.store.records)
        now = self.clock()
        for record in records:
            if not record.is_live or record.sent.get("session"):
                continue
            if record.is_session or self._may_be_unlisted(record, now):
                outside.add(str(record.vendor_id))
        return self.settings.slots - len(outside)

    def _may_be_unlisted(self, record: Record, now: datetime) -> bool:
        window = timedelta(seconds=self.settings.settle_window_s)
        return record.sent_at is not None and now - record.sent_at < window

    async def take_room(self) -> None:
        """Unavailable('no-room' | 'device-offline' | 'usage-limit-reached'): it must not begin now. Inside `door`."""
        told = await self.bridge.call("state", {})
        await self.end_doubles(told["live"])
        if (why := closed_because(told)) is not None:
            raise Unavailable(why, maybe_done=False)
        if await self.room(told["live"]) < 1:
            raise Unavailable("no-room", maybe_done=False)


def closed_because(told: Mapping[str, Any]) -> str | None:
    """Why nothing may begin, by the bridge's `state`. None: it may."""
    state, _ = device.state_of(told["status"])
    if state is not DeviceState.ONLINE:
        return "device-offline"
    return "usage-limit-reached" if told["usage"].get("usage_limit_reached") else None
