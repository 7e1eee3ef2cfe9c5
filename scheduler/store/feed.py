"""What has changed of all that planning reads, since it was last asked: the diet of state that is kept in memory.

Triggers write a row into scheduler.changed with each change (migration 0011), and whoever keeps the state takes them.

No change is missed:
- A row commits with its change, and is seen exactly when that is. `taken` deletes rows and reads attempts in one
  statement, so under one snapshot: whatever is in a row that it deletes is in what it reads. A writer that has not
  committed then leaves its row behind for the next time.
- A row names what was written. Whose plan that changes besides (the calls of an ended job, jobs that wait for another,
  tasks of an array, jobs in a reservation) is looked up under that same snapshot. One of these that is not there yet
  was not read before either, and comes with a row of its own.
- Rows are given up only by the commit of a statement or transaction that is fenced: a stale leader gives up nothing,
  and one that dies before its commit leaves all rows to the next. Whoever fails after `taken` began, or cannot tell
  whether it has committed, no longer knows what it has missed: what it keeps is void, and is to be loaded anew.
- To load anew: first `forget`, then a reading of everything (store.columns). What commits in between is read, and told
  of once more.

An attempt may be told of twice, or though nothing of it has changed: each time it is told as it is now. What only the
clock changes (a weight that takes effect later, the end of a declaration, of a closure) nobody tells.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import asyncpg

from infra.db.connection import Conn, Lease, Pool, fence_args, fenced, reading, transaction
from scheduler.store import planning
from scheduler.store.planning import Live


class Topic(StrEnum):
    """What is told as a whole: it is to be read again. The words are those of scheduler.change_topic."""

    TREE = "tree"
    """Weights, limits or exchange rates: store.tree."""
    BOOKINGS = "bookings"
    """Reservations or closures: store.reservations.ahead."""
    DEVICES = "devices"
    """Condition, queue or windows of a device: store.devices.conditions."""


@dataclass(frozen=True, slots=True)
class Changes:
    """live: the named attempts as they are now, and those of them that are over (`gone`; also such as nobody holds)."""

    live: Live = field(default_factory=lambda: Live([], {}, []))
    topics: AbstractSet[Topic] = frozenset()
    organisations: AbstractSet[UUID] = frozenset()
    """Whether these may start anything, or until when: accounts.outlooks."""

    def __bool__(self) -> bool:
        live = self.live
        return bool(live.waiting or live.held or live.gone or self.topics or self.organisations)


_NAMED = f"""
    SELECT id FROM taken WHERE topic = 'attempt'
    UNION SELECT a.id FROM taken t JOIN scheduler.attempt a ON a.job_id = t.id AND a.state IN {planning.LIVE}
        WHERE t.topic = 'job'
    UNION SELECT a.id FROM taken t JOIN scheduler.job j ON j.array_id = t.id
        JOIN scheduler.attempt a ON a.job_id = j.id AND a.state IN {planning.LIVE} WHERE t.topic = 'job'
    UNION SELECT a.id FROM taken t JOIN scheduler.reservation_job b ON b.reservation_id = t.id
        JOIN scheduler.attempt a ON a.job_id = b.job_id AND a.state IN {planning.LIVE} WHERE t.topic = 'reservation'
"""  # noqa: S608  our own words
_MOVED = """
    SELECT a.job_id, a.ended_at FROM named n JOIN scheduler.attempt a ON a.id = n.id
    WHERE a.ended_at IS NOT NULL OR a.started_at IS NOT NULL OR a.state NOT IN ('QUEUED', 'DISPATCHING')
"""
"""Those of which others may hear that wait for them."""
_HEADS = """
    SELECT d.job_id AS id FROM moved m JOIN scheduler.dependency d ON d.on_job_id = m.job_id
    UNION SELECT j.id FROM moved m JOIN scheduler.job j ON j.session_job_id = m.job_id
"""
_TOUCHED = f"""
    SELECT id FROM named
    UNION SELECT a.id FROM moved m JOIN scheduler.attempt a ON a.job_id = m.job_id AND a.ordinal < 0
        AND a.state IN {planning.LIVE} WHERE m.ended_at IS NOT NULL
    UNION SELECT a.id FROM heads h JOIN scheduler.attempt a ON a.job_id = h.id AND a.state = 'QUEUED'
    UNION SELECT a.id FROM heads h JOIN scheduler.job j ON j.array_id = h.id
        JOIN scheduler.attempt a ON a.job_id = j.id AND a.state = 'QUEUED'
"""  # noqa: S608  our own words
_TOLD = f"""
    taken AS (DELETE FROM scheduler.changed RETURNING topic, id),
    named AS ({_NAMED}), moved AS ({_MOVED}), heads AS ({_HEADS}),
    told AS (SELECT NULL AS topic, id FROM ({_TOUCHED}) touched
        UNION ALL SELECT DISTINCT topic::text, id FROM taken WHERE topic NOT IN ('attempt', 'job', 'reservation'))
    SELECT t.topic, t.id AS about, {planning.COLUMNS}, {planning.CHARGE} FROM"""  # noqa: S608  our own words
_OF_EACH = f"scheduler.attempt a ON a.id = t.id AND t.topic IS NULL {planning.JOINS} {planning.JOIN_CHARGE}"
_TAKEN = f"WITH {_TOLD} told t LEFT JOIN {_OF_EACH}"
_FENCED = f"""
    WITH fenced AS MATERIALIZED ({fenced(1)}, set_config('synchronous_commit', 'off', true)), {_TOLD}
    fenced LEFT JOIN told t ON true LEFT JOIN {_OF_EACH}
"""
"""In a transaction of its own. The fence is asked first, whether or not there is anything to tell."""


async def taken(conn: Conn) -> Changes:
    """Inside a fenced transaction: transaction(pool, lease=…). One round trip; two if something waits for others."""
    return await _changes(conn, await conn.fetch(_TAKEN))


async def changes(pool: Pool, *, lease: Lease | None) -> Changes:
    """The same in a transaction of its own that does not wait for the disk: what a crash brings back is told again."""
    async with reading(pool) as conn:
        return await _changes(conn, await conn.fetch(_FENCED, *fence_args(lease)))


async def forget(pool: Pool, *, lease: Lease | None) -> None:
    """What was to be told, by whoever is about to read everything."""
    async with transaction(pool, lease=lease) as conn:
        await conn.execute("DELETE FROM scheduler.changed")


async def _changes(conn: Conn, rows: list[asyncpg.Record]) -> Changes:
    topics = [row for row in rows if row["topic"] is not None]
    return Changes(
        live=await planning.told(conn, [row for row in rows if row["topic"] is None and row["id"] is not None]),
        topics=frozenset(Topic(row["topic"]) for row in topics if row["topic"] != "standing"),
        organisations=frozenset(row["about"] for row in topics if row["topic"] == "standing"),
    )
