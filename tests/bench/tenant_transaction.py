"""What tenancy costs: transactions of one reading statement as a tenant, against the same without role and policies."""

from __future__ import annotations

from uuid import UUID

from infra.db.connection import Role, transaction
from tests.bench._load import closed_loop, in_turns, sized
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database

_TRANSACTIONS = 4_000
_ORGANISATION = UUID(int=1)
_QUERY = "SELECT count(*) FROM accounts.project"


async def run() -> Result:
    count = sized(_TRANSACTIONS)
    async with fresh_database() as database:
        pools = _Pools(database)
        tenant_s, bare_s = await in_turns(database, count, pools.as_tenant, pools.as_owner)
    return Result(
        name="tenant_transaction",
        figure=round(count / tenant_s),
        unit="transactions/s",
        peer=round(count / bare_s),
        ratio=round(bare_s / tenant_s, 4),
        facts={"transactions": count, "connections": 1},
    )


class _Pools:
    """One connection on each side."""

    def __init__(self, database: Database) -> None:
        self._portal, self._owner = database.portal, database.owner

    async def as_tenant(self, numbers: range) -> float:
        async def one(_number: int) -> None:
            async with transaction(self._portal, role=Role.TENANT, organisation_id=_ORGANISATION) as conn:
                await conn.fetchval(_QUERY)

        return await closed_loop(numbers, one, callers=1)

    async def as_owner(self, numbers: range) -> float:
        async def one(_number: int) -> None:
            async with self._owner.acquire() as conn, conn.transaction():
                await conn.fetchval(_QUERY)

        return await closed_loop(numbers, one, callers=1)
