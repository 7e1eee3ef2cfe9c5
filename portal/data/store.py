"""SQL of the schema `portal`. A tenant's transaction sees its own rows only; the conditions here say it once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from infra.db.connection import Conn
from portal.data.model import Content, StoredObject, Upload, Usage
from portal.data.parts import Shape

_OBJECT = "id, organisation_id, key, size_bytes, part_bytes, part_sha256, checksum, created_by, created_at"
_UPLOAD = "id, organisation_id, key, size_bytes, part_bytes, part_sha256, opened_by, token, expires_at"
_CURRENT = "replaced_at IS NULL AND removed_at IS NULL"


async def lock(conn: Conn, organisation_id: UUID) -> None:
    """One change of an organisation's files at a time, until this transaction ends: its quota is decided so."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('portal.data:' || $1, 0))", str(organisation_id))


async def usage(conn: Conn, organisation_id: UUID) -> Usage:
    row = await conn.fetchrow(
        "SELECT (SELECT count(*) FROM portal.object WHERE organisation_id = $1 AND purged_at IS NULL) AS objects, "
        "(SELECT coalesce(sum(size_bytes), 0) FROM portal.object WHERE organisation_id = $1 AND purged_at IS NULL) "
        "AS object_bytes, "
        "(SELECT coalesce(sum(size_bytes), 0) FROM portal.upload WHERE organisation_id = $1 AND ended_at IS NULL) "
        "AS upload_bytes",
        organisation_id,
    )
    assert row is not None
    return Usage(objects=row["objects"], object_bytes=int(row["object_bytes"]), upload_bytes=int(row["upload_bytes"]))


async def open_uploads(conn: Conn, organisation_id: UUID) -> int:
    count = await conn.fetchval(
        "SELECT count(*) FROM portal.upload WHERE organisation_id = $1 AND ended_at IS NULL", organisation_id
    )
    return int(count)


# -- uploads -----------------------------------------------------------------------------------------------------------


async def insert_upload(conn: Conn, upload: Upload, *, now: datetime) -> None:
    content = upload.content
    await conn.execute(
        "INSERT INTO portal.upload (id, organisation_id, key, size_bytes, part_bytes, part_sha256, opened_by, "
        "opened_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        upload.id,
        upload.organisation_id,
        upload.key,
        content.shape.size,
        content.shape.part_bytes,
        content.part_sha256,
        upload.opened_by,
        now,
        upload.expires_at,
    )


async def set_token(conn: Conn, upload: Upload, token: str) -> str:
    """The token that holds: whoever began it first in the storage."""
    held: str | None = await conn.fetchval(
        "UPDATE portal.upload SET token = coalesce(token, $3) "
        "WHERE id = $1 AND organisation_id = $2 AND ended_at IS NULL RETURNING token",
        upload.id,
        upload.organisation_id,
        token,
    )
    return held or ""


async def upload(conn: Conn, organisation_id: UUID, upload_id: UUID, *, now: datetime) -> Upload | None:
    """An open one."""
    row = await conn.fetchrow(
        f"SELECT {_UPLOAD} FROM portal.upload "  # noqa: S608  our own words
        "WHERE id = $2 AND organisation_id = $1 AND ended_at IS NULL AND expires_at > $3",
        organisation_id,
        upload_id,
        now,
    )
    return None if row is None else _upload(row)


async def same_upload(conn: Conn, organisation_id: UUID, key: str, content: Content, *, now: datetime) -> Upload | None:
    """The open upload of the same content under the same key: it is gone on with."""
    row = await conn.fetchrow(
        f"SELECT {_UPLOAD} FROM portal.upload WHERE organisation_id = $1 AND ended_at IS NULL "  # noqa: S608  our own words
        "AND key = $2 AND size_bytes = $3 AND part_bytes = $4 AND part_sha256 = $5 AND expires_at > $6 "
        "ORDER BY opened_at LIMIT 1",
        organisation_id,
        key,
        content.shape.size,
        content.shape.part_bytes,
        content.part_sha256,
        now,
    )
    return None if row is None else _upload(row)


async def end_upload(conn: Conn, organisation_id: UUID, upload_id: UUID, ending: str, *, now: datetime) -> bool:
    """False: it has ended before."""
    done = await conn.execute(
        "UPDATE portal.upload SET ended_at = $4, ending = $3 "
        "WHERE id = $2 AND organisation_id = $1 AND ended_at IS NULL",
        organisation_id,
        upload_id,
        ending,
        now,
    )
    return done == "UPDATE 1"


# -- objects -----------------------------------------------------------------------------------------------------------


async def insert_object(conn: Conn, new: StoredObject) -> None:
    """The newest version of its key; the one before is replaced."""
    await conn.execute(
        f"UPDATE portal.object SET replaced_at = $3 WHERE organisation_id = $1 AND key = $2 AND {_CURRENT}",  # noqa: S608  our own words
        new.organisation_id,
        new.key,
        new.created_at,
    )
    await conn.execute(
        f"INSERT INTO portal.object ({_OBJECT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608  our own words
        new.id,
        new.organisation_id,
        new.key,
        new.content.shape.size,
        new.content.shape.part_bytes,
        new.content.part_sha256,
        new.checksum,
        new.created_by,
        new.created_at,
    )


