"""Follows a job's log: server-sent events while they work, plain reads from the same offset when they do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kyoyo.errors import NotFound, Refused, Unavailable
from kyoyo.models import Fields
from kyoyo.transport import Transport

POLL_S = 1.0
PATIENCE_S = 300.0
"""For how long a following client forgives a portal that is away: longer than a deployment takes."""
MAX_BROKEN_STREAMS = 3
"""After this many live connections in a row that brought nothing, only plain reads are tried."""


@dataclass(slots=True)
class LogReader:
    """Reads one stream of one job from an offset on; `offset` is where the next byte will be."""

    transport: Transport
    job_id: str
    stream: str = "stdout"
    offset: int = 0
    truncated: bool = False
    _ended: bool = False
    _broken: int = 0

    def rest(self) -> Iterator[str]:
        """What is there now."""
        while text := self._read():
            yield text
            if self._ended:
                return

    def follow(self) -> Iterator[str]:
        """Every piece until the stream ends. Unavailable when the portal stays away."""
        while not self._ended:
            if self._broken < MAX_BROKEN_STREAMS:
                yield from self._live()
            if self._ended:
                return
            if text := self._read_patiently():
                yield text
            elif not self._ended:
                self.transport.pace.sleep(POLL_S)

    def _live(self) -> Iterator[str]:
        before = self.offset
        try:
            with self.transport.events(
                f"/jobs/{self.job_id}/logs/live", stream=self.stream, offset=self.offset
            ) as events:
                for event in events:
                    if event.event == "end":
                        self._ended = True
                        return
                    if event.event == "log" and (text := self._take(event.json())):
                        yield text
        except NotFound:
            raise
        except (Unavailable, Refused):
            pass  # a proxy that buffers, an old server, a restart: read on from the offset
        self._broken = 0 if self.offset > before else self._broken + 1

    def _read_patiently(self) -> str:
        pace = self.transport.pace
        asked_at = pace.monotonic()
        while True:
            try:
                return self._read()
            except Unavailable:
                if pace.monotonic() - asked_at > PATIENCE_S:
                    raise
            pace.sleep(POLL_S)

    def _read(self) -> str:
        told = self.transport.get(f"/jobs/{self.job_id}/logs", stream=self.stream, offset=self.offset)
        return self._take(told)

    def _take(self, told: object) -> str:
        chunk = Fields(told)
        self.offset = chunk.integer("next_offset", self.offset)
        self._ended = self._ended or chunk.told.get("ended") is True
        self.truncated = self.truncated or chunk.told.get("truncated") is True
        return chunk.text("text", "")
