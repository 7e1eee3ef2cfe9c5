"""Rows that could not be taken, and which errors of the database only the row can be blamed for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from infra.db.connection import Conn

_ABOUT_THE_DATA = ("22", "23", "KY003", "KY004")
"""SQLSTATE: data exception, constraint violation, unbalanced or late ledger entry. All else is the database's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    row_sha256: bytes
    content: str
    tries: int


def blames_the_row(error: Exception) -> bool:
    """Whether trying the same again without this row would work: then the row is parked, and the others go on."""
    if isinstance(error, asyncpg.PostgresError):
        return str(error.sqlstate).startswith(_ABOUT_THE_DATA)
    return not isinstance(error, asyncpg.InterfaceError | OSError | TimeoutError | MemoryError)


async def park(
    conn: Conn,
    backend: str,
    *,
    row_sha256: bytes,
    natural_key: str,
    reason: str,
    content: str,
    next_try_at: datetime | None,
    now: datetime,
) -> bool:
    """True when it was not parked yet. natural_key and content are ASCII."""
    status = await conn.execute(
        """INSERT INTO metering.parked_row
               (backend, row_sha256, natural_key, reason, content, tries, parked_at, next_try_at)
           VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT DO NOTHING""",
        backend,
        row_sha256,
        natural_key,
        reason,
        content,
        now,
        next_try_at,
    )
    return status == "INSERT 0 1"


async def due(conn: Conn, backend: str, *, now: datetime, limit: int) -> list[Parked]:
    rows = await conn.fetch(
        """SELECT row_sha256, content, tries FROM metering.parked_row
           WHERE backend = $1 AND resolved_at IS NULL AND next_try_at <= $2
           ORDER BY next_try_at, row_sha256 LIMIT $3""",
        backend,
        now,
        limit,
    )
    return [Parked(**row) for row in rows]


async def resolve(conn: Conn, backend: str, row_sha256: bytes, *, now: datetime) -> None:
    await conn.execute(
        """UPDATE metering.parked_row SET resolved_at = $3, next_try_at = NULL
           WHERE backend = $1 AND row_sha256 = $2 AND resolved_at IS NULL""",
        backend,
        row_sha256,
        now,
    )


async def postpone(conn: Conn, backend: str, row_sha256: bytes, *, next_try_at: datetime | None) -> None:
    """One more failed try."""
    await conn.execute(
        "UPDATE metering.parked_row SET tries = tries + 1, next_try_at = $3 WHERE backend = $1 AND row_sha256 = $2",
        backend,
        row_sha256,
        next_try_at,
    )


async def unresolved(conn: Conn, backend: str, shas: Collection[bytes]) -> dict[bytes, str]:
    """Those of these rows that are parked → the reason."""
    rows = await conn.fetch(
        """SELECT row_sha256, reason FROM metering.parked_row
           WHERE backend = $1 AND row_sha256 = ANY($2) AND resolved_at IS NULL""",
        backend,
        list(shas),
    )
    return {row["row_sha256"]: row["reason"] for row in rows}
