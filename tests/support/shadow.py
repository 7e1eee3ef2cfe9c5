"""State in memory that is told of changes only, to be compared with a reading of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from infra.db.connection import Lease, Pool, reading
from scheduler.core.snapshot import Holding, Waiting
from scheduler.store import feed, planning
from scheduler.store.feed import Changes


@dataclass
class Shadow:
    """What waits and what is held, by attempt."""

    waiting: dict[UUID, Waiting] = field(default_factory=dict)
    held: dict[UUID, Holding] = field(default_factory=dict)

    @classmethod
    async def loaded(cls, pool: Pool, *, lease: Lease | None = None) -> Shadow:
        """As a leader begins: what it was told of is thrown away, and everything read."""
        await feed.changes(pool, lease=lease)
        return await cls.read(pool)

    @classmethod
    async def read(cls, pool: Pool) -> Shadow:
        async with reading(pool) as conn:
            live = await planning.live(conn)
        assert not live.gone
        return cls({each.attempt_id: each for each in live.waiting}, {each.attempt_id: each for each in live.held})

    def hear(self, changes: Changes) -> None:
        """Each named attempt stands where it was told to stand, and nowhere else."""
        live = changes.live
        assert not {each.attempt_id for each in (*live.waiting, *live.held)} & set(live.gone)
        for gone in {*(each.attempt_id for each in (*live.waiting, *live.held)), *live.gone}:
            self.waiting.pop(gone, None)
            self.held.pop(gone, None)
        self.waiting |= {each.attempt_id: each for each in live.waiting}
        self.held |= {each.attempt_id: each for each in live.held}

    async def follow(self, pool: Pool, *, lease: Lease | None = None) -> Changes:
        """Hears what has changed, and is then what a reading of everything gives."""
        changes = await feed.changes(pool, lease=lease)
        self.hear(changes)
        assert self == await Shadow.read(pool)
        return changes
