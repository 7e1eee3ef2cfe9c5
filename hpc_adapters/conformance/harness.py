"""What an adapter must give the conformance suite, so that the suite can drive it without knowing it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from hpc_adapters.contract import Backend, JobRequest, LogChunk, Observation, Ref, Stream
from hpc_adapters.errors import Forgotten


class Act(Enum):
    """What a requested job shall do."""

    SUCCEED = auto()
    """End by itself with exit code 0, soon, and leave a result (JSON) and some bytes on stdout."""
    FAIL = auto()
    """Start, and end by itself with another exit code, soon."""
    RUN_LONG = auto()
    """Run for at least a minute when nobody stops it."""
    OVERRUN = auto()
    """As RUN_LONG, with a walltime of a few seconds."""
    REJECTED = auto()
    """Something that this backend can never do."""


class Harness(ABC):
    """One backend in a world of its own. The suite makes a new one for every test."""

    backend: Backend

    @abstractmethod
    def request(self, act: Act, *, tenant: str = "tenant-a") -> JobRequest:
        """A request with a new attempt id."""

    @abstractmethod
    def now(self) -> datetime:
        """The present of the backend's clock."""

    @abstractmethod
    async def pause(self) -> None:
        """Let a little time pass: a tenth of a second for a real backend."""

    @abstractmethod
    async def restart(self) -> None:
        """Put a new adapter object over the same machine, as after a crash of the process that held the old one."""

    @abstractmethod
    async def starts(self, attempt_id: UUID) -> int:
        """How often the payload of this attempt really started, by the machine's own evidence."""

    patience: int = 300
    """How many pauses the slowest expected change may take."""

    async def until(self, ref: Ref, wanted: Callable[[Observation], bool]) -> Observation:
        """Wait until an observation is as wanted, and return it."""
        last: Observation | Forgotten | None = None
        for _ in range(self.patience):
            [last] = await self.backend.observe([ref])
            if isinstance(last, Observation) and wanted(last):
                return last
            await self.pause()
        raise AssertionError(f"never seen as wanted; last: {last!r}")

    async def until_ended(self, ref: Ref) -> Observation:
        return await self.until(ref, lambda observation: observation.seen.is_end)

    async def read(self, ref: Ref, stream: Stream, *, limit: int = 65_536) -> bytes:
        """A whole stream of an ended attempt, piece by piece."""
        data = b""
        for _ in range(self.patience):
            chunk: LogChunk = await self.backend.logs(ref, stream, len(data), limit)
            assert chunk.offset == len(data)
            assert chunk.next_offset == chunk.offset + len(chunk.data)
            assert len(chunk.data) <= limit
            data += chunk.data
            if chunk.ended:
                return data
            if not chunk.data:
                await self.pause()
        raise AssertionError(f"{stream} of an ended attempt never ended")


class FaultyHarness(Harness):
    """A harness that can also break the way to its backend."""

    @abstractmethod
    def lose_next_answer(self) -> None:
        """The next submission takes effect, and its answer does not arrive."""

    @abstractmethod
    def lose_next_request(self) -> None:
        """The next submission does not arrive, and nobody is told."""

    @abstractmethod
    def delay_next_submission(self) -> None:
        """The next submission takes effect later, without an answer."""

    @abstractmethod
    def forget(self, attempt_id: UUID) -> None:
        """The backend loses its memory of this attempt."""

    @abstractmethod
    def set_reachable(self, *, reachable: bool) -> None:
        """Cut the connection, or restore it."""

    @abstractmethod
    def start_again(self, attempt_id: UUID) -> None:
        """The backend starts this attempt a second time, by itself."""
