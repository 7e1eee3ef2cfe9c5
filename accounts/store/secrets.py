"""The SQL of members' secrets. Only the worker may read a ciphertext."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from accounts.model import Secret
from accounts.sealing import Sealed
from infra.db.connection import Conn


async def names(conn: Conn, *, organisation_id: UUID, person_id: UUID) -> list[Secret]:
    rows = await conn.fetch(
        "SELECT id, name, created_at FROM accounts.secret "
        "WHERE organisation_id = $1 AND person_id = $2 AND removed_at IS NULL ORDER BY name",
        organisation_id,
        person_id,
    )
    return [Secret(**row) for row in rows]


async def insert(conn: Conn, secret_id: UUID, sealed: Sealed, *, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO accounts.secret (id, organisation_id, person_id, name, ciphertext, key_id, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        secret_id,
        sealed.organisation_id,
        sealed.person_id,
        sealed.name,
        sealed.ciphertext,
        sealed.key_id,
        now,
    )


async def remove(conn: Conn, secret_id: UUID, *, now: datetime) -> None:
    """Forgets the ciphertext, too: a trigger sees to it."""
    await conn.execute(
        "UPDATE accounts.secret SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL", secret_id, now
    )


async def remove_all_of(conn: Conn, *, organisation_id: UUID, person_id: UUID, now: datetime) -> int:
    """How many there were."""
    status = await conn.execute(
        "UPDATE accounts.secret SET removed_at = $3 "
        "WHERE organisation_id = $1 AND person_id = $2 AND removed_at IS NULL",
        organisation_id,
        person_id,
        now,
    )
    return int(status.rpartition(" ")[2])


async def sealed(conn: Conn, *, organisation_id: UUID, person_id: UUID, names: Collection[str]) -> list[Sealed]:
    rows = await conn.fetch(
        "SELECT organisation_id, person_id, name, key_id, ciphertext FROM accounts.secret "
        "WHERE organisation_id = $1 AND person_id = $2 AND name = ANY ($3) AND removed_at IS NULL",
        organisation_id,
        person_id,
        list(names),
    )
    return [_sealed(row) for row in rows]


async def under_other_keys(conn: Conn, key_id: str, *, limit: int) -> Sequence[tuple[UUID, Sealed]]:
    """Secrets that are not encrypted with this key, locked until the transaction ends."""
    rows = await conn.fetch(
        "SELECT id, organisation_id, person_id, name, key_id, ciphertext FROM accounts.secret "
        "WHERE key_id <> $1 AND removed_at IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE",
        key_id,
        limit,
    )
    return [(row["id"], _sealed(row)) for row in rows]


async def renew(conn: Conn, secret_id: UUID, sealed: Sealed) -> None:
    await conn.execute(
        "UPDATE accounts.secret SET ciphertext = $2, key_id = $3 WHERE id = $1 AND removed_at IS NULL",
        secret_id,
        sealed.ciphertext,
        sealed.key_id,
    )


def _sealed(row: asyncpg.Record) -> Sealed:
    return Sealed(
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        name=row["name"],
        key_id=row["key_id"],
        ciphertext=row["ciphertext"],
    )
