"""What a program will need of a device, by translating it in a confined process; else by the model.

A translation is a run in a root of its own, under an id made of the program, the settings and the calibration: looked
for before it is started, so the same question is answered once, by this process and by all after it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
from hpc_adapters.contract import Circuit, Seen, Stream
from hpc_adapters.devices import EstimateSource, ServiceEstimate
from hpc_adapters.errors import Rejected
from hpc_adapters.quantum.aer.device import ServiceTime
from hpc_adapters.quantum.aer.requests import Device, check_circuit, estimate_run
from hpc_adapters.quantum.refusing import refusal_in
from hpc_adapters.workloads.circuit_refusals import DEVICE_CODES

_AT_ONCE: Final = 2
_KEPT: Final = 256
_LOOK_S: Final = 0.05
_RESULT_BYTES: Final = 65_536


class Estimator:
    """Of one device."""

    def __init__(self, root: Path, *, clock: Callable[[], datetime], sandbox: str | None) -> None:
        self._runs = ConfinedRuns(root, clock=clock, kind=sandbox)
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._turns: dict[UUID, int] = {}
        """How often a translation was begun that said nothing, by the id of the first."""

    async def estimate(self, circuit: Circuit, device: Device) -> ServiceEstimate:
        """`Rejected`: it could not run here."""
        service = check_circuit(circuit, device.settings)
        first = estimate_run(circuit, service, device)
        turn = self._turns.get(first.attempt_id, 0)
        spec = first if turn == 0 else estimate_run(circuit, service, device, turn=turn)
        told = await self._translated(spec, device.settings.estimate_s)
        if not told:  # a machine that was busy is no answer to keep
            self._turns = {**dict(list(self._turns.items())[-_KEPT:]), first.attempt_id: turn + 1}
        refused = refusal_in(told)
        if refused is not None and refused[0] not in DEVICE_CODES:
            raise Rejected(refused[0], **refused[1])
        return estimate_of(told.get("estimate"), service, device)

    async def _translated(self, spec: RunSpec, patience_s: float) -> dict[str, Any]:
        """What the program said; empty where it could not say anything in time."""
        async with self._free:
            if await self._runs.state(spec.attempt_id) is None:
                await asyncio.to_thread(self._make_room)
            with suppress(OSError, StartInterrupted):
                await self._runs.start(spec)
            state = await self._ended(spec, patience_s)
        if state is None or state.ending not in {Seen.SUCCEEDED, Seen.FAILED}:
            return {}
        chunk = await self._runs.read(spec.attempt_id, Stream.RESULT, 0, _RESULT_BYTES)
        with suppress(ValueError, RecursionError):
            told = json.loads(b"" if chunk is None else chunk.data)
            return told if isinstance(told, dict) else {}
        return {}

    async def _ended(self, spec: RunSpec, patience_s: float) -> RunState | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while loop.time() < until:
            state = await self._runs.state(spec.attempt_id)
            if state is None or state.is_over:
                return state
            await asyncio.sleep(_LOOK_S)
        return None

    def _make_room(self) -> None:
        """Forget the oldest that are over; nobody's accounting depends on them."""
        states = [state for state in self._runs.states_now(self._runs.all_ids_now()) if state is not None]
        over = sorted((state for state in states if state.is_over), key=lambda state: state.accepted_at)
        for state in over[: max(0, len(states) - _KEPT)]:
            self._runs.forget_now(state.attempt_id)


def estimate_of(told: object, service: ServiceTime, device: Device) -> ServiceEstimate:
    """From what the translation said. The device charges by its model, so the range always holds it: of a simulator,
    which has no QPU time, 0.
    """
    figures: dict[str, Any] = told if isinstance(told, dict) else {}
    model_us, execution_us = service.full_us, figures.get("execution_us")
    by_durations, other_us = False, model_us
    if isinstance(execution_us, int | float) and not device.settings.is_simulator:
        by_durations, other_us = True, service.base_us + round(execution_us)
    return ServiceEstimate(
        low_us=min(model_us, other_us),
        high_us=max(model_us, other_us),
        source=EstimateSource.DURATIONS if by_durations else EstimateSource.MODEL,
        qubits=figures.get("qubits"),
        depth=figures.get("depth"),
        two_qubit_gates=figures.get("two_qubit_gates"),
        calibration_id=None if device.calibration is None else device.calibration.id,
    )
