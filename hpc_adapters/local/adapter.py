"""The machine under us as a small cluster: slots of CPU, memory and "GPU" units, each job behind its own walls."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from hpc_adapters.confined.admission import admission, admit_tenant
from hpc_adapters.confined.model import FilePath, RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Feature,
    Health,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    Script,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.job_files import MAILBOX
from hpc_adapters.keeping import GONE, Freed, Left, Past, together
from hpc_adapters.launching.torchrun import torchrun
from hpc_adapters.launching.variables import job_variables
from hpc_adapters.local import slots, translate
from hpc_adapters.local.checks import Limits, check, effective
from hpc_adapters.local.files import LocalFiles

_SCRIPT: Final = "script"
_LAUNCH: Final = "launch"
_DISK_RESERVE_MB: Final = 256


class LocalBackend(LocalFiles):
    """Implements `contract.Backend`, `job_files.Files`, `Mailbox` and `keeping.Keeper`.

    Several processes may have one on the same `root`.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        *,
        total: Resources,
        clock: Callable[[], datetime],
        software: Sequence[Path] = (),
        limits: Limits | None = None,
        sandbox: str | None = None,
        domestic: bool = False,
    ) -> None:
        """`software`: what jobs may read besides the system's /usr; its `bin` folders lead their PATH.

        `sandbox`: a kind of `confined.sandbox` instead of the best that works here.
        """
        missing = [path for path in software if not path.is_dir()]
        if missing:
            raise ValueError(f"no such folder: {missing}")
        self._name, self._total, self._clock, self._domestic = name, total, clock, domestic
        self._software = tuple(software)
        self._limits = limits or Limits()
        self._runs = ConfinedRuns(root, clock=clock, kind=sandbox)
        self._gone = Past(self._runs.root / GONE)
        super().__init__(self._runs.root)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self._name,
            isolation=self._runs.isolation,
            payloads=frozenset({Script}),
            components=frozenset({"gpu_s", "cpu_s"}),
            settle_window_s=5.0,
            accounting_lag_s=1.0,
            features=frozenset({Feature.SECRETS, Feature.TORCHRUN, Feature.SIGNAL, Feature.FILES, Feature.CALLS}),
            domestic=self._domestic,
        )

    async def capacity(self) -> Capacity:
        bookings = slots.booked(await asyncio.to_thread(self._states))
        return Capacity(at=self._clock(), total=self._total, free=slots.free(self._total, bookings))

    async def submit(self, request: JobRequest) -> Ref:
        refuse_unoffered(request, self.capabilities())
        script = check(request, total=self._total, limits=self._limits)
        try:
            await asyncio.to_thread(self._submit, request, script)
        except StartInterrupted as error:
            raise Unavailable("supervisor-not-started", maybe_done=True) from error
        except OSError as error:
            raise Unavailable(f"os-error-{error.errno}", maybe_done=False) from error
        return self._ref(request.attempt_id)

    async def find(self, attempt_id: UUID) -> Ref | None:
        if await self._runs.state(attempt_id) is None and await asyncio.to_thread(self._gone.find, attempt_id) is None:
            return None
        return self._ref(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        states = await self._runs.states([ref.attempt_id for ref in refs])
        now = self._clock()
        return [
            Forgotten(ref.attempt_id)
            if state is None or not self._is_ours(ref)
            else translate.observation(state, ref, now=now)
            for ref, state in zip(refs, states, strict=True)
        ]

    async def cancel(self, ref: Ref) -> None:
        if not self._is_ours(ref) or not await self._runs.cancel(ref.attempt_id):
            raise Forgotten(ref.attempt_id)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        states = await asyncio.to_thread(self._states)
        now = self._clock()
        rows = [translate.usage_row(state, now=now) for state in states if translate.touches(state, window)]
        return together(rows, await asyncio.to_thread(self._gone.rows, window))

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        chunk = await self._runs.read(ref.attempt_id, stream, offset, limit) if self._is_ours(ref) else None
        if chunk is None:
            raise Forgotten(ref.attempt_id)
        return chunk

    async def health(self) -> Health:
        detail = "" if self._runs.isolation is Isolation.PER_ATTEMPT else "no-isolation: one organisation only"
        try:
            await asyncio.to_thread(self._require_disk)
        except (OSError, Unavailable) as error:
            return Health(ok=False, checked_at=self._clock(), detail=str(error))
        return Health(ok=True, checked_at=self._clock(), detail=detail)

    async def close(self) -> None:
        """Nothing is held: jobs have their own supervisors."""

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        return [state.attempt_id for state in await asyncio.to_thread(self._runs.ended_before_now, moment)]

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        return await asyncio.to_thread(self._forget, attempt_ids)

    # ---- in a thread

    def _submit(self, request: JobRequest, script: Script) -> None:
        if self._runs.states_now([request.attempt_id], resume=False) == [None]:
            if self._gone.find(request.attempt_id) is not None:
                return  # it ran, and was forgotten
            with admission(self._runs.root):
                if self._runs.isolation is Isolation.SINGLE_TENANT:
                    admit_tenant(self._runs.root, request.tenant)
                self._require_disk()
                self._accept(request, script)
        self._runs.set_going_now(request.attempt_id)

    def _forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        """With the folder of its checkpoints, when no attempt of its job is left. It is told of before it goes."""
        states = [state for state in self._runs.states_now(attempt_ids, resume=False) if state and state.is_over]
        now = self._clock()
        self._gone.note(
            Left(
                state.attempt_id,
                str(state.attempt_id),
                state.ended_at or now,
                None if state.started_at is None else translate.usage_row(state, now=now),
            )
            for state in states
        )
        return self._runs.leave_now([state.attempt_id for state in states])

    def _accept(self, request: JobRequest, script: Script) -> None:
        """Book and accept in one: the run's folder is the booking. Only inside `admission`."""
        states = self._states()
        if any(state.attempt_id == request.attempt_id for state in states):
            return  # a twin of this call was quicker
        asked = effective(request.resources, self._total, self._limits)
        booking = slots.book(self._total, slots.booked(states), asked)
        if booking is None:
            raise Unavailable("no-room", maybe_done=False)
        self._runs.accept_now(self._spec(request, script, booking))

    def _spec(self, request: JobRequest, script: Script, booking: slots.Booking) -> RunSpec:
        units = ",".join(str(unit) for unit in booking.gpu_units)
        ours = {**job_variables(request), "KYOYO_GPUS": units, "CUDA_VISIBLE_DEVICES": units}
        return RunSpec(
            attempt_id=request.attempt_id,
            tenant=request.tenant,
            argv=_argv(script),
            files={_SCRIPT: script.body, **_launch_file(script)},
            environment={**script.environment, **ours},
            secrets=script.secrets,
            lineage=uuid5(request.job_id or request.attempt_id, request.tenant),
            folders=("input", "output", *((MAILBOX,) if request.has_calls else ())),
            inputs=self._inputs(request),
            signal=request.placement.signal,
            walltime_s=request.walltime_s,
            memory_mb=booking.resources.memory_mb,
            cpus=booking.resources.cpus,
            read_only=self._software,
            stdout_cap_bytes=self._limits.stdout_cap_bytes,
            result_cap_bytes=self._limits.result_cap_bytes,
            grace_s=self._limits.grace_s,
            processes=self._limits.processes,
            disk_mb=self._limits.disk_mb,
            facts=booking.facts(),
        )

    def _inputs(self, request: JobRequest) -> Path | None:
        if not request.has_inputs:
            return None
        place = self.inputs_of(request.attempt_id)
        if not place.is_dir():
            raise Rejected("inputs-missing")
        return place

    def _states(self) -> list[RunState]:
        states = self._runs.states_now(self._runs.all_ids_now(), resume=False)
        return [state for state in states if state is not None]

    def _require_disk(self) -> None:
        """A full disk would cost us end records: refuse new work first."""
        disk = os.statvfs(self._runs.root)
        if disk.f_bavail * disk.f_frsize < _DISK_RESERVE_MB * 2**20 or not os.access(self._runs.root, os.W_OK):
            raise Unavailable("disk-full", maybe_done=False)

    def _ref(self, attempt_id: UUID) -> Ref:
        return Ref(backend=self._name, attempt_id=attempt_id, native_id=str(attempt_id))

    def _is_ours(self, ref: Ref) -> bool:
        return ref == self._ref(ref.attempt_id)


def _argv(script: Script) -> list[str | FilePath]:
    if script.launch is not None:
        return ["/bin/sh", FilePath(_LAUNCH), FilePath(_SCRIPT), *script.arguments]
    program = [FilePath(_SCRIPT)] if script.body.startswith(b"#!") else ["/bin/sh", FilePath(_SCRIPT)]
    return [*program, *script.arguments]


def _launch_file(script: Script) -> dict[str, bytes]:
    return {} if script.launch is None else {_LAUNCH: torchrun(script.launch, nodes=1).encode()}
