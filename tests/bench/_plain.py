"""The peer of a benchmark that writes: the same rows into copies of the tables that nothing guards, as superuser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncpg import Record

from infra.db.connection import Conn

_SCHEMA = "plain"


async def copy_tables(conn: Conn, *tables: str, like: str = "") -> None:
    """Empty copies without constraints, defaults, indexes, triggers and policies, but for what `like` includes."""
    await conn.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
    for table in tables:
        await conn.execute(f"CREATE TABLE {plain(table)} (LIKE {table} {like})")


def plain(table: str) -> str:
    """The copy's name."""
    return f"{_SCHEMA}.{table.replace('.', '_')}"


async def insert(conn: Conn, table: str, rows: Sequence[Mapping[str, object] | Record]) -> None:
    """Rows as they were read from the real table, in one statement each."""
    if rows:
        columns = ", ".join(rows[0].keys())
        places = ", ".join(f"${number}" for number in range(1, len(rows[0]) + 1))
        statement = f"INSERT INTO {plain(table)} ({columns}) VALUES ({places})"
        await conn.executemany(statement, [tuple(row.values()) for row in rows])
