"""The port over one device of a vendor with a queue of its own. The vendor's part is a `Vendor`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.confined.admission import admit_tenant
from hpc_adapters.confined.times import from_us, to_us
from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Circuit,
    Health,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.devices import Device, DeviceState, EstimateSource, ServiceEstimate
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.keeping import GONE, Freed, Past, together
from hpc_adapters.programs import Format, ProgramRefused, document_of, format_of
from hpc_adapters.pubs import work_in
from hpc_adapters.quantum.mitigation import refuse_mitigation
from hpc_adapters.quantum.queued.attempts import Attempts
from hpc_adapters.quantum.queued.checking import Checking, NotPlanned
from hpc_adapters.quantum.queued.keeper import QueuedKeeper
from hpc_adapters.quantum.queued.records import Accepted, Json, Records
from hpc_adapters.quantum.queued.settings import QueuedSettings
from hpc_adapters.quantum.queued.telling import Telling
from hpc_adapters.quantum.queued.vendor import Gone, Vendor
from hpc_adapters.quantum.sizes import check_size

_ABANDONED: Final = timedelta(minutes=5)
_SOON: Final = timedelta(days=7)


class QueuedBackend:
    """Implements `contract.Backend` and `devices.Devices`. Several processes may have one over the same root."""

    def __init__(
        self,
        settings: QueuedSettings,
        *,
        root: Path,
        vendor: Vendor,
        checking: Checking,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._vendor, self._checking, self._clock = settings, vendor, checking, clock
        self._records = Records(root / "attempts")
        self._attempts = Attempts(settings, vendor=vendor, records=self._records, checking=checking, clock=clock)
        self._telling = Telling(settings, attempts=self._attempts, records=self._records, clock=clock)
        self._gone = Past(root / GONE)
        self._keeper = QueuedKeeper(
            records=self._records, telling=self._telling, checking=checking, vendor=vendor, past=self._gone
        )
        self._root = root
        self._submitting: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._door = asyncio.Lock()

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self._settings.name,
            isolation=self._checking.isolation,
            payloads=frozenset({Circuit}),
            components=frozenset({"qpu_s", "shot"}),
            settle_window_s=self._settings.settle_window_s,
            accounting_lag_s=5.0,
        )

    async def capacity(self) -> Capacity:
        device = await self.device()
        free = max(0, self._settings.slots - self._busy())
        return Capacity(
            at=device.observed_at,
            total=Resources(qpus=self._settings.slots),
            free=Resources(qpus=free),
            online=device.state is DeviceState.ONLINE,
        )

    async def submit(self, request: JobRequest) -> Ref:
        """`Rejected` codes: those of `programs`, and 'unsupported-payload', 'too-large', 'invalid-resources',
        'invalid-shots', 'invalid-walltime', 'qpu-cap-too-small', 'executions-differ', 'refused-by-vendor',
        'single-tenant-backend'. What the confined check refuses has FAILED, with its code as the detail.
        """
        circuit = self._checked(request)
        async with self._one_at_a_time(request.attempt_id):
            if (known := self._over(request.attempt_id)) is not None:
                return known
            jobs = await self._attempts.adopt(request.attempt_id)
            if jobs is None:
                plan = await self._prepare(request, circuit)
                if plan is None:
                    return self._telling.ref(request.attempt_id)
                if not plan["runs"]:  # an estimator of numbers alone
                    await self._attempts.finish_here(request.attempt_id, plan)
                    return self._telling.ref(request.attempt_id)
                jobs = await self._attempts.register(request.attempt_id, plan)
            else:
                plan = await self._checking.known(request.attempt_id)
            await self._attempts.hand_over(request.attempt_id, jobs, plan)
            return self._telling.ref(request.attempt_id)

    async def find(self, attempt_id: UUID) -> Ref | None:
        if (known := self._over(attempt_id)) is not None:
            return known
        jobs = await self._attempts.adopt(attempt_id)
        if jobs is None:
            return None
        try:
            remote = await self._attempts.remote(attempt_id, jobs)
        except Gone:
            return None
        if all(job.seen is None for job in remote):
            return None  # an id was chosen, and nothing was submitted under it
        return self._telling.ref(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        if not refs:
            await self.device()
            return []
        return await asyncio.gather(*(self._telling.observation(ref) for ref in refs))

    async def cancel(self, ref: Ref) -> None:
        if not self._telling.is_known(ref):
            raise Forgotten(ref.attempt_id)
        if self._telling.end(ref.attempt_id) is not None:
            return
        try:
            await self._attempts.cancel(ref.attempt_id, self._records.jobs(ref.attempt_id) or ())
        except Gone:
            raise Forgotten(ref.attempt_id) from None

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        """One record for each attempt that reached the device; `components` as `usage.used` says."""
        rows = await asyncio.gather(*(self._telling.row(attempt_id) for attempt_id in self._records.all_ids()))
        here = [row for row in rows if row is not None and window.touches(row.started_at, row.ended_at)]
        return together(here, await asyncio.to_thread(self._gone.rows, window))

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        return await self._telling.chunk(ref, stream, offset, limit)

    async def health(self) -> Health:
        try:
            device = await self.device()
            expires = await self._vendor.expires()
        except Unavailable as away:
            return Health(ok=False, checked_at=self._clock(), detail=away.detail)
        detail = f"device {device.state.value}" + (f", {device.queue} waiting" if device.queue is not None else "")
        if expires is not None and expires - self._clock() < _SOON:
            detail += f"; the token expires at {expires.isoformat()}"
        if self._checking.isolation is Isolation.SINGLE_TENANT:
            detail += "; no-isolation: one organisation only"
        return Health(ok=True, checked_at=self._clock(), detail=detail)

    async def close(self) -> None:
        await self._vendor.close()

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        return await self._keeper.ended_before(moment)

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        return await self._keeper.forget(attempt_ids)

    # -- the device ---------------------------------------------------------------------------------------------------

    async def device(self) -> Device:
        return await self._vendor.device()

    async def estimate(self, circuit: Circuit) -> ServiceEstimate:
        """By the durations of the translated program where the plan has them, else by the model for its jobs."""
        self._check_program(circuit)
        try:
            plan = await self._checking.estimate(circuit)
        except NotPlanned as refused:
            raise Rejected(refused.code, **refused.facts) from refused
        model_us, told_us = self._asked(circuit).model_us(len(plan["runs"])), plan.get("device_us")
        device = await self.device()
        self._check_cap(circuit, model_us if told_us is None else told_us)
        return ServiceEstimate(
            low_us=model_us if told_us is None else told_us,
            high_us=model_us if told_us is None else max(model_us, told_us),
            source=EstimateSource.MODEL if told_us is None else EstimateSource.DURATIONS,
            qubits=plan["qubits"],
            depth=plan.get("depth"),
            calibration_id=device.calibration.id if device.calibration else None,
        )

    # -- submitting ---------------------------------------------------------------------------------------------------

    def _checked(self, request: JobRequest) -> Circuit:
        circuit = request.payload
        if not isinstance(circuit, Circuit):
            raise Rejected("unsupported-payload", payload=type(circuit).__name__.lower())
        refuse_unoffered(request, self.capabilities())
        check_size(request, slots=self._settings.slots)
        self._check_program(circuit)
        self._check_cap(circuit, self._asked(circuit).model_us(1))
        return circuit

    def _check_program(self, circuit: Circuit) -> None:
        """What can be known without parsing."""
        shots = executions = circuit.shots
        try:
            if format_of(circuit.program) is Format.PUBS:
                document = document_of(circuit.program)
                refuse_mitigation(document.options)
                work = work_in(document)
                shots, executions = work.shots, work.executions
        except ProgramRefused as refused:
            raise Rejected(refused.code, **refused.facts) from refused
        if executions != circuit.shots:
            raise Rejected("executions-differ", declared=circuit.shots, counted=executions)
        if not 1 <= shots <= self._settings.max_shots:
            raise Rejected("invalid-shots", shots=shots, max_shots=self._settings.max_shots)
        if executions > self._settings.max_executions:
            raise Rejected("too-many-executions", asked=executions, limit=self._settings.max_executions)

    @staticmethod
    def _check_cap(circuit: Circuit, needed_us: int) -> None:
        if circuit.max_qpu_us is not None and needed_us > circuit.max_qpu_us:
            raise Rejected("qpu-cap-too-small", needed_us=needed_us, max_qpu_us=circuit.max_qpu_us)

    def _asked(self, circuit: Circuit, request: JobRequest | None = None, device: Device | None = None) -> Accepted:
        calibration = device.calibration if device else None
        return Accepted(
            tenant=request.tenant if request else "",
            walltime_s=request.walltime_s if request else 0,
            shots=circuit.shots,
            max_qpu_us=circuit.max_qpu_us,
            base_us=self._settings.base_us,
            per_kshot_us=self._settings.per_kshot_us,
            calibration_id=calibration.id if calibration else None,
            at_us=to_us(self._clock()),
        )

    async def _prepare(self, request: JobRequest, circuit: Circuit) -> Json | None:
        """The plan of a new attempt, which has a slot from now on. None: the check has refused it, and it has ended."""
        device = await self.device()
        if device.state is not DeviceState.ONLINE:
            raise Unavailable(f"device-{device.state.value}", maybe_done=False)
        attempt_id, asked = request.attempt_id, self._asked(circuit, request, device)
        async with self._door:
            self._admit_tenant(request.tenant)
            if self._records.accepted(attempt_id) is None and self._busy() >= self._settings.slots:
                raise Unavailable("no-room", maybe_done=False)
            self._records.accept(attempt_id, asked)
        try:
            plan = await self._checking.plan(attempt_id, request.tenant, circuit)
            self._check_cap(circuit, asked.model_us(len(plan["runs"])))
        except NotPlanned as refused:
            began = refused.state.started_at or refused.state.accepted_at
            self._attempts.refuse(
                attempt_id,
                code=refused.code,
                result=refused.result,
                started_at=began,
                ended_at=refused.state.ended_at or began,
            )
            return None
        except BaseException:
            self._records.discard(attempt_id)
            raise
        return plan

    def _over(self, attempt_id: UUID) -> Ref | None:
        """Of one that has ended, also where it was forgotten: it is never handed over again."""
        if self._telling.end(attempt_id) is not None:
            return self._telling.ref(attempt_id)
        left = self._gone.find(attempt_id)
        return None if left is None else Ref(self._settings.name, attempt_id, left.native_id)

    def _admit_tenant(self, tenant: str) -> None:
        """Where the check has no walls, the first organisation has the backend for good."""
        if self._checking.isolation is Isolation.SINGLE_TENANT:
            admit_tenant(self._root, tenant)
            others = {known.tenant for i in self._records.all_ids() if (known := self._records.accepted(i))}
            if others - {tenant, ""}:
                raise Rejected("single-tenant-backend")

    def _busy(self) -> int:
        """Slots that are taken. What was accepted and never handed over keeps its slot for a while only."""
        now, busy = self._clock(), 0
        for attempt_id in self._records.all_ids():
            if (
                self._telling.end(attempt_id) is not None
            ):  # it is remembered: most have ended, and cost no look at a file
                continue
            accepted = self._records.accepted(attempt_id)
            if accepted is None:
                continue
            is_fresh = now - from_us(accepted.at_us) < _ABANDONED
            busy += is_fresh or self._records.is_handed(attempt_id)
        return busy

    @asynccontextmanager
    async def _one_at_a_time(self, attempt_id: UUID) -> AsyncIterator[None]:
        """Of two calls for one attempt the second finds what the first has done."""
        lock = self._submitting[attempt_id]
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._submitting.pop(attempt_id, None)
