"""Confined runs in one folder: start, look, cancel, read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from hpc_adapters.confined.model import RunSpec, RunState
from hpc_adapters.contract import Isolation, LogChunk, Stream


class ConfinedRuns:
    """Every run under `root`, of this process and of all before it. Safe to use from many processes at once."""

    def __init__(self, root: Path, *, clock: Callable[[], datetime]) -> None:
        """Probes what isolation works here by trying it (some 20 ms)."""
        self.root = root
        self.isolation: Isolation = Isolation.PER_ATTEMPT
        self._clock = clock

    async def start(self, spec: RunSpec) -> None:
        """Accept the run durably and set it going. Again with the same attempt id: harmless.

        OSError: nothing was accepted. `StartInterrupted`: accepted, but not going yet; the next `start` or `states` sees to it.
        """
        raise NotImplementedError

    async def state(self, attempt_id: UUID) -> RunState | None:
        """None: no such run here."""
        return (await self.states([attempt_id]))[0]

    async def states(self, attempt_ids: Sequence[UUID]) -> list[RunState | None]:
        """In the order asked. Sets going what was accepted by a process that died at once."""
        raise NotImplementedError

    async def all_ids(self) -> list[UUID]:
        """Every accepted run, over or not, in the order of their ids."""
        raise NotImplementedError

    async def cancel(self, attempt_id: UUID) -> bool:
        """Note the wish. False: no such run here. The end is known by `state`: CANCELLED, unless it ended before."""
        raise NotImplementedError

    async def read(self, attempt_id: UUID, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk | None:
        """A piece of a stream; the result only once the run is over. None: no such run here."""
        raise NotImplementedError
