"""What tenancy costs: transactions of one reading statement as a tenant, against the same without role and policies."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from infra.db.connection import Pool, Role, transaction
from tests.support.benchmark import Result
from tests.support.database import fresh_database

_ROUNDS = 2_000
_ORGANISATION = UUID(int=1)
_QUERY = "SELECT count(*) FROM accounts.project"


async def run() -> Result:
    async with fresh_database() as database:
        await database.owner.execute("ANALYZE")
        tenant = await _per_second(lambda: _as_tenant(database.portal))
        bare = await _per_second(lambda: _as_owner(database.owner))
    return Result(
        name="tenant_transaction",
        figure=round(tenant),
        unit="transactions/s",
        peer=round(bare),
        ratio=round(tenant / bare, 4),
    )


async def _as_tenant(pool: Pool) -> None:
    async with transaction(pool, role=Role.TENANT, organisation_id=_ORGANISATION) as conn:
        await conn.fetchval(_QUERY)


async def _as_owner(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.fetchval(_QUERY)


async def _per_second(one: Callable[[], Awaitable[None]]) -> float:
    await one()
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        await one()
    return _ROUNDS / (time.perf_counter() - begun)
