"""Migrations: applied once, in order, whole; and they lead to schema.sql."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4  # noqa: TID251  a name for a throw-away database

import asyncpg
import pytest

from infra.db.migrate import MIGRATIONS, MigrationRefused, applied_to, as_owner, migrate, prepare, require_current
from tests.support import postgres
from tests.support.database import Database
from tests.support.schema import dump

pytestmark = pytest.mark.postgres

SCHEMA = MIGRATIONS.parent / "schema.sql"


@pytest.fixture
async def empty() -> AsyncIterator[str]:
    """URL of an empty database."""
    running = await postgres.server()
    name = f"empty_{uuid4().hex}"
    url = await postgres.clone(running, name, template="template0")
    yield url
    await postgres.drop(running, name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE SCHEMA one; CREATE TABLE one.t (x int);")
    return tmp_path


async def test_migrations_lead_to_the_schema(empty: str, database: Database) -> None:
    conn = await asyncpg.connect(empty)
    try:
        await prepare(conn)
        async with conn.transaction():
            await as_owner(conn, SCHEMA.read_text(encoding="utf-8"))
    finally:
        await conn.close()
    assert await dump(empty) == await dump(database.url)


async def test_each_file_is_applied_once(empty: str, folder: Path) -> None:
    assert [done.name for done in await migrate(empty, folder=folder)] == ["one"]
    assert await migrate(empty, folder=folder) == []
    (folder / "0002_two.sql").write_text("ALTER TABLE one.t ADD COLUMN y int;")
    assert [done.name for done in await migrate(empty, folder=folder)] == ["two"]


async def test_a_dry_run_tells_and_changes_nothing(empty: str, folder: Path) -> None:
    assert [done.number for done in await migrate(empty, dry_run=True, folder=folder)] == [1]
    assert await _fetch(empty, "SELECT to_regnamespace('one') IS NULL AND to_regnamespace('infra_migration') IS NULL")


async def test_migrators_at_the_same_time_apply_each_file_once(empty: str, folder: Path) -> None:
    results = await asyncio.gather(*(migrate(empty, folder=folder) for _ in range(4)))
    assert sorted(len(done) for done in results) == [0, 0, 0, 1]


async def test_an_edited_file_is_refused(empty: str, folder: Path) -> None:
    await migrate(empty, folder=folder)
    (folder / "0001_one.sql").write_text("CREATE SCHEMA other;")
    with pytest.raises(MigrationRefused, match="was edited after it was applied"):
        await migrate(empty, folder=folder)


async def test_a_database_newer_than_the_code_is_refused(empty: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("SELECT 1;")
    await migrate(empty, folder=folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationRefused, match="newer than this code"):
        await migrate(empty, folder=folder)


@pytest.mark.parametrize("name", ["0003_three.sql", "0001_again.sql", "two.sql", "0002-two.sql"])
async def test_a_gap_a_doubled_number_or_a_strange_name_is_refused(empty: str, folder: Path, name: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(MigrationRefused):
        await migrate(empty, folder=folder)


async def test_a_file_that_fails_leaves_nothing_of_itself(empty: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("CREATE TABLE one.half (x int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty, folder=folder)
    assert await _fetch(empty, "SELECT to_regclass('one.t') IS NOT NULL AND to_regclass('one.half') IS NULL")


async def test_a_file_waits_only_briefly_for_a_lock(empty: str, folder: Path) -> None:
    await migrate(empty, folder=folder)
    (folder / "0002_two.sql").write_text("SET LOCAL lock_timeout = '50ms'; ALTER TABLE one.t ADD COLUMN y int;")
    busy = await asyncpg.connect(empty)
    try:
        async with busy.transaction():
            await busy.execute("LOCK TABLE one.t")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await migrate(empty, folder=folder)
    finally:
        await busy.close()


async def test_whoever_migrates_the_tables_belong_to_the_owner_role(empty: str, folder: Path) -> None:
    await migrate(empty, folder=folder)
    assert await _fetch(empty, "SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'") == "kyoyo_owner"


async def test_a_login_without_special_rights_migrates_once_the_roles_are_there(empty: str, folder: Path) -> None:
    login = f"migrator_{uuid4().hex}"
    await postgres.execute(
        empty,
        (MIGRATIONS.parent / "roles.sql").read_text(encoding="utf-8"),
        f"CREATE ROLE {login} LOGIN; GRANT kyoyo_owner TO {login}",
        f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO {login}', current_database()); END $$",
    )
    try:
        assert len(await migrate(empty, user=login, folder=folder)) == 1
    finally:
        await postgres.execute(
            empty, f"REASSIGN OWNED BY {login} TO postgres; DROP OWNED BY {login}; DROP ROLE {login}"
        )


async def test_roles_are_made_for_several_databases_at_the_same_time(empty: str, database: Database) -> None:
    roles = (MIGRATIONS.parent / "roles.sql").read_text(encoding="utf-8")
    await asyncio.gather(*(postgres.execute(url, roles) for url in (empty, database.url) * 5))


async def test_who_serves_can_tell_whether_the_database_fits(empty: str, database: Database) -> None:
    for pool in (database.portal, database.worker):
        async with pool.acquire() as conn:
            await require_current(conn)
    conn = await asyncpg.connect(empty)
    try:
        assert await applied_to(conn) == []
        with pytest.raises(MigrationRefused, match="lacks"):
            await require_current(conn)
    finally:
        await conn.close()


async def _fetch(url: str, query: str) -> object:
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval(query)
    finally:
        await conn.close()
