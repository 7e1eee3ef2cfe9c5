"""No tenant reaches another's rows, in any table: generated over the catalogue, so a new table is under test at once.

The clone loses its CHECKs and triggers, which would stop invented rows; policies and grants are those of production.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from infra.db.connection import Conn, Role, transaction
from tests.support.database import Database
from tests.support.schema import OUR_SCHEMAS

A, B = UUID(int=0xA), UUID(int=0xB)
SOMEBODY = UUID(int=0xFFFF)

COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS table_name, quote_ident(a.attname) AS column_name, a.attnotnull,
       t.typcategory::text AS category, format_type(a.atttypid, NULL) AS type_name,
       has_column_privilege('kyoyo_tenant', c.oid, a.attnum, 'SELECT') AS may_read,
       has_column_privilege('kyoyo_tenant', c.oid, a.attnum, 'INSERT') AS may_add,
       has_column_privilege('kyoyo_tenant', c.oid, a.attnum, 'UPDATE') AS may_change
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE n.nspname = ANY ($1) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 ORDER BY 1, a.attnum
"""
RELAX = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS statement
  FROM pg_constraint WHERE contype = 'c' AND connamespace::regnamespace::text = ANY ($1)
UNION ALL
SELECT format('ALTER TABLE %s DISABLE TRIGGER ALL', c.oid::regclass)
  FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text = ANY ($1)
"""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    required: bool
    expression: str  # some value of its type
    may_read: bool
    may_add: bool
    may_change: bool


@dataclass(frozen=True, slots=True)
class TenantTable:
    name: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> str:
        """The column that says whose row it is."""
        return "id" if self.name == "accounts.organisation" else "organisation_id"

    def insert(self, organisation: UUID | None, *, columns: tuple[Column, ...] | None = None) -> str:
        chosen = columns or self.columns
        own = "NULL" if organisation is None else f"'{organisation}'"
        values = [own if column.name == self.key else column.expression for column in chosen]
        names = ", ".join(column.name for column in chosen)
        return f"INSERT INTO {self.name} ({names}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(values)})"

    @property
    def takes_rows_of_the_house(self) -> bool:
        return not next(column for column in self.columns if column.name == self.key).required


@dataclass(frozen=True, slots=True)
class World:
    database: Database
    tables: tuple[TenantTable, ...]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Every tenant table with one row of A, one of B, and one of the house where it may have one."""
    async with transaction(database.owner) as conn:
        for statement in [row["statement"] for row in await conn.fetch(RELAX, OUR_SCHEMAS)]:
            await conn.execute(statement)
        found = await _tenant_tables(conn)
        for table in found:
            for organisation in (A, B, *([None] if table.takes_rows_of_the_house else [])):
                await conn.execute(table.insert(organisation))
    return World(database, found)


async def _tenant_tables(conn: Conn) -> tuple[TenantTable, ...]:
    columns: dict[str, list[Column]] = {}
    for row in await conn.fetch(COLUMNS, OUR_SCHEMAS):
        columns.setdefault(row["table_name"], []).append(
            Column(
                name=row["column_name"],
                required=row["attnotnull"],
                expression=_some_value(row["category"], row["type_name"]),
                may_read=row["may_read"],
                may_add=row["may_add"],
                may_change=row["may_change"],
            )
        )
    every = [TenantTable(name, tuple(of_table)) for name, of_table in columns.items()]
    return tuple(table for table in every if table.key in {column.name for column in table.columns})


# An expression for some value of a type or of a category of types, unique where a key may need it.
OF_TYPE = {
    "uuid": "gen_random_uuid()",
    "bytea": "sha256(gen_random_uuid()::text::bytea)",
    "jsonb": "'{}'",
    "xid8": "pg_current_xact_id()",
}
OF_CATEGORY = {
    "N": "(random() * 1000000)::int",
    "D": "now() + random() * interval '1 day'",
    "B": "false",
    "A": "'{}'",
    "S": "gen_random_uuid()::text",
}


