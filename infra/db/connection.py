"""Pools and transactions. One request, or one item of one tick, is one transaction.

Nothing here retries: a serialisation failure or a deadlock reaches the edge, which knows whether to do it again.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import asyncpg.pool

if TYPE_CHECKING:
    from typing import TypeAlias

    Conn: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:  # the stubs' generics do not exist at run time
    Conn = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

WAKE_CHANNEL = "kyoyo_wake"
_ACQUIRE_TIMEOUT_S = 20.0
_COMMAND_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 10.0
_STATEMENTS = 400  # a worker has more than a hundred; one that is planned anew takes longer than it runs
_LONGEST_STALL = "15s"  # a leader's transaction that does nothing for so long is ended
_JSONB_VERSION = b"\x01"
_SESSION = {
    "TimeZone": "UTC",
    "jit": "off",  # what takes milliseconds is not worth compiling, and the cost of small tables is guessed too high
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}


_TAKE_BACK = "ROLLBACK TO SAVEPOINT rehearsal; RELEASE SAVEPOINT rehearsal"
_LOOP_NAME = re.compile(r"[a-z][a-z0-9_.:-]*")

NO_CONNECTION = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)


class DatabaseUnavailable(ConnectionError):
    """No connection to the database: it is down, starting, or all connections are taken. Try again later."""


class Role(StrEnum):
    """What the portal becomes for one transaction. The value is the name of the database role."""

    TENANT = "kyoyo_tenant"
    OPERATOR = "kyoyo_operator"
    OFFICER = "kyoyo_officer"


@dataclass(frozen=True, slots=True)
class Lease:
    """Proof of leading a loop. The database refuses a write under a token that is not the newest (KY002)."""

    loop: str
    token: int


@asynccontextmanager
async def open_pool(url: str, *, user: str | None = None, size: int = 10) -> AsyncIterator[Pool]:
    """A pool of at most `size` connections, as `user` (or as the URL says). jsonb is dict, timestamps are aware."""
    pool = await asyncpg.create_pool(
        url,
        user=user,
        min_size=1,
        max_size=size,
        init=set_codecs,
        reset=_as_it_is,
        command_timeout=_COMMAND_TIMEOUT_S,
        statement_cache_size=_STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings=_SESSION,
    )
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _as_it_is(_: Conn) -> None:
    """Nothing to undo when a connection comes back: role, organisation and time-outs end with their transaction."""


async def set_codecs(conn: Conn) -> None:
    """Lets jsonb and json travel as Python values; jsonb in its own binary form, as rows inside of rows have it."""
    await conn.set_type_codec("json", schema="pg_catalog", encoder=_to_json, decoder=json.loads)
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_of_jsonb, format="binary")


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _to_jsonb(value: object) -> bytes:
    return _JSONB_VERSION + _to_json(value).encode()


def _of_jsonb(told: bytes) -> Any:
    return json.loads(told[1:])


@asynccontextmanager
async def transaction(
    pool: Pool,
    *,
    role: Role | None = None,
    organisation_id: UUID | None = None,
    lease: Lease | None = None,
    snapshot: bool = False,
) -> AsyncIterator[Conn]:
    """One transaction: committed when the block ends, rolled back when it raises.

    role and organisation_id hold until its end and never longer. With a lease it writes only while that lease is the
    newest. snapshot: read-only, every statement sees the same instant (reports, audits).

    A cancelled block terminates its connection: the server rolls back, and no connection goes back to the pool with an
    open transaction or with somebody's role (whether a COMMIT already on its way took effect is then unknown).

    DatabaseUnavailable: there is no connection to be had, and nothing was done.
    """
    async with _acquired(pool) as conn:
        try:
            try:
                await conn.execute(_begin(role, organisation_id, lease, snapshot=snapshot))
                yield conn
            except asyncio.CancelledError:
                raise
            except BaseException:
                await _roll_back(conn)
                raise
            if await conn.execute("COMMIT") != "COMMIT":  # an error inside was swallowed, and PostgreSQL rolls back
                raise asyncpg.InFailedSQLTransactionError("the transaction had failed before its end")
        except asyncio.CancelledError:
            conn.terminate()
            raise


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Conn]:
    """A connection for looks that need not agree on an instant: each statement is its own transaction, and two round
    trips are saved. So is one that writes, whole, and brings its own fence: fenced(). DatabaseUnavailable.
    """
    async with _acquired(pool) as conn:
        try:
            yield conn
        except asyncio.CancelledError:
            conn.terminate()
            raise


@asynccontextmanager
async def _acquired(pool: Pool) -> AsyncIterator[Conn]:
    try:
        conn = await pool.acquire(timeout=_ACQUIRE_TIMEOUT_S)
    except (OSError, *NO_CONNECTION) as error:  # OSError includes TimeoutError: all connections are taken
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
    try:
        yield conn
    finally:
        await pool.release(conn)


def _begin(role: Role | None, organisation_id: UUID | None, lease: Lease | None, *, snapshot: bool) -> str:
    """All that comes before the caller's first statement, in one round trip: no parameters, so no words but our own."""
    statements = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if snapshot else "BEGIN"]
    if role is not None or organisation_id is not None:
        organisation = "" if organisation_id is None else str(UUID(int=organisation_id.int))
        name = "none" if role is None else role.value
        statements.append(
            f"SELECT set_config('kyoyo.organisation_id', '{organisation}', true), set_config('role', '{name}', true)"
        )
    if lease is not None:
        # Its successor waits for this transaction; a stalled process must not make it wait long.
        assert _LOOP_NAME.fullmatch(lease.loop)
        statements.append(
            f"SELECT infra.fence('{lease.loop}', {lease.token:d}), "
            f"set_config('idle_in_transaction_session_timeout', '{_LONGEST_STALL}', true)"
        )
    return "; ".join(statements)


