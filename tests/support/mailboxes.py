"""A simulated machine with mailboxes: what its jobs ask of their QPU, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from hpc_adapters.contract import Capabilities, Feature, JobRequest, Ref
from hpc_adapters.errors import Unavailable
from hpc_adapters.job_files import Desk
from hpc_adapters.simulated.adapter import SimulatedBackend
from scheduler.core.calls import CALL

CIRCUIT = "OPENQASM 3.0;"


def a_call(shots: int = 100, program: str = CIRCUIT) -> bytes:
    return json.dumps({"format": CALL, "program": program, "shots": shots}).encode()


@dataclass
class Mailboxes:
    """Stands before a backend as one that implements `job_files.Mailbox`; all else is the backend's."""

    inner: SimulatedBackend
    calls: dict[tuple[UUID, int], bytes] = field(default_factory=dict)
    answers: dict[tuple[UUID, int], bytes] = field(default_factory=dict)
    submitted: list[JobRequest] = field(default_factory=list)
    written: int = 0
    broken: set[UUID] = field(default_factory=set)
    away: bool = False
    """No answer can be written now."""
    deaf: bool = False
    """No wish to cancel arrives now."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def capabilities(self) -> Capabilities:
        told = self.inner.capabilities()
        return replace(told, features=told.features | {Feature.CALLS})

    async def submit(self, request: JobRequest) -> Ref:
        self.submitted.append(request)
        return await self.inner.submit(replace(request, has_calls=False))

    async def read_call(self, ref: Ref, desk: Desk, number: int, limit: int) -> bytes:
        assert ref.attempt_id == desk.attempt_id
        return self.calls.get((ref.attempt_id, number), b"")[:limit]

    async def answer_call(self, ref: Ref, desk: Desk, number: int, content: bytes) -> None:
        assert ref.attempt_id == desk.attempt_id
        if self.away or ref.attempt_id in self.broken:
            raise Unavailable("disk-full", maybe_done=False)
        self.written += 1
        self.answers[ref.attempt_id, number] = content

    async def cancel(self, ref: Ref) -> None:
        if self.deaf:
            raise Unavailable("away", maybe_done=False)
        await self.inner.cancel(ref)

    # -- as the program of a job --------------------------------------------------------------------------------------

    def ask(self, attempt_id: UUID, number: int, content: bytes | None = None) -> None:
        self.calls[attempt_id, number] = a_call() if content is None else content

    def told(self, attempt_id: UUID, number: int) -> Mapping[str, Any] | None:
        found = self.answers.get((attempt_id, number))
        return None if found is None else json.loads(found)
