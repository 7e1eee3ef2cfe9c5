"""Transactions as the roles that serve, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest

from infra.db.connection import Conn, Lease, Role, open_pool, savepoint, transaction
from tests.support.database import Database

ALICE = UUID(int=1)


async def test_what_a_block_wrote_is_there_after_it_and_not_after_an_error(database: Database) -> None:
    async with transaction(database.owner) as conn:
        await conn.execute("INSERT INTO infra.leader VALUES ('a', 1, 'x', now(), now())")
    with pytest.raises(ZeroDivisionError):
        async with transaction(database.owner) as conn:
            await conn.execute("INSERT INTO infra.leader VALUES ('b', 1, 'x', now(), now())")
            _ = 1 / 0
    assert await database.owner.fetchval("SELECT array_agg(loop) FROM infra.leader") == ["a"]


async def test_an_error_that_was_swallowed_does_not_look_committed(database: Database) -> None:
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        async with transaction(database.owner) as conn:
            await conn.execute("INSERT INTO infra.leader VALUES ('a', 1, 'x', now(), now())")
            with suppress(asyncpg.DivisionByZeroError):
                await conn.execute("SELECT 1 / 0")
    assert await database.owner.fetchval("SELECT count(*) FROM infra.leader") == 0


async def test_a_savepoint_takes_back_its_own_block_alone(database: Database) -> None:
    async with transaction(database.owner) as conn:
        await conn.execute("INSERT INTO infra.leader VALUES ('a', 1, 'x', now(), now())")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with savepoint(conn):
                await conn.execute("INSERT INTO infra.leader VALUES ('b', 1, 'x', now(), now())")
                await conn.execute("SELECT 1 / 0")
        async with savepoint(conn):
            await conn.execute("INSERT INTO infra.leader VALUES ('c', 1, 'x', now(), now())")
    assert await database.owner.fetchval("SELECT array_agg(loop ORDER BY loop) FROM infra.leader") == ["a", "c"]


async def test_role_and_organisation_do_not_outlive_the_transaction(database: Database) -> None:
    async with open_pool(database.url, user="kyoyo_portal", size=1) as pool:
        async with transaction(pool, role=Role.TENANT, organisation_id=ALICE) as conn:
            assert await _who(conn) == ("kyoyo_tenant", ALICE)
        async with transaction(pool) as conn:
            assert await _who(conn) == ("kyoyo_portal", None)


async def test_json_goes_in_and_comes_out_as_values(database: Database) -> None:
    facts = {"name": "共用", "list": [1, None, True]}
    async with transaction(database.worker) as conn:
        assert await conn.fetchval("SELECT $1::jsonb", facts) == facts


async def test_a_cancelled_block_gives_no_open_transaction_and_no_role_back(database: Database) -> None:
    # 1. a request is cancelled while it waits inside its transaction; 2. the next one gets a clean connection.
    async with open_pool(database.url, user="kyoyo_portal", size=1) as pool:
        inside = asyncio.Event()

        async def request() -> None:
            async with transaction(pool, role=Role.TENANT, organisation_id=ALICE) as conn:
                inside.set()
                await conn.execute("SELECT pg_sleep(30)")

        task = asyncio.create_task(request())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with transaction(pool) as conn:
            assert await _who(conn) == ("kyoyo_portal", None)
        assert pool.get_idle_size() == 1
    assert await _open_transactions(database) == 0


async def test_cancelled_at_whatever_await_a_block_leaves_the_pool_whole(database: Database) -> None:
    async with open_pool(database.url, user="kyoyo_portal", size=2) as pool:

        async def request() -> None:
            async with transaction(pool, role=Role.TENANT, organisation_id=ALICE) as conn:
                await conn.fetchval("SELECT 1")
                await asyncio.sleep(0)
                await conn.fetchval("SELECT 2")

        for turns in range(60):
            task = asyncio.create_task(request())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with transaction(pool) as conn:
                assert await _who(conn) == ("kyoyo_portal", None)
    assert await _open_transactions(database) == 0


async def test_a_refused_commit_is_an_error_and_leaves_the_connection_usable(database: Database) -> None:
    await database.owner.execute(
        "CREATE TABLE public.parent (id int PRIMARY KEY); "
        "CREATE TABLE public.child (id int REFERENCES public.parent DEFERRABLE INITIALLY DEFERRED)"
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with transaction(database.owner) as conn:
            await conn.execute("INSERT INTO public.child VALUES (1)")
    async with transaction(database.owner) as conn:
        assert await conn.fetchval("SELECT count(*) FROM public.child") == 0


async def test_a_stale_lease_is_refused_before_anything_is_written(database: Database) -> None:
    await database.owner.execute("INSERT INTO infra.leader VALUES ('dispatch', 2, 'x', now(), now())")
    async with transaction(database.worker, lease=Lease(loop="dispatch", token=2)):
        pass
    with pytest.raises(asyncpg.PostgresError, match="stale leader") as refused:
        async with transaction(database.worker, lease=Lease(loop="dispatch", token=1)):
            pytest.fail("a stale leader got into its block")
    assert refused.value.sqlstate == "KY002"


async def test_a_snapshot_sees_one_instant_and_cannot_write(database: Database) -> None:
    async with transaction(database.worker, snapshot=True) as conn:
        before = await conn.fetchval("SELECT count(*) FROM infra.leader")
        await database.owner.execute("INSERT INTO infra.leader VALUES ('late', 1, 'x', now(), now())")
        assert await conn.fetchval("SELECT count(*) FROM infra.leader") == before
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with transaction(database.worker, snapshot=True) as conn:
            await conn.execute("INSERT INTO infra.leader VALUES ('other', 1, 'x', now(), now())")


async def _who(conn: Conn) -> tuple[str, UUID | None]:
    row = await conn.fetchrow(
        "SELECT current_user, nullif(current_setting('kyoyo.organisation_id', true), '')::uuid AS organisation"
    )
    assert row is not None
    return row["current_user"], row["organisation"]


async def _open_transactions(database: Database) -> int:
    count = await database.owner.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
    )
    assert isinstance(count, int)
    return count
