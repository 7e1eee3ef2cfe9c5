"""State in memory that is told of changes only, to be compared with a reading of everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from infra.db.connection import Pool, reading, transaction
from scheduler.core.snapshot import Holding, Waiting
from scheduler.store import columns, feed, planning
from scheduler.store.feed import Changes
from tests.support.database import Database

_TEE = """
    CREATE TABLE public.heard (LIKE scheduler.changed);
    CREATE FUNCTION public.hear() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN INSERT INTO public.heard VALUES (NEW.*); RETURN NULL; END $$;
    CREATE TRIGGER heard AFTER INSERT ON scheduler.changed FOR EACH ROW EXECUTE FUNCTION public.hear()
"""


@dataclass
class Picture:
    """What waits and what is held, by attempt."""

    waiting: dict[UUID, Waiting] = field(default_factory=dict)
    held: dict[UUID, Holding] = field(default_factory=dict)

    @classmethod
    async def loaded(cls, pool: Pool, *, large: int = 100_000) -> Picture:
        """As a leader begins. large: of columns.load."""
        queued, live = await columns.load(pool, large=large)
        plain = [queued.waiting(index) for index in range(len(queued))]
        assert [each.seq for each in plain] == sorted(each.seq for each in plain)
        assert not {each.attempt_id for each in plain} & {each.attempt_id for each in live.waiting}
        return cls(
            {each.attempt_id: each for each in (*plain, *live.waiting)}, {each.attempt_id: each for each in live.held}
        )

    @classmethod
    async def read(cls, pool: Pool) -> Picture:
        """Everything, one object each."""
        async with reading(pool) as conn:
            live = await planning.live(conn)
        assert not live.gone
        return cls({each.attempt_id: each for each in live.waiting}, {each.attempt_id: each for each in live.held})

    def hear(self, changes: Changes) -> None:
        """Each named attempt stands where it was told to stand, and nowhere else."""
        live = changes.live
        assert not {each.attempt_id for each in (*live.waiting, *live.held)} & set(live.gone)
        for named in {*(each.attempt_id for each in (*live.waiting, *live.held)), *live.gone}:
            self.waiting.pop(named, None)
            self.held.pop(named, None)
        self.waiting |= {each.attempt_id: each for each in live.waiting}
        self.held |= {each.attempt_id: each for each in live.held}


@dataclass
class Shadow:
    """Hears what the leader is told, and takes nothing from it."""

    database: Database
    picture: Picture

    @classmethod
    async def beside(cls, database: Database) -> Shadow:
        await database.owner.execute(_TEE)
        return cls(database, await Picture.loaded(database.worker))

    async def follow(self) -> Changes:
        """What has changed since the last time. The picture is then what a reading of everything gives."""
        changes = await self._changes()
        self.picture.hear(changes)
        assert self.picture == await Picture.read(self.database.worker)
        return changes

    async def _changes(self) -> Changes:
        """As feed.taken tells it, were the leader's own rows these; which it gets back."""
        async with transaction(self.database.owner) as conn:
            heard = await conn.fetch("DELETE FROM public.heard RETURNING topic, id")
        async with self.database.owner.acquire() as conn:
            await conn.execute("BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM scheduler.changed")
            await conn.executemany("INSERT INTO scheduler.changed VALUES ($1, $2)", heard)
            try:
                return await feed.taken(conn)
            finally:
                await conn.execute("ROLLBACK")