def _some_value(category: str, type_name: str) -> str:
    return OF_TYPE.get(type_name) or OF_CATEGORY.get(category) or f"(enum_range(NULL::{type_name}))[1]"


async def test_the_world_is_not_empty(world: World) -> None:
    assert len(world.tables) >= 20
    for table in world.tables:
        rows = await world.database.owner.fetch(f"SELECT {table.key} AS own FROM {table.name}")
        assert {A, B} <= {row["own"] for row in rows}, table.name


async def test_a_tenant_reads_its_own_rows_and_no_others_in_any_table(world: World) -> None:
    readable = [table for table in world.tables if any(column.may_read for column in table.columns)]
    assert len(readable) >= 15
    async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
        for table in readable:
            rows = await conn.fetch(f"SELECT {table.key} AS own FROM {table.name}")
            assert [row["own"] for row in rows] == [A], table.name


async def test_a_transaction_for_nobody_sees_nothing_in_any_table(world: World) -> None:
    async with transaction(world.database.portal, role=Role.TENANT) as conn:
        for table in world.tables:
            if any(column.may_read for column in table.columns):
                assert await conn.fetch(f"SELECT {table.key} FROM {table.name}") == [], table.name


async def test_the_portal_without_a_role_may_read_no_table(world: World) -> None:
    for table in world.tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(world.database.portal) as conn:
                await conn.execute(f"SELECT 1 FROM {table.name}")


async def test_a_tenant_adds_no_row_for_another_or_for_the_house_in_any_table(world: World) -> None:
    for table in world.tables:
        for organisation in (B, None):
            allowed = tuple(column for column in table.columns if column.may_add)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
                    await conn.execute(table.insert(organisation, columns=allowed or None))
                    pytest.fail(f"a row of {organisation} got into {table.name}")


async def test_a_tenant_changes_no_row_of_another_in_any_table(world: World) -> None:
    changeable = [(table, column) for table in world.tables for column in table.columns if column.may_change]
    assert changeable
    for table, column in changeable:
        assert column.name != table.key, f"{table.name}: a tenant could give its row away"
        async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
            statement = f"UPDATE {table.name} SET {column.name} = {column.expression} WHERE {table.key} = '{B}'"
            assert await conn.execute(statement) == "UPDATE 0", table.name


async def test_a_tenant_deletes_nothing(world: World) -> None:
    for table in world.tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
                await conn.execute(f"DELETE FROM {table.name}")


async def test_a_tenant_sees_only_the_persons_who_are_or_were_its_members(world: World) -> None:
    async with transaction(world.database.owner) as conn:
        rows = await conn.fetch("SELECT person_id, organisation_id FROM accounts.membership")
        for person in [*(row["person_id"] for row in rows), SOMEBODY]:
            await conn.execute(
                "INSERT INTO accounts.person VALUES ($1, 'x', $2, true, now())", person, f"{person}@example.jp"
            )
    async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
        seen = [row["id"] for row in await conn.fetch("SELECT id FROM accounts.person")]
    assert seen == [row["person_id"] for row in rows if row["organisation_id"] == A]


async def test_a_tenant_cannot_become_another_role_or_switch_the_policies_off(world: World) -> None:
    for attempt in (
        "SET LOCAL ROLE kyoyo_worker",
        "SET LOCAL ROLE kyoyo_owner",
        "SET LOCAL session_replication_role = replica",
        "ALTER TABLE scheduler.job DISABLE ROW LEVEL SECURITY",
        "SELECT accounts.append_audit(now(), NULL, NULL, 'x', 'x', '{}')",
        f"SELECT accounts.append_audit(now(), NULL, '{B}', 'x', 'x', '{{}}')",
        f"SELECT pricing.lock_wallet('{B}')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with transaction(world.database.portal, role=Role.TENANT, organisation_id=A) as conn:
                await conn.execute(attempt)
