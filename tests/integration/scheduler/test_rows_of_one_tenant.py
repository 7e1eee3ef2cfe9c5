"""What the database itself refuses to a request that works for one organisation, should our code ever be wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4  # noqa: TID251  ids of rows that are never committed

import asyncpg
import pytest

from infra.db.connection import Conn
from tests.support.database import Database
from tests.support.scheduled import World, open_world

_COPY_OF_JOB = """
    INSERT INTO scheduler.job
    SELECT (jsonb_populate_record(NULL::scheduler.job, to_jsonb(j) || jsonb_build_object(
        'id', $1::uuid, 'idempotency_key', $1::text, 'number', NULL, 'project_id', coalesce($2::uuid, j.project_id)))).*
    FROM scheduler.job j LIMIT 1"""


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


async def cancel_a_strangers_job(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(
        "INSERT INTO scheduler.cancellation VALUES ($1, $2, $3, now())",
        foreign["id"],
        own["organisation_id"],
        own["person_id"],
    )


async def let_a_stranger_pay(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(
        "INSERT INTO pricing.billable_attempt (attempt_id, job_id, organisation_id, project_id, person_id, offering_id,"
        " opened_at) VALUES ($1, $2, $3, $4, $5, $6, now())",
        uuid4(),
        foreign["id"],
        own["organisation_id"],
        own["project_id"],
        own["person_id"],
        own["offering_id"],
    )


async def book_on_a_strangers_project(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(_COPY_OF_JOB, uuid4(), foreign["project_id"])


async def wait_for_a_strangers_job(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(
        "INSERT INTO scheduler.dependency VALUES ($1, $2, $3, 'afterok')",
        own["id"],
        foreign["id"],
        own["organisation_id"],
    )


async def submit_without_a_hold(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(_COPY_OF_JOB, uuid4(), None)


async def run_without_anybody_who_pays(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    await conn.execute(
        "INSERT INTO scheduler.attempt (id, job_id, organisation_id, phase, ordinal, backend, state, queued_at)"
        " VALUES ($1, $2, $3, 'second', 2, $4, 'QUEUED', now())",
        uuid4(),
        own["id"],
        own["organisation_id"],
        own["backend"],
    )


async def hold_less_than_was_quoted(conn: Conn, own: asyncpg.Record, foreign: asyncpg.Record) -> None:
    job_id = uuid4()
    await conn.execute(
        "INSERT INTO pricing.quote SELECT (jsonb_populate_record(NULL::pricing.quote, to_jsonb(q) || "
        "jsonb_build_object('id', $1::uuid, 'job_id', $2::uuid))).* FROM pricing.quote q LIMIT 1",
        uuid4(),
        job_id,
    )
    await conn.execute("INSERT INTO pricing.hold VALUES ($1, $2, 0, now())", job_id, own["organisation_id"])


@pytest.mark.parametrize(
    "attempt",
    [
        cancel_a_strangers_job,
        let_a_stranger_pay,
        book_on_a_strangers_project,
        wait_for_a_strangers_job,
        submit_without_a_hold,
        run_without_anybody_who_pays,
        hold_less_than_was_quoted,
    ],
    ids=lambda attempt: attempt.__name__,
)
async def test_the_database_refuses_to(
    world: World, attempt: Callable[[Conn, asyncpg.Record, asyncpg.Record], Awaitable[None]]
) -> None:
    jobs = {}
    for name in ("alice", "bob"):
        member = await world.member(name)
        job = await world.submit(member)
        jobs[name] = await world.market.database.owner.fetchrow("SELECT * FROM scheduler.job WHERE id = $1", job.id)
    own, foreign = jobs["alice"], jobs["bob"]
    assert own is not None
    assert foreign is not None
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with world.market.as_tenant(own["organisation_id"]) as conn:
            await attempt(conn, own, foreign)
            await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
