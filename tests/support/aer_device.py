"""A simulated device for tests: circuits are submitted to the real adapter and waited for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from hpc_adapters.contract import Circuit, JobRequest, Observation, Ref, Resources, Stream, UsageRow, Window
from hpc_adapters.quantum.aer.adapter import AerBackend
from hpc_adapters.quantum.aer.device import DeviceSettings
from infra.clock import new_id, utc_now


@dataclass(frozen=True)
class Outcome:
    end: Observation
    result: dict[str, Any]
    row: UsageRow
    streams: bytes


class Device:
    """A backend and what a test wants to know of a job on it."""

    def __init__(self, root: Path, settings: DeviceSettings, *, sandbox: str | None = None) -> None:
        self.backend = AerBackend(name="aer", root=root, device=settings, clock=utc_now, grace_s=1.0, sandbox=sandbox)

    async def submit(
        self,
        program: str | bytes,
        *,
        shots: int = 1000,
        walltime_s: int = 60,
        tenant: str = "tenant-a",
        max_qpu_us: int | None = None,
    ) -> Ref:
        body = program.encode() if isinstance(program, str) else program
        return await self.backend.submit(
            JobRequest(
                attempt_id=new_id(),
                tenant=tenant,
                resources=Resources(qpus=1),
                walltime_s=walltime_s,
                payload=Circuit(program=body, shots=shots, max_qpu_us=max_qpu_us),
            )
        )

    async def outcome(self, ref: Ref) -> Outcome:
        deadline = monotonic() + 180
        while monotonic() < deadline:
            [end] = await self.backend.observe([ref])
            assert isinstance(end, Observation)
            if end.seen.is_end:
                break
            await asyncio.sleep(0.05)
        streams = {stream: (await self.backend.logs(ref, stream)).data for stream in Stream}
        result = json.loads(streams[Stream.RESULT] or b"{}")
        return Outcome(end, result, await self.row(ref), b"".join(streams.values()))

    async def row(self, ref: Ref) -> UsageRow:
        rows = await self.backend.accounting(Window(utc_now() - timedelta(hours=1), utc_now() + timedelta(hours=1)))
        [row] = [row for row in rows if row.attempt_id == ref.attempt_id]
        return row

    async def said(self, ref: Ref, word: bytes) -> None:
        while word not in (await self.backend.logs(ref, Stream.STDOUT)).data:  # noqa: ASYNC110  another process writes
            await asyncio.sleep(0.05)