async def by_id(conn: Conn, organisation_id: UUID, object_id: UUID) -> StoredObject | None:
    """Any version whose content is still to be had, and that nobody has removed."""
    row = await conn.fetchrow(
        f"SELECT {_OBJECT} FROM portal.object "  # noqa: S608  our own words
        "WHERE id = $2 AND organisation_id = $1 AND removed_at IS NULL AND purged_at IS NULL",
        organisation_id,
        object_id,
    )
    return None if row is None else _object(row)


async def current(conn: Conn, organisation_id: UUID, key: str) -> StoredObject | None:
    row = await conn.fetchrow(
        f"SELECT {_OBJECT} FROM portal.object WHERE organisation_id = $1 AND key = $2 AND {_CURRENT}",  # noqa: S608  our own words
        organisation_id,
        key,
    )
    return None if row is None else _object(row)


async def current_of(conn: Conn, organisation_id: UUID, keys: Sequence[str]) -> dict[str, StoredObject]:
    rows = await conn.fetch(
        f"SELECT {_OBJECT} FROM portal.object WHERE organisation_id = $1 AND key = ANY($2) AND {_CURRENT}",  # noqa: S608  our own words
        organisation_id,
        list(keys),
    )
    return {row["key"]: _object(row) for row in rows}


async def listed(conn: Conn, organisation_id: UUID, *, prefix: str, after: str, limit: int) -> list[StoredObject]:
    """In the order of the keys' bytes."""
    rows = await conn.fetch(
        f"SELECT {_OBJECT} FROM portal.object WHERE organisation_id = $1 AND {_CURRENT} "  # noqa: S608  our own words
        'AND starts_with(key, $2) AND key COLLATE "C" > $3 AND key COLLATE "C" >= $2 ORDER BY key COLLATE "C" LIMIT $4',
        organisation_id,
        prefix,
        after,
        limit,
    )
    return [_object(row) for row in rows]


async def remove(conn: Conn, organisation_id: UUID, key: str, *, now: datetime) -> bool:
    """Its every version that is still there: what somebody removes, no job reads any more. False: there was none."""
    done = await conn.fetch(
        "UPDATE portal.object SET removed_at = $3 WHERE organisation_id = $1 AND key = $2 AND removed_at IS NULL "
        "AND purged_at IS NULL RETURNING replaced_at",
        organisation_id,
        key,
        now,
    )
    return any(row["replaced_at"] is None for row in done)


# -- what leaves -------------------------------------------------------------------------------------------------------


async def expired_uploads(conn: Conn, *, now: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """Open ones whose time is over: organisation and id."""
    rows = await conn.fetch(
        "SELECT organisation_id, id FROM portal.upload WHERE ended_at IS NULL AND expires_at <= $1 LIMIT $2", now, limit
    )
    return [(row["organisation_id"], row["id"]) for row in rows]


async def uploads_to_purge(conn: Conn, *, ended_before: datetime, limit: int) -> list[Upload]:
    rows = await conn.fetch(
        f"SELECT {_UPLOAD} FROM portal.upload WHERE purged_at IS NULL AND ending <> 'complete' "  # noqa: S608  our own words
        "AND ended_at <= $1 LIMIT $2",
        ended_before,
        limit,
    )
    return [_upload(row) for row in rows]


async def objects_to_purge(conn: Conn, *, left_before: datetime, limit: int) -> list[StoredObject]:
    rows = await conn.fetch(
        f"SELECT {_OBJECT}, removed_at IS NOT NULL AS is_removed FROM portal.object WHERE purged_at IS NULL "  # noqa: S608  our own words
        "AND (replaced_at IS NOT NULL OR removed_at IS NOT NULL) AND coalesce(removed_at, replaced_at) <= $1 "
        "ORDER BY coalesce(removed_at, replaced_at) LIMIT $2",
        left_before,
        limit,
    )
    return [replace(_object(row), is_removed=row["is_removed"]) for row in rows]


async def object_purged(conn: Conn, object_id: UUID, *, now: datetime) -> None:
    await conn.execute("UPDATE portal.object SET purged_at = $2 WHERE id = $1 AND purged_at IS NULL", object_id, now)


async def upload_purged(conn: Conn, upload_id: UUID, *, now: datetime) -> None:
    await conn.execute("UPDATE portal.upload SET purged_at = $2 WHERE id = $1 AND purged_at IS NULL", upload_id, now)


def _content(row: asyncpg.Record) -> Content:
    return Content(shape=Shape(size=row["size_bytes"], part_bytes=row["part_bytes"]), part_sha256=row["part_sha256"])


def _object(row: asyncpg.Record) -> StoredObject:
    return StoredObject(
        id=row["id"],
        organisation_id=row["organisation_id"],
        key=row["key"],
        content=_content(row),
        checksum=row["checksum"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


def _upload(row: asyncpg.Record) -> Upload:
    return Upload(
        id=row["id"],
        organisation_id=row["organisation_id"],
        key=row["key"],
        content=_content(row),
        opened_by=row["opened_by"],
        token=row["token"] or "",
        expires_at=row["expires_at"],
    )
