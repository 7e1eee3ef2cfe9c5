"""Rules that hold for every table, asked of the database itself."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.database import Database
from tests.support.schema import OUR_SCHEMAS, tables

SCHEMA = Path(__file__).parents[3] / "infra" / "db" / "schema.sql"
SERVING = ["kyoyo_portal", "kyoyo_tenant", "kyoyo_operator", "kyoyo_officer", "kyoyo_worker", "kyoyo_auditor"]


async def test_every_table_says_what_it_is(database: Database) -> None:
    async with database.owner.acquire() as conn:
        assert [table.name for table in await tables(conn) if not table.comment] == []


def test_every_member_of_an_enumeration_has_its_meaning_beside_it() -> None:
    enums = re.findall(r"CREATE TYPE (\S+) AS ENUM \((.*?)\n\);", SCHEMA.read_text(encoding="utf-8"), re.DOTALL)
    assert len(enums) >= 8
    lines = [(name, line.strip()) for name, body in enums for line in body.splitlines() if line.strip()]
    assert [(name, line) for name, line in lines if not re.fullmatch(r"'\w+',?\s+-- \S.*", line)] == []


async def test_every_tenant_table_is_under_forced_row_level_security(database: Database) -> None:
    async with database.owner.acquire() as conn:
        found = await tables(conn)
    tenant = [table for table in found if table.has_organisation or table.name == "accounts.organisation"]
    assert len(tenant) >= 20
    assert [table.name for table in tenant if not (table.row_security and table.forced)] == []


async def test_the_tables_belong_to_a_role_that_serves_nobody(database: Database) -> None:
    async with database.owner.acquire() as conn:
        assert {table.owner for table in await tables(conn)} == {"kyoyo_owner"}
        assert await conn.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'kyoyo_owner'") is False


async def test_no_role_that_serves_is_above_the_policies(database: Database) -> None:
    rows = await database.owner.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND "
        "(rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR pg_has_role(oid, 'kyoyo_owner', 'MEMBER'))",
        SERVING,
    )
    assert rows == []
    assert await database.owner.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = ANY ($1)", SERVING) == 6


async def test_the_portal_has_nothing_by_itself(database: Database) -> None:
    granted = await database.owner.fetch(
        "SELECT DISTINCT table_schema || '.' || table_name AS name FROM information_schema.role_table_grants "
        "WHERE grantee IN ('kyoyo_portal', 'PUBLIC') AND table_schema = ANY ($1)",
        OUR_SCHEMAS,
    )
    assert granted == []
    inherits = await database.owner.fetch(
        "SELECT 1 FROM pg_auth_members WHERE member = 'kyoyo_portal'::regrole AND inherit_option"
    )
    assert inherits == []


async def test_definers_rights_come_with_a_fixed_search_path_and_not_for_everybody(database: Database) -> None:
    rows = await database.owner.fetch(
        "SELECT p.oid::regprocedure::text AS name FROM pg_proc p WHERE p.pronamespace::regnamespace::text = ANY ($1) "
        "AND (has_function_privilege('public', p.oid, 'EXECUTE') OR (p.prosecdef AND p.proconfig IS NULL))",
        OUR_SCHEMAS,
    )
    assert rows == []


# Bits of pg_trigger.tgtype: 1 each row, 2 before, 8 delete, 16 update, 32 truncate.
BEFORE_EACH_UPDATE_OR_DELETE = 1 | 2 | 8 | 16
BEFORE_TRUNCATE = 2 | 32

# Tables whose rows may change: projections that can be rebuilt, and the register of persons and organisations, whose
# changes are in the audit trail. Every other table holds facts.
CHANGEABLE = {
    "infra.leader",
    *(
        "accounts.person",
        "accounts.organisation",
        "accounts.membership",
        "accounts.secret",
        "accounts.site_user",
        "accounts.staff",
        "accounts.project",
    ),
    "accounts.api_token",
    *("pricing.offering", "pricing.wallet", "pricing.hold", "pricing.billable_attempt", "pricing.parked_usage"),
    *("pricing.ledger_balance", "pricing.document_counter"),
    "pricing.inbox",  # what came is a fact; that it was dealt with is added
    *("scheduler.attempt", "scheduler.attempt_files", "scheduler.device", "scheduler.reserved_hour"),
    "scheduler.forecast",
    *("portal.object", "portal.upload"),
    *("metering.collection", "metering.parked_row"),
    "scheduler.changed",  # no fact: word of one, until it is taken
}


async def test_every_table_is_append_only_but_for_those_named_here(database: Database) -> None:
    guards = await database.owner.fetch(
        "SELECT tgrelid::regclass::text AS name, tgtype::int, tgenabled::text FROM pg_trigger "
        "WHERE tgfoid = 'infra.refuse_change'::regproc"
    )
    of_rows = {row["name"] for row in guards if row["tgtype"] == BEFORE_EACH_UPDATE_OR_DELETE}
    of_the_whole = {row["name"] for row in guards if row["tgtype"] == BEFORE_TRUNCATE}
    async with database.owner.acquire() as conn:
        every = {table.name for table in await tables(conn)}
    assert every - of_rows == every - of_the_whole == CHANGEABLE
    assert {row["tgenabled"] for row in guards} == {"O"}


async def test_nothing_but_core_postgresql_is_used(database: Database) -> None:
    rows = await database.owner.fetch("SELECT extname FROM pg_extension")
    assert [row["extname"] for row in rows] == ["plpgsql"]


async def test_no_request_deletes_a_row(database: Database) -> None:
    """Nor does a loop, but for the word of changes that the scheduler's leader takes."""
    rows = await database.owner.fetch(
        "SELECT grantee, table_schema || '.' || table_name AS name, privilege_type "
        "FROM information_schema.role_table_grants WHERE table_schema = ANY ($1) AND grantee = ANY ($2) "
        "AND privilege_type IN ('DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES')",
        OUR_SCHEMAS,
        SERVING,
    )
    assert [tuple(row) for row in rows] == [("kyoyo_worker", "scheduler.changed", "DELETE")]
