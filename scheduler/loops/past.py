"""What was submitted in the last weeks, kept for a while: it changes slowly, and is much to read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from infra.db.connection import Conn
from scheduler.store import forecasts as store
from scheduler.store.forecasts import Tried

_WINDOW: Final = timedelta(days=28)
_MOST: Final = 2000
_KEPT: Final = timedelta(minutes=5)


class Past:
    """Outlives a tick."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._tried: Sequence[Tried] = ()

    async def tried(self, conn: Conn, now: datetime) -> tuple[datetime, Sequence[Tried]]:
        """What, and since when that is all: the newest of four weeks. A house that is new had a day with nothing."""
        if self._read_at is None or not timedelta(0) <= now - self._read_at < _KEPT:
            self._tried = await store.tried(conn, since=now - _WINDOW, limit=_MOST)
            self._read_at = now
        first = [each.queued_at for each in self._tried[:1]]
        if len(self._tried) == _MOST:
            return first[0], self._tried
        return min([now - timedelta(days=1), *first]), self._tried
