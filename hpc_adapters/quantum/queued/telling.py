"""What is told of attempts: observations, records, streams. Ended ones from our records, others as they are now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from hpc_adapters.confined.times import from_us
from hpc_adapters.contract import LogChunk, Observation, Ref, Seen, Stream, UsageRow
from hpc_adapters.errors import Forgotten
from hpc_adapters.quantum.queued.attempts import Attempts, ResultAway, at, components_of
from hpc_adapters.quantum.queued.model import Progress
from hpc_adapters.quantum.queued.records import Records
from hpc_adapters.quantum.queued.settings import QueuedSettings
from hpc_adapters.quantum.queued.usage import used
from hpc_adapters.quantum.queued.vendor import Gone

Json = dict[str, Any]


class Telling:
    """Reads; but looking at an attempt may also bring it on, as `attempts` says."""

    def __init__(
        self, settings: QueuedSettings, *, attempts: Attempts, records: Records, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._attempts, self._records, self._clock = settings, attempts, records, clock
        self._ends: dict[UUID, Json] = {}

    def ref(self, attempt_id: UUID) -> Ref:
        """Its native id is that of its first job; an attempt that never reached the vendor has its own."""
        jobs = self._records.jobs(attempt_id)
        return Ref(self._settings.name, attempt_id, jobs[0].id if jobs else str(attempt_id))

    def is_known(self, ref: Ref) -> bool:
        """Whether it is an attempt of ours, under this native id."""
        has_any = self._records.jobs(ref.attempt_id) is not None or self.end(ref.attempt_id) is not None
        return has_any and ref == self.ref(ref.attempt_id)

    def end(self, attempt_id: UUID) -> Json | None:
        """As it was written down; None: it has not ended as far as we know."""
        if attempt_id not in self._ends and (end := self._records.end(attempt_id)) is not None:
            self._ends[attempt_id] = end
        return self._ends.get(attempt_id)

    def look_again(self, attempt_id: UUID) -> None:
        """Remember nothing of its end."""
        self._ends.pop(attempt_id, None)

    async def observation(self, ref: Ref) -> Observation | Forgotten:
        """Unavailable."""
        if not self.is_known(ref):
            return Forgotten(ref.attempt_id)
        if self.end(ref.attempt_id) is None:
            try:
                now = await self._attempts.look(ref.attempt_id, self._records.jobs(ref.attempt_id) or ())
            except Gone:
                return Forgotten(ref.attempt_id)
            except ResultAway as away:
                return self._seen(ref, Progress(seen=Seen.UNKNOWN, detail=str(away)), not_now=True)
            if self.end(ref.attempt_id) is None:
                return self._seen(ref, now)
        return self._ended(ref)

    async def row(self, attempt_id: UUID) -> UsageRow | None:
        """None: it never reached the device. Unavailable."""
        if self.end(attempt_id) is None and self._records.jobs(attempt_id) is not None:
            seen = await self.observation(self.ref(attempt_id))
            if self.end(attempt_id) is None and isinstance(seen, Observation) and seen.started_at is not None:
                return await self._open_row(attempt_id, seen.started_at)
        end = self.end(attempt_id)
        started_at = at(end, "started_us") if end else None
        if end is None or started_at is None:
            return None
        return UsageRow(
            natural_key=f"{attempt_id}:1",
            attempt_id=attempt_id,
            started_at=started_at,
            ended_at=at(end, "ended_us"),
            final=True,
            ending=Seen(end["seen"]),
            components=components_of(end),
            facts=end["facts"],
        )

    async def chunk(self, ref: Ref, stream: Stream, offset: int, limit: int) -> LogChunk:
        """STDOUT tells what happened when; STDERR what the vendor said of a failure. Forgotten, Unavailable."""
        if not self.is_known(ref):
            raise Forgotten(ref.attempt_id)
        seen = await self.observation(ref)
        if isinstance(seen, Forgotten):
            raise seen
        end = self.end(ref.attempt_id)
        content = {
            Stream.STDOUT: lambda: self._story(seen),
            Stream.STDERR: lambda: str(end["message"]).encode() if end else b"",
            Stream.RESULT: lambda: (self._records.result(ref.attempt_id) or b"") if end else b"",
        }[stream]()
        offset, limit = max(0, offset), max(0, limit)
        data = content[offset : offset + limit]
        ended = end is not None and offset + len(data) >= len(content)
        return LogChunk(data=data, offset=offset, next_offset=offset + len(data), ended=ended)

    def _story(self, seen: Observation) -> bytes:
        """Only ever longer than what was told before."""
        accepted = self._records.accepted(seen.ref.attempt_id)
        lines = [] if accepted is None else [f"{from_us(accepted.at_us).isoformat()} accepted"]
        lines += [f"{seen.started_at.isoformat()} running"] if seen.started_at is not None else []
        if seen.ended_at is not None:
            lines.append(f"{seen.ended_at.isoformat()} {seen.seen.value} {seen.detail}".rstrip())
        return "".join(f"{line}\n" for line in lines).encode()

    def _seen(self, ref: Ref, now: Progress, *, not_now: bool = False) -> Observation:
        return Observation(
            ref=ref,
            seen=now.seen,
            observed_at=self._clock(),
            started_at=now.started_at,
            detail=now.detail,
            not_now=not_now,
        )

    def _ended(self, ref: Ref) -> Observation:
        end = self._ends[ref.attempt_id]
        return Observation(
            ref=ref,
            seen=Seen(end["seen"]),
            observed_at=self._clock(),
            started_at=at(end, "started_us"),
            ended_at=at(end, "ended_us"),
            exit_code=end["exit_code"],
            detail=end["detail"],
        )

    async def _open_row(self, attempt_id: UUID, started_at: datetime) -> UsageRow | None:
        accepted = self._records.accepted(attempt_id)
        try:
            remote = await self._attempts.remote(attempt_id, self._records.jobs(attempt_id) or ())
        except Gone:
            return None
        if accepted is None:
            return None
        components, facts = used(accepted, remote, Seen.RUNNING, "", until=self._clock())
        return UsageRow(
            natural_key=f"{attempt_id}:1",
            attempt_id=attempt_id,
            started_at=started_at,
            ended_at=None,
            final=False,
            ending=Seen.RUNNING,
            components=components,
            facts={**facts, "device": self._settings.device},
        )
