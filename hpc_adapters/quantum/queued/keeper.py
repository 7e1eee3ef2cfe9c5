"""Forgetting attempts at a vendor with a queue: their records and checks here. The vendor keeps what it likes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from hpc_adapters.confined.times import from_us
from hpc_adapters.keeping import Freed, Left, Past
from hpc_adapters.quantum.queued.attempts import at
from hpc_adapters.quantum.queued.checking import Checking
from hpc_adapters.quantum.queued.records import Records
from hpc_adapters.quantum.queued.telling import Telling
from hpc_adapters.quantum.queued.vendor import Vendor

_NEVER_HANDED = timedelta(days=1)
"""What was accepted so long ago and never handed over is no longer on its way."""


class QueuedKeeper:
    """Implements `keeping.Keeper` for the common part."""

    def __init__(self, *, records: Records, telling: Telling, checking: Checking, vendor: Vendor, past: Past) -> None:
        self._records, self._telling, self._checking = records, telling, checking
        self._vendor, self._past = vendor, past

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        return await asyncio.to_thread(self._ended_before, moment)

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        """What has ended is told of from our own records: no vendor is asked."""
        left = []
        for attempt_id in attempt_ids:
            ended_at = self._over_at(attempt_id)
            if ended_at is not None:
                is_told = self._telling.end(attempt_id) is not None
                row = await self._telling.row(attempt_id) if is_told else None
                left.append(Left(attempt_id, self._telling.ref(attempt_id).native_id, ended_at, row))
        freed = await asyncio.to_thread(self._leave, left)
        return Freed(freed.attempts, freed.bytes + sum([await self._vendor.forget(each.attempt_id) for each in left]))

    def _ended_before(self, moment: datetime) -> Sequence[UUID]:
        ended = [(over_at, each) for each in self._records.all_ids() if (over_at := self._over_at(each))]
        return [attempt_id for ended_at, attempt_id in sorted(ended) if ended_at < moment]

    def _over_at(self, attempt_id: UUID) -> datetime | None:
        """When it ended, or can be handed over no more; None: it may still run."""
        end = self._telling.end(attempt_id)
        if end is not None:
            return at(end, "ended_us")
        accepted = self._records.accepted(attempt_id)
        if accepted is None or self._records.jobs(attempt_id) is not None or self._records.is_handed(attempt_id):
            return None
        return from_us(accepted.at_us) + _NEVER_HANDED

    def _leave(self, left: Sequence[Left]) -> Freed:
        self._past.note(left)
        ids = [each.attempt_id for each in left]
        size = self._checking.leave_now(ids) + sum(self._records.remove(each) for each in ids)
        for each in ids:
            self._telling.look_again(each)
        return Freed(len(ids), size)
