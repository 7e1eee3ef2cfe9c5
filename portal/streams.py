"""Live connections: how many there may be, and that they end when the portal stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from portal.errors import TooManyStreams


@dataclass(slots=True)
class Streams:
    """Counts open streams of this process. `stop` ends them all at their next step."""

    limit: int = 200
    open: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def require_room(self) -> None:
        """TooManyStreams."""
        if self.open >= self.limit:
            raise TooManyStreams(limit=self.limit)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Counts one while the block lasts."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def stop(self) -> None:
        """From now on no stream goes on."""
        self._stopping.set()

    async def pause(self, seconds: float) -> bool:
        """Waits; False when the portal is stopping."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return True
        return False
