"""One leader per loop, and proof of it: a session advisory lock, and a token in infra.leader that only grows.

The lock decides who leads; losing its connection is losing it. The token protects the data: a leader that was stalled
and has been replaced without knowing it finds every write refused (infra.fence, KY002). A leader shows that it is alive
every few seconds; whoever waits ends the session of one that has not (a stopped process keeps its lock for ever).

Needs a session of its own: connect directly or through a pooler in session mode, never in transaction mode.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from infra.db.connection import NO_CONNECTION, WAKE_CHANNEL, Conn, DatabaseUnavailable, Lease

_LOCK_CLASS = 7711  # first half of the advisory key; the second is made of the loop's name
_SESSION = {"TimeZone": "UTC", "statement_timeout": "10s", "lock_timeout": "5s", "application_name": "kyoyo leader"}


@dataclass(frozen=True, slots=True)
class Term:
    """The time during which this process leads a loop. lost: the term is over, for whatever cause."""

    lease: Lease
    wake: asyncio.Event
    lost: asyncio.Event


@asynccontextmanager
async def lead(url: str, *, user: str | None, loop: str, holder: str, lease_s: float) -> AsyncIterator[Term | None]:
    """Leads the loop inside the block; None: somebody else does. holder: who this is, for people to read."""
    conn = await _connect(url, user=user, timeout_s=lease_s)
    try:
        if not await conn.fetchval("SELECT pg_try_advisory_lock($1, $2)", _LOCK_CLASS, _key(loop)):
            await _end_stalled_leader(conn, loop, lease_s=lease_s)
            yield None
            return
        token = await _next_token(conn, loop, holder)
        term = Term(lease=Lease(loop=loop, token=token), wake=asyncio.Event(), lost=asyncio.Event())
        await _listen(conn, term)
        renewal = asyncio.create_task(_renew(conn, term, every_s=lease_s / 3))
        try:
            yield term
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
    finally:
        conn.terminate()


async def _connect(url: str, *, user: str | None, timeout_s: float) -> Conn:
    try:
        return await asyncpg.connect(url, user=user, server_settings=_SESSION, timeout=timeout_s)
    except (OSError, *NO_CONNECTION) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _key(loop: str) -> int:
    """The loop's name as a signed 32-bit number."""
    return int.from_bytes(zlib.crc32(loop.encode()).to_bytes(4, "big"), "big", signed=True)


async def _next_token(conn: Conn, loop: str, holder: str) -> int:
    """Waits for writes under the old token, then makes it stale."""
    token: int = await conn.fetchval(
        "INSERT INTO infra.leader VALUES ($1, 1, $2, now(), now()) ON CONFLICT (loop) DO UPDATE "
        "SET token = leader.token + 1, holder = excluded.holder, acquired_at = now(), renewed_at = now() "
        "RETURNING token",
        loop,
        holder,
    )
    return token


async def _listen(conn: Conn, term: Term) -> None:
    def on_notify(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == term.lease.loop:
            term.wake.set()

    await conn.add_listener(WAKE_CHANNEL, on_notify)
    conn.add_termination_listener(lambda _conn: term.lost.set())


async def _renew(conn: Conn, term: Term, *, every_s: float) -> None:
    """Shows that the leader is alive; gives up the term when it cannot."""
    try:
        while True:
            await asyncio.sleep(every_s)
            renewed = await conn.fetchval(
                "UPDATE infra.leader SET renewed_at = now() WHERE loop = $1 AND token = $2 RETURNING token",
                term.lease.loop,
                term.lease.token,
            )
            if renewed is None:
                return
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        pass  # whatever went wrong with this connection, the term ends with it
    finally:
        term.lost.set()


async def _end_stalled_leader(conn: Conn, loop: str, *, lease_s: float) -> None:
    """Ends the session that holds the lock, if its process has not been heard of for a lease."""
    await conn.execute(
        "SELECT pg_terminate_backend(held.pid) FROM pg_locks held "
        "WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2 "
        "AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND held.classid = $1::bigint::oid AND held.objid = ($2::bigint & 4294967295)::oid "
        "AND EXISTS (SELECT FROM infra.leader WHERE loop = $3 AND renewed_at < now() - make_interval(secs => $4))",
        _LOCK_CLASS,
        _key(loop),
        loop,
        lease_s,
    )
