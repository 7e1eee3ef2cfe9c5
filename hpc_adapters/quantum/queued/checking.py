"""The confined check of a tenant's program, and the plan that it leaves: which programs the vendor is to run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns, StartInterrupted
from hpc_adapters.contract import Circuit, Isolation, Stream
from hpc_adapters.errors import Unavailable
from hpc_adapters.quantum.confining import workload
from hpc_adapters.quantum.queued.settings import QueuedSettings
from hpc_adapters.quantum.refusing import refusal_in

Json = dict[str, Any]
Job = Callable[[Circuit], Awaitable[Mapping[str, object]]]
Read = Callable[[Json], Json | None]
RESULT_BYTES: Final = 32 * 2**20
_WALLTIME_S: Final = 120
_LOOK_S: Final = 0.05
_ESTIMATES: Final = UUID("6f717470-7573-4000-8000-000000000000")


class NotPlanned(Exception):
    """The program was refused inside. `code` of `circuit_refusals`, `result` as the program left it."""

    def __init__(self, code: str, facts: dict[str, object], result: bytes, state: RunState) -> None:
        super().__init__(code)
        self.code, self.facts, self.result, self.state = code, facts, result, state


class Checking:
    """Checks under one root. A check that was begun goes on by itself, whoever waits for it."""

    def __init__(
        self,
        root: Path,
        settings: QueuedSettings,
        *,
        module: str,
        job: Job,
        clock: Callable[[], datetime],
        sandbox: str | None,
        read: Read | None = None,
    ) -> None:
        """`module`: the workload, which is given what `job` says.

        `read`: from what it leaves to the plan, {"runs": [one for each of the vendor's jobs], ...}; None: it has left
        no plan. Without `read` it leaves the plan itself. `job` may raise Unavailable.
        """
        self._runs = ConfinedRuns(root, clock=clock, kind=sandbox)
        self._settings, self._module, self._job = settings, module, job
        self._read = read or _as_it_is
        self._estimating: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        """Of two questions for the same program the second does not find what the first has just removed."""

    @property
    def isolation(self) -> Isolation:
        """What the walls are good for."""
        return self._runs.isolation

    async def plan(self, attempt_id: UUID, tenant: str, circuit: Circuit) -> Json:
        """The plan of an attempt, from the check that was made or is made now.

        NotPlanned. Unavailable, maybe_done False: it is not done in time; a repetition takes up where this one left.
        """
        try:
            return await self._planned(attempt_id, tenant, circuit)
        except (OSError, StartInterrupted) as error:
            raise Unavailable(f"check-not-started: {type(error).__name__}", maybe_done=False) from error

    async def known(self, attempt_id: UUID) -> Json | None:
        """The plan of an attempt that was checked before; None: there is none, or it was refused."""
        state = await self._runs.state(attempt_id)
        if state is None or not state.is_over:
            return None
        return self._read(await self._told(attempt_id))

    def leave_now(self, attempt_ids: Sequence[UUID]) -> int:
        """Remove the checks of attempts that are over, for a caller in a thread: the bytes that they had."""
        states = self._runs.states_now(attempt_ids, resume=False)
        return self._runs.leave_now([state.attempt_id for state in states if state and state.is_over]).bytes

    async def estimate(self, circuit: Circuit) -> Json:
        """The plan of a program that is nobody's attempt yet. As `plan`. What was said is not kept."""
        twin = uuid5(_ESTIMATES, f"{circuit.shots} {circuit.program.hex()}")
        async with self._estimating.setdefault(twin, asyncio.Lock()):
            self._runs.look_again(twin)
            try:
                plan = await self.plan(twin, "estimates", circuit)
            except NotPlanned:
                await asyncio.to_thread(self._runs.forget_now, twin)
                raise
            await asyncio.to_thread(self._runs.forget_now, twin)
            return plan

    async def _planned(self, attempt_id: UUID, tenant: str, circuit: Circuit) -> Json:
        if await self._runs.state(attempt_id) is None:
            job = json.dumps(await self._job(circuit)).encode()
            await self._runs.start(self._spec(attempt_id, tenant, circuit, job))
        state = await self._ended(attempt_id)
        told = await self._told(attempt_id)
        plan = self._read(told)
        if plan is not None:
            return plan
        code, facts = refusal_in(told) or ("check-failed", {})
        raise NotPlanned(code, facts, json.dumps(told).encode(), state)

    async def _ended(self, attempt_id: UUID) -> RunState:
        try:
            async with asyncio.timeout(self._settings.check_s):
                while True:
                    state = await self._runs.state(attempt_id)
                    if state is not None and state.is_over:
                        return state
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise Unavailable("check-not-done", maybe_done=False) from None

    def _spec(self, attempt_id: UUID, tenant: str, circuit: Circuit, job: bytes) -> RunSpec:
        return workload(
            self._module,
            attempt_id=attempt_id,
            tenant=tenant,
            job=job,
            program=circuit.program,
            walltime_s=_WALLTIME_S,
            memory_mb=self._settings.memory_mb,
            cpus=self._settings.cpus,
            result_bytes=RESULT_BYTES,
        )

    async def _told(self, attempt_id: UUID) -> Json:
        chunk = await self._runs.read(attempt_id, Stream.RESULT, 0, RESULT_BYTES)
        try:
            told = json.loads(chunk.data) if chunk is not None else {}
        except (ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}


def _as_it_is(told: Json) -> Json | None:
    return told if "runs" in told else None
