"""Several looks in one round trip: the answers are those that each would have had by itself, and none is used twice."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from infra.db.ahead import Ahead, Look, ahead, row_of, rows_of
from infra.db.connection import transaction
from tests.support.database import Database

pytestmark = pytest.mark.postgres
_ID = UUID(int=7)
_AT = datetime(2026, 4, 1, tzinfo=UTC)
_ROW = Look(
    "SELECT $1::uuid AS id, $2::timestamptz AS at, $3::numeric AS amount, '{\"a\": [1, null]}'::jsonb AS facts, "
    "NULL::text AS nothing, true AS yes, '\\x00ff'::bytea AS body",
    (_ID, _AT, Decimal("1.50")),
)
_MANY = Look("SELECT n, n * $2::bigint AS more FROM unnest($1::bigint[]) AS t (n) ORDER BY n DESC", ((1, 2, 3), 10))
_NONE = Look("SELECT 1 AS one WHERE $1::boolean", (False,))


async def test_each_look_is_answered_as_if_it_had_been_asked_by_itself(database: Database) -> None:
    async with transaction(database.worker) as conn:
        alone = [[dict(row) for row in await rows_of(conn, look)] for look in (_ROW, _MANY, _NONE)]
        knowing = await ahead(conn, _ROW, _MANY, _NONE, _MANY)
        assert [[dict(row) for row in await rows_of(knowing, look)] for look in (_ROW, _MANY, _NONE)] == alone
        assert alone[1] == [{"n": 3, "more": 30}, {"n": 2, "more": 20}, {"n": 1, "more": 10}]
        assert await row_of(knowing, _NONE) is None


async def test_an_answer_is_used_once_and_what_was_not_read_ahead_is_asked_now(database: Database) -> None:
    counted = Look("SELECT count(*) AS number FROM infra.leader")
    async with transaction(database.worker) as conn:
        knowing = await ahead(await ahead(conn, counted), _MANY)
        await knowing.execute("INSERT INTO infra.leader VALUES ('a', 1, 'me', now(), now())")
        first, second = [await rows_of(knowing, counted) for _ in range(2)]
        assert [dict(row) for row in (*first, *second)] == [{"number": 0}, {"number": 1}]
        assert [dict(row) for row in await rows_of(knowing, Look(_MANY.sql, ((5,), 2)))] == [{"n": 5, "more": 10}]
        assert isinstance(knowing, Ahead)
        assert knowing.taken(_MANY) is not None


async def test_a_lock_that_is_read_ahead_is_held_until_the_end(database: Database) -> None:
    lock = Look("SELECT pg_advisory_xact_lock($1) IS NULL AS is_locked", (7,))
    free = "SELECT pg_try_advisory_xact_lock(7)"
    async with transaction(database.worker) as conn, transaction(database.worker) as other:
        await ahead(conn, lock)
        assert not await other.fetchval(free)
    async with transaction(database.worker) as conn:
        assert await conn.fetchval(free)
