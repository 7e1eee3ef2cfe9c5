"""A tenant's program translated for the device, in a confined process. Nothing of qiskit is loaded here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from hpc_adapters.confined.admission import admission, admit_tenant
from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
from hpc_adapters.contract import Isolation, Seen, Stream
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.confining import workload
from hpc_adapters.quantum.refusing import refusal_in

_RESULT_BYTES: Final = 32 * 2**20
_LOOK_S: Final = 0.05
_AT_A_TIME: Final = 2
_KEPT_S: Final = 86_400


class Translator:
    """Translations are confined runs: they go on when this process dies, and are found again by whoever asks."""

    def __init__(
        self,
        runs: ConfinedRuns,
        *,
        clock: Callable[[], datetime],
        translate_s: int,
        translate_mb: int,
        max_operations: int,
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._translate_s = translate_s
        self._translate_mb = translate_mb
        self._max_operations = max_operations
        self._again: dict[UUID, int] = {}
        self._room = asyncio.Semaphore(_AT_A_TIME)

    async def isa(
        self,
        attempt_id: UUID,
        program: bytes,
        *,
        tenant: str | None,
        shots: int,
        seed: int,
        target: Mapping[str, Any],
        wait_s: float,
    ) -> Mapping[str, Any]:
        """What `transpile_circuit` writes. Repeated with the same id: the same translation.

        Rejected: the program's fault, by the code that says why. Unavailable('translating'): it takes longer than
        `wait_s`, and goes on; ask again. `tenant` None: nobody's, for an estimate.
        """
        run_id = self._run_id(attempt_id)
        async with self._room:
            if await self._runs.state(run_id) is None:
                job = {"target": target, "shots": shots, "seed": seed}
                await self._start(run_id, program, tenant, job)
            state = await self._waited(run_id, wait_s)
        if not state.is_over:
            raise Unavailable("translating", maybe_done=False)
        return await self._outcome(attempt_id, state)

    def forget(self, attempt_id: UUID) -> None:
        """Its files are removed: it was handed over, or has ended."""
        self._runs.forget_now(self._run_id(attempt_id))

    def may_repeat(self, attempt_id: UUID) -> bool:
        """Whether it was translated once only, as far as this process knows."""
        return attempt_id not in self._again

    def discard(self, attempt_id: UUID) -> None:
        """The next `isa` translates again."""
        self.forget(attempt_id)
        self._again[attempt_id] = self._again.get(attempt_id, 0) + 1

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _run_id(self, attempt_id: UUID) -> UUID:
        return uuid5(attempt_id, f"translation-{self._again.get(attempt_id, 0)}")

    async def _start(self, run_id: UUID, program: bytes, tenant: str | None, job: Mapping[str, Any]) -> None:
        told = {**job, "max_operations": self._max_operations, "result_bytes": _RESULT_BYTES}
        spec = workload(
            "transpile_circuit",
            attempt_id=run_id,
            tenant=tenant or "",
            job=json.dumps(told).encode(),
            program=program,
            walltime_s=self._translate_s,
            memory_mb=self._translate_mb,
            grace_s=1.0,
            result_bytes=_RESULT_BYTES,
        )
        try:
            await asyncio.to_thread(self._accept, spec, tenant)
        except (OSError, StartInterrupted) as error:
            raise Unavailable(f"translation-not-started-{type(error).__name__}", maybe_done=False) from error

    def _accept(self, spec: RunSpec, tenant: str | None) -> None:
        self._sweep()
        if tenant is not None and self._runs.isolation is Isolation.SINGLE_TENANT:
            with admission(self._runs.root):
                admit_tenant(self._runs.root, tenant)
        self._runs.start_now(spec)

    def _sweep(self) -> None:
        """What nobody came back for goes after a day."""
        for run_id in self._runs.all_ids_now():
            place = self._runs.root / str(run_id)
            with suppress(FileNotFoundError):
                if self._clock().timestamp() - place.stat().st_mtime > _KEPT_S:
                    self._runs.forget_now(run_id)

    async def _waited(self, run_id: UUID, wait_s: float) -> RunState:
        until = asyncio.get_running_loop().time() + wait_s
        while True:
            state = await self._runs.state(run_id)
            if state is None:
                raise Unavailable("translation-gone", maybe_done=False)
            if state.is_over or asyncio.get_running_loop().time() > until:
                return state
            await asyncio.sleep(_LOOK_S)

    async def _outcome(self, attempt_id: UUID, state: RunState) -> Mapping[str, Any]:
        match state.ending:
            case Seen.SUCCEEDED | Seen.FAILED:
                told = await self._result(state)
            case Seen.TIMED_OUT:
                raise Rejected("cannot-translate", reason="time", max_s=self._translate_s)
            case Seen.OUT_OF_MEMORY:
                raise Rejected("cannot-translate", reason="memory", max_mb=self._translate_mb)
            case _:
                told = {}
        refused = refusal_in(told)
        if refused is not None and refused[0] != "device-failed":
            raise Rejected(refused[0], **refused[1])
        if told.get("format") != "kyoyo.isa/1":
            self.discard(attempt_id)
            raise Unavailable("translation-failed", maybe_done=False)
        return told

    async def _result(self, state: RunState) -> dict[str, Any]:
        chunk = await self._runs.read(state.attempt_id, Stream.RESULT, 0, _RESULT_BYTES)
        try:
            told = json.loads(chunk.data) if chunk is not None else {}
        except (ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}
