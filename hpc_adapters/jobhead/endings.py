"""Which attempts have ended, and what they leave that nobody needs any more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from hpc_adapters.contract import Observation
from hpc_adapters.jobhead import places
from hpc_adapters.jobhead.spool import Spool

_MOST: Final = 20_000


class Ended:
    """Of one backend, the latest ones. Safe for concurrent use in one loop."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._latest: OrderedDict[UUID, None] = OrderedDict()

    def __contains__(self, attempt_id: UUID) -> bool:
        return attempt_id in self._latest

    async def remember(self, seen: Sequence[Observation]) -> None:
        """Those that have ended: nothing changes any more, and secrets that were never taken go."""
        for observation in seen:
            attempt_id = observation.ref.attempt_id
            native = places.native(observation.ref.native_id)
            if not observation.seen.is_end or attempt_id in self or native is None:
                continue
            self._latest[attempt_id] = None
            if len(self._latest) > _MOST:
                self._latest.popitem(last=False)
            try:
                await asyncio.to_thread(self._spool.drop_secrets, native.user, attempt_id)
            except OSError:
                continue  # the folder is away: the head removes them, and nobody else can read them
