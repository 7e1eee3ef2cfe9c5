"""A simulated backend that one can interfere with, call by call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Health,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten
from tests.support.scheduled import CLUSTER, World


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


class Interposed:
    """A simulated backend with something of one's own before some of its calls."""

    def __init__(self, world: World, **before: Callable[..., object]) -> None:
        self._inner = world.backend
        self._before = before

    def _pass(self, call: str, *arguments: object) -> None:
        if call in self._before:
            self._before[call](*arguments)

    def capabilities(self) -> Capabilities:
        return self._inner.capabilities()

    async def capacity(self) -> Capacity:
        self._pass("capacity")
        return await self._inner.capacity()

    async def submit(self, request: JobRequest) -> Ref:
        self._pass("submit", request)
        return await self._inner.submit(request)

    async def find(self, attempt_id: UUID) -> Ref | None:
        self._pass("find", attempt_id)
        return await self._inner.find(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        self._pass("observe", refs)
        return await self._inner.observe(refs)

    async def cancel(self, ref: Ref) -> None:
        self._pass("cancel", ref)
        await self._inner.cancel(ref)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        return await self._inner.accounting(window)

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        self._pass("logs", ref)
        return await self._inner.logs(ref, stream, offset, limit)

    async def health(self) -> Health:
        return await self._inner.health()

    async def close(self) -> None:
        await self._inner.close()


def interpose(world: World, **before: Callable[..., object]) -> None:
    world.backends = {CLUSTER: Interposed(world, **before)}


def raising(problem: BaseException) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise problem

    return fail
