"""Several looks in one round trip, for a chain of services of which each asks for itself.

Whoever knows what will be asked in a transaction lets all of it be answered by one statement, and hands on a connection
that knows the answers. A store asks it as it asks any connection, through `rows_of`: the same words with the same
arguments are answered from what was read ahead, once; anything else goes to the database. So a wrong guess costs a
round trip, and never an answer.

What was read ahead is as old as that one statement: locks that an answer rests on are taken before it, by a statement
of their own. A look that takes locks may itself be read ahead; looks are carried out in the order in which they are
given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, cast

import asyncpg

from infra.db.connection import Conn

Row: TypeAlias = Mapping[str, Any] | asyncpg.Record
Rows: TypeAlias = Sequence[Row]
_PARAMETER = re.compile(r"\$(\d+)")
_columns: dict[str, tuple[str, ...]] = {}
"""Of each look its columns' names, which a row inside a row does not have. Words of ours alone: they are few."""


@dataclass(frozen=True, slots=True)
class Look:
    """A statement that reads, with its arguments (lists as tuples). Of its columns none is an enum or has no name."""

    sql: str
    args: tuple[object, ...] = ()


class Ahead:
    """A connection within its transaction, and the answers to what is going to be asked."""

    def __init__(self, conn: Conn, answers: dict[Look, Rows]) -> None:
        self._conn, self._answers = conn, answers

    def taken(self, look: Look) -> Rows | None:
        """The answer, the first time that it is asked for."""
        return self._answers.pop(look, None)

    def with_more(self, answers: Mapping[Look, Rows]) -> Ahead:
        return Ahead(self._conn, {**self._answers, **answers})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


async def rows_of(conn: Conn, look: Look) -> Rows:
    """What the look finds: read ahead, or now."""
    known = conn.taken(look) if isinstance(conn, Ahead) else None
    return await conn.fetch(look.sql, *look.args) if known is None else known


async def row_of(conn: Conn, look: Look) -> Row | None:
    """Of a look that finds one row or none."""
    found = await rows_of(conn, look)
    return found[0] if found else None


async def ahead(conn: Conn, *looks: Look) -> Conn:
    """The connection, knowing the answers to these, each of which may be used once."""
    wanted = tuple(dict.fromkeys(looks))
    for look in wanted:
        if look.sql not in _columns:
            statement = await conn.prepare(look.sql)
            _columns[look.sql] = tuple(attribute.name for attribute in statement.get_attributes())
    found = await conn.fetchrow(
        _together(tuple(look.sql for look in wanted)), *(arg for look in wanted for arg in look.args)
    )
    assert found is not None  # of one row
    answers = {
        look: [dict(zip(_columns[look.sql], each, strict=True)) for each in part]
        for look, part in zip(wanted, found.values(), strict=True)
    }
    more = conn.with_more(answers) if isinstance(conn, Ahead) else Ahead(conn, dict(answers))
    return cast("Conn", more)


@lru_cache(maxsize=256)
def _together(statements: tuple[str, ...]) -> str:
    parts, before = [], 0
    for sql in statements:
        parts.append(f"ARRAY(SELECT look FROM ({_moved(sql, by=before)}) look)")  # noqa: S608  our own words
        before += max((int(number) for number in _PARAMETER.findall(sql)), default=0)
    return "SELECT " + ", ".join(f"{part} AS look_{place}" for place, part in enumerate(parts))


def _moved(sql: str, *, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", sql)
