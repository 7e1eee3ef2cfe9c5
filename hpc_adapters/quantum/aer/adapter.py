"""Circuits on qiskit-aer, each in a confined process of its own, behind the port. Nothing of qiskit is loaded here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from hpc_adapters.confined.admission import admission, admit_tenant
from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
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
    Seen,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.pubs import Document, ProgramRefused, work_in
from hpc_adapters.quantum.aer.device import DeviceSettings, ServiceTime, used
from hpc_adapters.quantum.aer.translate import execution_began, refusal_code, seen
from hpc_adapters.quantum.confining import workload
from hpc_adapters.workloads.circuit_job import CircuitJob
from hpc_adapters.workloads.program_text import check_any

_MODULE = "run_circuit"
_START_UP_S = 2  # of a job's walltime before it reaches the device
_HEAD_BYTES = 65_536  # of stdout: the program prints a handful of lines


def seed_of(attempt_id: UUID) -> int:
    """The seed of translation and sampling: the first 31 bits of SHA-256 of the attempt id's 16 bytes.

    The same attempt has the same counts wherever and how often it is computed.
    """
    return int.from_bytes(sha256(attempt_id.bytes).digest()[:4], "big") >> 1


class AerBackend:
    """One simulated device. Jobs go on when this object, or its process, dies."""

    def __init__(
        self,
        *,
        name: str,
        root: Path,
        device: DeviceSettings,
        clock: Callable[[], datetime],
        grace_s: float = 2.0,
        sandbox: str | None = None,
    ) -> None:
        """`sandbox`: a kind of `confined.sandbox` instead of the best that works here."""
        self.name = name
        self.device = device
        self._runs = ConfinedRuns(root, clock=clock, kind=sandbox)
        self._clock = clock
        self._grace_s = grace_s
        self._rows: dict[UUID, UsageRow | None] = {}
        """Of ended runs, which never change; None: it never started."""
        self._details: dict[UUID, str] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self.name,
            isolation=self._runs.isolation,
            payloads=frozenset({Circuit}),
            components=frozenset({"qpu_s", "shot"}),
            settle_window_s=0.0,
            accounting_lag_s=1.0,
        )

    async def capacity(self) -> Capacity:
        now = self._clock()
        busy = sum(not state.is_over for state in await asyncio.to_thread(self._states))
        free = max(0, self.device.slots - busy)
        return Capacity(at=now, total=Resources(qpus=self.device.slots), free=Resources(qpus=free))

    async def submit(self, request: JobRequest) -> Ref:
        """`Rejected` codes: those of `circuit_refusals` that the text alone shows, and 'unsupported-payload',
        'too-large', 'invalid-resources', 'invalid-shots', 'invalid-walltime', 'walltime-too-short',
        'single-tenant-backend'.
        """
        if await self._runs.state(request.attempt_id) is None:
            spec = self._checked(request)
            try:
                await asyncio.to_thread(self._accept, spec)
            except OSError as error:
                raise Unavailable(f"os-error-{error.errno}", maybe_done=False) from error
        try:
            await asyncio.to_thread(self._runs.set_going_now, request.attempt_id)
        except (OSError, StartInterrupted) as error:
            raise Unavailable("supervisor-not-started", maybe_done=True) from error
        return self._ref(request.attempt_id)

    async def find(self, attempt_id: UUID) -> Ref | None:
        return None if await self._runs.state(attempt_id) is None else self._ref(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        states = await self._runs.states([ref.attempt_id for ref in refs])
        return [await self._observation(ref, state) for ref, state in zip(refs, states, strict=True)]

    async def cancel(self, ref: Ref) -> None:
        if ref != self._ref(ref.attempt_id) or not await self._runs.cancel(ref.attempt_id):
            raise Forgotten(ref.attempt_id)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        """One record for each circuit that started; `components` as `device.used` says."""
        rows = [await self._row(attempt_id) for attempt_id in await self._runs.all_ids()]
        return [
            row
            for row in rows
            if row is not None
            and row.started_at < window.until
            and (row.ended_at is None or row.ended_at >= window.since)
        ]

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        chunk = None
        if ref == self._ref(ref.attempt_id):
            chunk = await self._runs.read(ref.attempt_id, stream, offset, limit)
        if chunk is None:
            raise Forgotten(ref.attempt_id)
        return chunk

    async def health(self) -> Health:
        detail = "" if self._runs.isolation is Isolation.PER_ATTEMPT else "no-isolation: one organisation only"
        try:
            await self._runs.all_ids()
        except OSError as error:
            return Health(ok=False, checked_at=self._clock(), detail=str(error))
        return Health(ok=True, checked_at=self._clock(), detail=detail)

    async def close(self) -> None:
        """Nothing is held."""

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _ref(self, attempt_id: UUID) -> Ref:
        return Ref(self.name, attempt_id, str(attempt_id))

    def _accept(self, spec: RunSpec) -> None:
        """Count what is busy and add one, behind the machine's door. In a thread."""
        with admission(self._runs.root):
            if self._runs.isolation is Isolation.SINGLE_TENANT:
                admit_tenant(self._runs.root, spec.tenant)
            states = self._states()
            if any(state.attempt_id == spec.attempt_id for state in states):
                return  # a twin of this call was quicker
            if sum(not state.is_over for state in states) >= self.device.slots:
                raise Unavailable("no-room", maybe_done=False)
            self._runs.accept_now(spec)

    def _states(self) -> list[RunState]:
        states = self._runs.states_now(self._runs.all_ids_now(), resume=False)
        return [state for state in states if state is not None]

    def _checked(self, request: JobRequest) -> RunSpec:
        """What can be known without parsing. The rest is refused inside the confined process."""
        circuit = request.payload
        if not isinstance(circuit, Circuit):
            raise Rejected("unsupported-payload", payload=type(circuit).__name__.lower())
        refuse_unoffered(request, self.capabilities())
        self._check_size(request)
        self._check_program(circuit)
        service = self.device.service_time(circuit.shots)
        needed_s = _START_UP_S + -(-service.full_us // 1_000_000)
        if self.device.paced and needed_s > request.walltime_s:
            raise Rejected("walltime-too-short", needed_s=needed_s, walltime_s=request.walltime_s)
        return self._spec(request, circuit, service)

    def _check_program(self, circuit: Circuit) -> None:
        most = self.device.max_shots
        try:
            told = check_any(circuit.program)
        except ProgramRefused as refused:
            raise Rejected(refused.code, **refused.facts) from refused
        shots = circuit.shots
        if isinstance(told, Document):
            executions = work_in(told).executions
            if executions != circuit.shots:
                raise Rejected("executions-differ", asked=executions, declared=circuit.shots)
            shots = max(pub.shots for pub in told.pubs)
        if not 1 <= shots <= most:
            raise Rejected("invalid-shots", shots=shots, max_shots=most)

    def _check_size(self, request: JobRequest) -> None:
        """A circuit takes a QPU and nothing else; more cannot be asked for."""
        for unit, limit in (("gpus", 0), ("cpus", 0), ("memory_mb", 0), ("qpus", self.device.slots)):
            asked = getattr(request.resources, unit)
            if asked < 0:
                raise Rejected("invalid-resources", unit=unit, asked=asked)
            if asked > limit:
                raise Rejected("too-large", unit=unit, asked=asked, limit=limit)
        if request.walltime_s <= 0:
            raise Rejected("invalid-walltime", walltime_s=request.walltime_s)

    def _spec(self, request: JobRequest, circuit: Circuit, service: ServiceTime) -> RunSpec:
        job = _job(self.device, shots=circuit.shots, seed=seed_of(request.attempt_id), service=service)
        return workload(
            _MODULE,
            attempt_id=request.attempt_id,
            tenant=request.tenant,
            job=json.dumps(asdict(job)).encode(),
            program=circuit.program,
            walltime_s=request.walltime_s,
            memory_mb=self.device.memory_mb,
            cpus=self.device.cpus,
            grace_s=self._grace_s,
            facts=asdict(service),
        )

    async def _observation(self, ref: Ref, state: RunState | None) -> Observation | Forgotten:
        if state is None or ref != self._ref(ref.attempt_id):
            return Forgotten(ref.attempt_id)
        return Observation(
            ref=ref,
            seen=seen(state),
            observed_at=self._clock(),
            started_at=state.started_at,
            ended_at=state.ended_at,
            exit_code=state.exit_code,
            detail=state.detail or await self._refusal(state),
        )

    async def _refusal(self, state: RunState) -> str:
        if state.ending is not Seen.FAILED:
            return ""
        if state.attempt_id not in self._details:
            chunk = await self._runs.read(state.attempt_id, Stream.RESULT, 0, _HEAD_BYTES)
            self._details[state.attempt_id] = "" if chunk is None else refusal_code(chunk.data)
        return self._details[state.attempt_id]

    async def _row(self, attempt_id: UUID) -> UsageRow | None:
        if attempt_id in self._rows:
            return self._rows[attempt_id]
        state = await self._runs.state(attempt_id)
        row = None if state is None else await self._row_of(state)
        if state is not None and state.is_over:
            self._rows[attempt_id] = row
        return row

    async def _row_of(self, state: RunState) -> UsageRow | None:
        if state.started_at is None:
            return None
        ending = seen(state)
        began = await self._execution_began(state)
        executed = None if began is None else (state.ended_at or self._clock()) - max(began, state.started_at)
        facts: dict[str, str | int | float] = {"qpus": 1, "device": self.device.name}
        if state.cpu_used_s is not None:
            facts["cpu_used_s"] = state.cpu_used_s
        if state.peak_memory_mb is not None:
            facts["peak_memory_mb"] = state.peak_memory_mb
        return UsageRow(
            natural_key=f"{state.attempt_id}:1",
            attempt_id=state.attempt_id,
            started_at=state.started_at,
            ended_at=state.ended_at,
            final=state.is_over,
            ending=ending,
            components=used(ServiceTime(**_numbers(state)), ending, executed),
            facts=facts,
        )

    async def _execution_began(self, state: RunState) -> datetime | None:
        chunk = await self._runs.read(state.attempt_id, Stream.STDOUT, 0, _HEAD_BYTES)
        return None if chunk is None else execution_began(chunk.data)


def _job(device: DeviceSettings, *, shots: int, seed: int, service: ServiceTime) -> CircuitJob:
    return CircuitJob(
        device=device.name,
        qubits=device.qubits,
        memory_mb=device.memory_mb,
        cpus=device.cpus,
        basis_gates=tuple(device.basis_gates),
        coupling=None if device.coupling is None else tuple(device.coupling),
        max_operations=device.max_operations,
        shots=shots,
        seed=seed,
        service_us=service.full_us,
        base_us=service.base_us,
        max_shots=device.max_shots,
        paced=device.paced,
    )


def _numbers(state: RunState) -> dict[str, int]:
    return {name: value for name, value in state.facts.items() if isinstance(value, int)}
