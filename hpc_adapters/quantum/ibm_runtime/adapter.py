"""One IBM Quantum device behind the port. Nothing of the vendor's library is loaded here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from uuid import NAMESPACE_OID, UUID, uuid5

from hpc_adapters.confined.runs import ConfinedRuns
from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Circuit,
    Feature,
    Health,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    SessionHold,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.devices import Device, ServiceEstimate
from hpc_adapters.errors import BackendError, Forgotten, Unavailable
from hpc_adapters.keeping import GONE, Freed, Past
from hpc_adapters.quantum.bridge import Bridge
from hpc_adapters.quantum.ibm_runtime import device, results
from hpc_adapters.quantum.ibm_runtime.checks import check_circuit, check_request
from hpc_adapters.quantum.ibm_runtime.jobs import Jobs, ids_to_look_at
from hpc_adapters.quantum.ibm_runtime.parts import Parts, closed_because
from hpc_adapters.quantum.ibm_runtime.sessions import Sessions
from hpc_adapters.quantum.ibm_runtime.settings import IbmSettings
from hpc_adapters.quantum.ibm_runtime.store import RESULT, STDOUT, AttemptStore, Record
from hpc_adapters.quantum.ibm_runtime.translation import Translator
from hpc_adapters.quantum.ibm_runtime.usage import Accounts

_DEADLINE_S = 60.0
"""Of a call of the bridge: some have several requests, each with its own limit."""
_FRESH_S = 15.0
_ESTIMATES = 256


class IbmBackend:
    """Safe to have in several processes over one `root`; one of them should submit."""

    def __init__(
        self,
        settings: IbmSettings,
        *,
        root: Path,
        clock: Callable[[], datetime],
        sandbox: str | None = None,
    ) -> None:
        """`root`: where attempts and translations are kept. `sandbox`: a kind of `confined.sandbox`."""
        self.name = settings.name
        self.settings = settings
        bridge = Bridge(settings.program(), hello=settings.hello, deadline_s=_DEADLINE_S)
        self._parts = Parts(settings, bridge, AttemptStore(root / "attempts"), clock, Past(root / GONE))
        self._runs = ConfinedRuns(root / "translations", clock=clock, kind=sandbox)
        self._translator = Translator(
            self._runs,
            clock=clock,
            translate_s=settings.translate_s,
            translate_mb=settings.translate_mb,
            max_operations=settings.max_operations,
        )
        self._jobs = Jobs(self._parts, self._translator)
        self._sessions = Sessions(self._parts)
        self._accounts = Accounts(self._parts)
        self._estimates: dict[UUID, ServiceEstimate] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self.name,
            isolation=self._runs.isolation,
            payloads=frozenset({Circuit, SessionHold}),
            components=frozenset({"qpu_s", "shot", "session_s"}),
            settle_window_s=self.settings.settle_window_s,
            accounting_lag_s=self.settings.accounting_lag_s,
            features=frozenset({Feature.SESSION}),
        )

    async def capacity(self) -> Capacity:
        told = await self._parts.bridge.call("state", {})
        free = max(0, await self._parts.room(told["live"]))
        return Capacity(
            at=self._parts.clock(),
            total=Resources(qpus=self.settings.slots),
            free=Resources(qpus=free),
            online=closed_because(told) is None,
        )

    async def submit(self, request: JobRequest) -> Ref:
        """`Rejected` codes: those of `checks`, `workloads.circuit_refusals`, and 'session-over', 'qpu-cap-too-small',
        'result-too-large', 'vendor-refused', 'vendor-cannot-run'.
        """
        check_request(request, self.settings, self.capabilities())
        if (known := self._forgotten(request.attempt_id)) is not None:
            return known
        if isinstance(request.payload, SessionHold):
            return await self._sessions.submit(request, request.payload)
        assert isinstance(request.payload, Circuit)
        return await self._jobs.submit(request, request.payload)

    async def find(self, attempt_id: UUID) -> Ref | None:
        record = self._parts.store.record(attempt_id)
        if record is None or record.vendor_id is None:
            return self._forgotten(attempt_id) or await self._jobs.find(attempt_id)
        if record.is_live and not await self._is_known(record):
            return None
        return self._parts.ref(attempt_id, record.vendor_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        live = await self._parts.live()
        records = [await self._record(ref) for ref in refs]
        looks = await self._parts.bridge.call("look", {"jobs": ids_to_look_at(records)})
        answers: list[Observation | Forgotten] = []
        for ref, record in zip(refs, records, strict=True):
            if record is None or record.vendor_id != ref.native_id:
                answers.append(Forgotten(ref.attempt_id))
            elif record.is_session:
                answers.append(await self._sessions.observe(ref, record, live))
            else:
                answers.append(await self._jobs.observe(ref, record, looks.get(ref.native_id)))
        return answers

    async def cancel(self, ref: Ref) -> None:
        record = await self._known(ref)
        if not record.is_live:
            return
        await (self._sessions if record.is_session else self._jobs).cancel(record)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        """`qpu_s` as IBM charges it (`usage.charged`), `shot` of what succeeded, `session_s` of each session."""
        return await self._accounts.rows(window)

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        """The first stream tells what became of the job; there is no stderr. The result is here from the end on."""
        record = await self._known(ref)
        if record.is_live and not await self._is_known(record):
            raise Forgotten(ref.attempt_id)
        name = {Stream.STDOUT: STDOUT, Stream.RESULT: RESULT}.get(stream)
        data, size = (b"", 0) if name is None else self._parts.store.read(ref.attempt_id, name, offset, limit)
        if stream is Stream.RESULT and record.end is None:
            data, size = b"", 0
        after = offset + len(data)
        return LogChunk(data=data, offset=offset, next_offset=after, ended=record.end is not None and after >= size)

    async def health(self) -> Health:
        now = self._parts.clock()
        try:
            told = await self._parts.bridge.call("state", {})
        except BackendError as problem:
            return Health(ok=False, checked_at=now, detail=getattr(problem, "detail", str(problem)))
        return Health(ok=True, checked_at=now, detail=closed_because(told) or "")

    async def close(self) -> None:
        """Jobs and sessions go on at IBM."""
        await self._parts.bridge.close()

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        records = await asyncio.to_thread(self._parts.store.records)
        left = [told for record in records if (told := self._accounts.left(record)) is not None]
        left.sort(key=lambda told: told.ended_at)
        return [told.attempt_id for told in left if told.ended_at < moment]

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        """IBM keeps its jobs as it likes: none of these is taken for a new one."""
        return await asyncio.to_thread(self._forget, attempt_ids)

    # -- the device ----------------------------------------------------------------------------------------------------

    async def device(self) -> Device:
        return device.device_of(
            await self._parts.device(max_age_s=_FRESH_S),
            name=self.name,
            domestic=self.settings.domestic,
            sessions=self.settings.sessions,
            now=self._parts.clock(),
        )

    async def estimate(self, circuit: Circuit) -> ServiceEstimate:
        """By translation; by the model where that takes too long just now."""
        check_circuit(circuit, self.settings)
        calibration_id = await self._parts.calibration_id()
        digest = sha256(f"{circuit.shots} {calibration_id} ".encode() + circuit.program).hexdigest()
        number = uuid5(NAMESPACE_OID, digest)
        if number not in self._estimates:
            try:
                isa = await self._translator.isa(
                    number,
                    circuit.program,
                    tenant=None,
                    shots=circuit.shots,
                    seed=1,
                    target=device.target_of(await self._parts.device()),
                    wait_s=self.settings.translate_wait_s,
                )
            except Unavailable:
                model = {"base_us": self.settings.base_us, "per_kshot_us": self.settings.per_kshot_us}
                return results.model(circuit.shots, **model)
            self._keep(number, self._jobs.estimate(isa, calibration_id))
        return self._estimates[number]

    def _keep(self, number: UUID, estimate: ServiceEstimate) -> None:
        self._translator.forget(number)
        while len(self._estimates) >= _ESTIMATES:
            del self._estimates[next(iter(self._estimates))]
        self._estimates[number] = estimate

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        records = [record for each in attempt_ids if (record := self._parts.store.record(each)) is not None]
        left = [told for record in records if (told := self._accounts.left(record)) is not None]
        self._parts.gone.note(left)
        for told in left:
            self._translator.forget(told.attempt_id)
        return Freed(len(left), sum(self._parts.store.remove(told.attempt_id) for told in left))

    def _forgotten(self, attempt_id: UUID) -> Ref | None:
        left = self._parts.gone.find(attempt_id)
        return None if left is None else self._parts.ref(attempt_id, left.native_id)

    async def _record(self, ref: Ref) -> Record | None:
        """As it is kept here, or found at IBM."""
        record = self._parts.store.record(ref.attempt_id)
        if record is None and self._forgotten(ref.attempt_id) is not None:
            return None
        if record is None or record.vendor_id is None:
            if await self._jobs.find(ref.attempt_id) is None:
                return None
            record = self._parts.store.record(ref.attempt_id)
        return record

    async def _known(self, ref: Ref) -> Record:
        record = await self._record(ref)
        if ref.backend != self.name or record is None or record.vendor_id != ref.native_id:
            raise Forgotten(ref.attempt_id)
        return record

    async def _is_known(self, record: Record) -> bool:
        if record.is_session:
            return await self._parts.bridge.call("session", {"id": record.vendor_id}) is not None
        looks = await self._parts.bridge.call("look", {"jobs": [record.vendor_id]})
        return looks[record.vendor_id] is not None
