"""Circuits and sessions on qiskit-aer, each in a confined process, behind the port. Loads nothing of qiskit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from hpc_adapters.confined.admission import admission, admit_tenant
from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Circuit,
    Feature,
    Health,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    Seen,
    SessionHold,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.devices import Calibration, DeviceState, ServiceEstimate
from hpc_adapters.devices import Device as DeviceNow
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.keeping import GONE, Freed, Left, Past, together
from hpc_adapters.pubs import MAX_CIRCUITS
from hpc_adapters.quantum.aer import sessions
from hpc_adapters.quantum.aer.calibrations import CalibrationFile
from hpc_adapters.quantum.aer.device import DeviceSettings
from hpc_adapters.quantum.aer.estimating import Estimator
from hpc_adapters.quantum.aer.requests import Device, circuit_run, seed_of, session_run
from hpc_adapters.quantum.aer.translate import refusal_code, seen
from hpc_adapters.quantum.aer.usage import circuit_row, session_row
from hpc_adapters.quantum.sizes import check_size

__all__ = ["AerBackend", "seed_of"]

_HEAD_BYTES = 65_536  # of stdout: the program prints a handful of lines
_ESTIMATES, _CALIBRATIONS = ".estimates", ".calibrations"


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
        """`sandbox`: a kind of `confined.sandbox` instead of the best that works here. CalibrationUnreadable."""
        self.name = name
        self.device_settings = device
        self._runs = ConfinedRuns(root, clock=clock, kind=sandbox)
        self._estimator = Estimator(root / _ESTIMATES, clock=clock, sandbox=sandbox)
        kept = root / _CALIBRATIONS
        self._file = None
        if device.calibration is not None:
            self._file = CalibrationFile(device.calibration, kept, qubits=device.qubits)
        self._gone = Past(root / GONE)
        self._clock = clock
        self._grace_s = grace_s
        self._rows: dict[UUID, UsageRow | None] = {}
        """Of ended circuits and sessions, which never change; None: it never started."""
        self._details: dict[UUID, str] = {}

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self.name,
            isolation=self._runs.isolation,
            payloads=frozenset({Circuit, SessionHold}),
            components=frozenset({"sim_s" if self.device_settings.is_simulator else "qpu_s", "shot", "session_s"}),
            settle_window_s=0.0,
            accounting_lag_s=1.0,
            features=frozenset({Feature.SESSION}),
        )

    async def capacity(self) -> Capacity:
        """While a session has the device for itself nothing is free but for circuits in it."""
        now, total = self._clock(), self.device_settings.slots
        states = await asyncio.to_thread(self._states)
        taken = total if sessions.dedicated_in(states, now) else sessions.busy(states)
        online = self.device_settings.state_at(now) is DeviceState.ONLINE
        return Capacity(at=now, total=Resources(qpus=total), free=Resources(qpus=max(0, total - taken)), online=online)

    async def submit(self, request: JobRequest) -> Ref:
        """`Rejected` codes: those of `circuit_refusals` that the program alone shows, and 'unsupported-payload',
        'too-large', 'invalid-resources', 'invalid-walltime', 'walltime-too-short', 'session-over',
        'single-tenant-backend'. `Unavailable`: 'no-room', also while a session has the device; 'calibrating',
        'maintenance'.
        """
        if await self._runs.state(request.attempt_id) is None:
            if await asyncio.to_thread(self._gone.find, request.attempt_id) is not None:
                return self._ref(request.attempt_id)  # it ran, and was forgotten
            spec = await asyncio.to_thread(self._checked, request)
            try:
                await asyncio.to_thread(self._accept, request, spec)
            except OSError as error:
                raise Unavailable(f"os-error-{error.errno}", maybe_done=False) from error
        try:
            await asyncio.to_thread(self._runs.set_going_now, request.attempt_id)
        except (OSError, StartInterrupted) as error:
            raise Unavailable("supervisor-not-started", maybe_done=True) from error
        return self._ref(request.attempt_id)

    async def find(self, attempt_id: UUID) -> Ref | None:
        if await self._runs.state(attempt_id) is None and await asyncio.to_thread(self._gone.find, attempt_id) is None:
            return None
        return self._ref(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        states = await self._runs.states([ref.attempt_id for ref in refs])
        return [await self._observation(ref, state) for ref, state in zip(refs, states, strict=True)]

    async def cancel(self, ref: Ref) -> None:
        """Of a session: it is closed, and the circuits in it end with it."""
        if ref != self._ref(ref.attempt_id) or not await self._runs.cancel(ref.attempt_id):
            raise Forgotten(ref.attempt_id)
        state = await self._runs.state(ref.attempt_id)
        if state is not None and sessions.is_session(state):
            await self._end_circuits_of(ref.attempt_id)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        """One record for each circuit that started, `components` as `device.used` says, and for each opened session."""
        rows = [await self._row(attempt_id) for attempt_id in await self._runs.all_ids()]
        here = [row for row in rows if row is not None and window.touches(row.started_at, row.ended_at)]
        return together(here, await asyncio.to_thread(self._gone.rows, window))

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
            await asyncio.to_thread(self._device)
        except OSError as error:
            return Health(ok=False, checked_at=self._clock(), detail=str(error))
        if self._file is not None and self._file.problem:
            detail = f"calibration: {self._file.problem}"  # the one before it stays in use
        return Health(ok=True, checked_at=self._clock(), detail=detail)

    async def close(self) -> None:
        """Nothing is held."""

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        return [state.attempt_id for state in await asyncio.to_thread(self._runs.ended_before_now, moment)]

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        """A circuit goes with its session or after it: from the circuits follows when the session ended."""
        found = {state.attempt_id: state for state in await self._runs.states(attempt_ids) if state and state.is_over}
        here = set(await self._runs.all_ids()) - found.keys()
        going = [state for state in found.values() if sessions.session_of(state) not in here]
        now = self._clock()
        left = [
            Left(each.attempt_id, str(each.attempt_id), each.ended_at or now, await self._row(each.attempt_id))
            for each in going
        ]
        await asyncio.to_thread(self._gone.note, left)
        for each in going:
            self._rows.pop(each.attempt_id, None)
            self._details.pop(each.attempt_id, None)
        return await asyncio.to_thread(self._runs.leave_now, [each.attempt_id for each in going])

    # -- the device ---------------------------------------------------------------------------------------------------

    async def device(self) -> DeviceNow:
        settings, now = self.device_settings, self._clock()
        current = await asyncio.to_thread(self._device)
        return DeviceNow(
            name=settings.name,
            vendor="aer",
            technology=settings.technology,
            qubits=settings.qubits,
            basis_gates=current.basis_gates,
            coupling=current.coupling,
            simulator=True,
            domestic=settings.domestic,
            sessions=True,
            max_shots=settings.max_shots,
            max_circuits=MAX_CIRCUITS,
            state=settings.state_at(now),
            detail="gpu" if settings.gpu else "",
            queue=0,
            windows=tuple(window for window in settings.windows if window.until > now),
            calibration=current.calibration,
            observed_at=now,
        )

    async def estimate(self, circuit: Circuit) -> ServiceEstimate:
        return await self._estimator.estimate(circuit, await asyncio.to_thread(self._device))

    async def calibrations(self) -> Sequence[Calibration]:
        """Every calibration that was ever in use, the oldest first."""
        return [] if self._file is None else await asyncio.to_thread(self._file.history)

    def _device(self) -> Device:
        return Device(self.device_settings, None if self._file is None else self._file.current())

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _ref(self, attempt_id: UUID) -> Ref:
        return Ref(self.name, attempt_id, str(attempt_id))

    def _checked(self, request: JobRequest) -> RunSpec:
        """What can be known without parsing. The rest is refused inside the confined process."""
        payload = request.payload
        if not isinstance(payload, Circuit | SessionHold):
            raise Rejected("unsupported-payload", payload=type(payload).__name__.lower())
        refuse_unoffered(request, self.capabilities())
        check_size(request, slots=self.device_settings.slots)
        if isinstance(payload, SessionHold):
            return session_run(request, payload)
        return circuit_run(request, payload, self._device(), grace_s=self._grace_s)

    def _accept(self, request: JobRequest, spec: RunSpec) -> None:
        """Count what is busy and add one, behind the machine's door. In a thread."""
        with admission(self._runs.root):
            if self._runs.isolation is Isolation.SINGLE_TENANT:
                admit_tenant(self._runs.root, spec.tenant)
            states = self._states()
            if any(state.attempt_id == spec.attempt_id for state in states):
                return  # a twin of this call was quicker
            now = self._clock()
            left_s = self._left_of_session(request, states, now)
            if (offline := self.device_settings.state_at(now)) is not DeviceState.ONLINE:
                raise Unavailable(offline.value, maybe_done=False)
            self._check_room(request, states, now)
            self._runs.accept_now(spec if left_s is None else replace(spec, walltime_s=min(spec.walltime_s, left_s)))

    def _left_of_session(self, request: JobRequest, states: Sequence[RunState], now: datetime) -> float | None:
        """How long the session that it names is still open. None: it names none."""
        if request.session is None:
            return None
        found = [each for each in sessions.sessions_in(states, now) if each.state.attempt_id == request.session]
        if not found or found[0].state.tenant != request.tenant:
            raise Rejected("session-over")
        if found[0].is_waiting:
            raise Unavailable("session-not-open", maybe_done=False)
        if not found[0].is_open:
            raise Rejected("session-over")
        return sessions.left_s(found[0], now)

    def _check_room(self, request: JobRequest, states: Sequence[RunState], now: datetime) -> None:
        holder = sessions.dedicated_in(states, now)
        if holder is not None and holder.state.attempt_id != request.session:
            raise Unavailable("no-room", maybe_done=False)
        wanted = self.device_settings.slots
        if isinstance(request.payload, SessionHold):  # alone on the device, or beside whoever is there
            wanted = 1 if request.payload.dedicated else len(states) + 1
        if sessions.busy(states) >= wanted:
            raise Unavailable("no-room", maybe_done=False)

    def _states(self) -> list[RunState]:
        states = self._runs.states_now(self._runs.all_ids_now(), resume=False)
        return [state for state in states if state is not None]

    async def _end_circuits_of(self, session: UUID) -> None:
        for state in await asyncio.to_thread(self._states):
            if sessions.session_of(state) == session and not state.is_over:
                await self._runs.cancel(state.attempt_id)

    async def _observation(self, ref: Ref, state: RunState | None) -> Observation | Forgotten:
        if state is None or ref != self._ref(ref.attempt_id):
            return Forgotten(ref.attempt_id)
        if sessions.is_session(state):
            return await self._observed_session(ref, state)
        return Observation(
            ref=ref,
            seen=seen(state),
            observed_at=self._clock(),
            started_at=state.started_at,
            ended_at=state.ended_at,
            exit_code=state.exit_code,
            detail=state.detail or await self._refusal(state),
        )

    async def _observed_session(self, ref: Ref, state: RunState) -> Observation:
        session = sessions.look(state, await asyncio.to_thread(self._states), self._clock())
        if session.ended_at is not None:
            await self._end_circuits_of(state.attempt_id)
            if not state.is_over:
                await self._runs.cancel(state.attempt_id)  # idle for too long: what is left of it is a sleeping process
        return Observation(
            ref=ref,
            seen=session.seen(),
            observed_at=self._clock(),
            started_at=state.started_at,
            ended_at=session.ended_at,
            exit_code=0 if session.why else state.exit_code,
            detail=session.why or state.detail,
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
        state, now, name = await self._runs.state(attempt_id), self._clock(), self.device_settings.name
        if state is None:
            return None
        if sessions.is_session(state):
            session = sessions.look(state, await asyncio.to_thread(self._states), now)
            row = session_row(session, device=name, now=now)
            if state.is_over:
                self._rows[attempt_id] = row
            return row
        chunk = await self._runs.read(attempt_id, Stream.STDOUT, 0, _HEAD_BYTES)
        stdout = b"" if chunk is None else chunk.data
        row = circuit_row(state, stdout, device=name, refusal=await self._refusal(state), now=now)
        if state.is_over:
            self._rows[attempt_id] = row
        return row
