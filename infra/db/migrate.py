"""Forward-only migrations: numbered SQL files, applied once, in order, one transaction each.

    infra/db/migrations/NNNN_name.sql     0001, 0002, … without a gap; never edited once applied anywhere

What was applied is written in infra_migration.schema_migration, with the SHA-256 of each file: outside the files,
because it must exist before the first of them. Tables belong to kyoyo_owner, whoever runs this. roles.sql comes first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from infra.db.connection import Conn

_HERE = Path(__file__).parent
MIGRATIONS = _HERE / "migrations"
ROLES = _HERE / "roles.sql"
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_ADVISORY_KEY = 7711003
_WAIT_FOR_PEER = "60s"  # another process that migrates the same database
_LOCK_TIMEOUT = "5s"  # a migration that cannot have its lock at once must not queue everybody behind it

# The bookkeeping of migrations. Whoever serves may read it, to refuse a database that it does not understand.
_BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS infra_migration;
CREATE TABLE IF NOT EXISTS infra_migration.schema_migration (
    number     integer PRIMARY KEY CHECK (number > 0),
    name       text NOT NULL,
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE infra_migration.schema_migration IS 'Which numbered files made this database, with their SHA-256.';
GRANT USAGE ON SCHEMA infra_migration TO kyoyo_portal, kyoyo_worker, kyoyo_auditor;
GRANT SELECT ON infra_migration.schema_migration TO kyoyo_portal, kyoyo_worker, kyoyo_auditor;
"""


class MigrationRefused(Exception):
    """The database and the files do not fit together. The message says what to do; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


@dataclass(frozen=True, slots=True)
class Applied:
    number: int
    name: str
    sha256: bytes


def read_files(folder: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in order. MigrationRefused: a strange file name, a gap or a doubled number."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(f"{path.name} is not named NNNN_name.sql")
        found.append(Migration(number=int(match[1]), name=match[2], sql=path.read_text(encoding="utf-8")))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"the numbers in {folder.name}/ must be 0001, 0002, … without a gap")
    return found


def pending(files: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """What is still to do. MigrationRefused: an applied file was edited or is missing, or the database is newer."""
    for done in applied:
        if done.number > len(files):
            raise MigrationRefused(
                f"the database is newer than this code: it has migration {done.number:04}_{done.name}, "
                f"the code ends at {len(files):04}. Run the newer version."
            )
        if done.sha256 != files[done.number - 1].sha256:
            raise MigrationRefused(
                f"{done.number:04}_{done.name}.sql was edited after it was applied. Restore it and write a new file."
            )
    return list(files[len(applied) :])


async def migrate(
    url: str, *, user: str | None = None, dry_run: bool = False, folder: Path = MIGRATIONS
) -> list[Migration]:
    """Brings the database up to the files and returns those applied (with dry_run: those that would be).

    The URL's role is a superuser; or, where roles.sql has been applied by one, it owns the database and may become
    kyoyo_owner.
    A migration that fails leaves nothing of itself; those before it stay. MigrationRefused.
    """
    files = read_files(folder)
    async with _alone(url, user=user) as conn:
        todo = pending(files, await applied_to(conn))
        if dry_run:
            return todo
        await prepare(conn)
        for migration in todo:
            await _apply(conn, migration)
        return todo


async def require_current(conn: Conn) -> None:
    """For whoever is about to serve. MigrationRefused: the database is older or newer than this code."""
    todo = pending(read_files(), await applied_to(conn))
    if todo:
        raise MigrationRefused(
            f"the database lacks {len(todo)} migration(s), from {todo[0].number:04}_{todo[0].name} on"
        )


async def applied_to(conn: Conn) -> list[Applied]:
    if await conn.fetchval("SELECT to_regclass('infra_migration.schema_migration') IS NULL"):
        return []
    rows = await conn.fetch("SELECT number, name, sha256 FROM infra_migration.schema_migration ORDER BY number")
    return [Applied(number=row["number"], name=row["name"], sha256=row["sha256"]) for row in rows]


async def prepare(conn: Conn) -> None:
    """What the files stand on: roles, the owner's right to make schemas here, the bookkeeping."""
    database = await conn.fetchval("SELECT quote_ident(current_database())")
    async with conn.transaction():
        await conn.execute(ROLES.read_text(encoding="utf-8"))
        await conn.execute(f"GRANT CREATE ON DATABASE {database} TO kyoyo_owner")
        await as_owner(conn, _BOOKKEEPING)


async def as_owner(conn: Conn, sql: str) -> None:
    """Runs statements as kyoyo_owner inside the present transaction, and is oneself again afterwards."""
    await conn.execute("SET LOCAL ROLE kyoyo_owner")
    await conn.execute(sql)
    await conn.execute("RESET ROLE")


async def _apply(conn: Conn, migration: Migration) -> None:
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        await conn.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        await as_owner(conn, migration.sql)
        await conn.execute(
            "INSERT INTO infra_migration.schema_migration (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )


@asynccontextmanager
async def _alone(url: str, *, user: str | None) -> AsyncIterator[Conn]:
    """A connection that holds the migrators' lock. The lock ends with the connection."""
    conn = await asyncpg.connect(url, user=user, server_settings={"lock_timeout": _WAIT_FOR_PEER})
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _ADVISORY_KEY)
        yield conn
    finally:
        await conn.close()