def fenced(first: int) -> str:
    """A SELECT of one row, or KY002, for a statement that is a transaction of its own, under reading().

    $first and the one after it, fence_args(): of which loop the lease is, and its token. NULL: nobody is asked (tests).
    """
    return f"SELECT CASE WHEN ${first}::text IS NOT NULL THEN infra.fence(${first}, ${first + 1}::bigint)::text END"


def fence_args(lease: Lease | None) -> tuple[str | None, int | None]:
    """The parameters of fenced()."""
    return (None, None) if lease is None else (lease.loop, lease.token)


@asynccontextmanager
async def savepoint(conn: Conn) -> AsyncIterator[None]:
    """Inside a transaction: what fails in the block takes back the block alone, and is raised."""
    await conn.execute("SAVEPOINT here")
    try:
        yield
    except Exception:
        await conn.execute("ROLLBACK TO SAVEPOINT here; RELEASE SAVEPOINT here")
        raise
    await conn.execute("RELEASE SAVEPOINT here")


@asynccontextmanager
async def rehearsal(conn: Conn, *, to_its_end: bool = False) -> AsyncIterator[None]:
    """Inside a transaction: what the block did is taken back at its end, so one may look at what it would have done.

    to_its_end: checks that wait for the commit are made first, as if it came now.
    """
    await conn.execute("SAVEPOINT rehearsal")
    try:
        yield
        if to_its_end:
            await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except Exception:
        await conn.execute(_TAKE_BACK)
        raise
    await conn.execute(_TAKE_BACK)


async def _roll_back(conn: Conn) -> None:
    """Rolls back without hiding what went wrong: a connection that cannot even do that is thrown away."""
    try:
        await conn.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        conn.terminate()


async def notify(conn: Conn, loop_name: str) -> None:
    """Wakes a loop when this transaction commits. Only a hint: the loop would come by itself, later."""
    await conn.execute("SELECT pg_notify($1, $2)", WAKE_CHANNEL, loop_name)
