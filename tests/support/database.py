"""What a test gets from the fixture `database`: its own clone, and a pool as each role that matters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4  # noqa: TID251  a name for a throw-away database

from infra.db.connection import Pool, open_pool
from tests.support import postgres

_POOL_SIZE = 12  # enough for a race of ten; the server allows 300


@dataclass(frozen=True, slots=True)
class Database:
    """url: as superuser, for whatever starts a process or connects as somebody else (open_pool(url, user=…))."""

    url: str
    portal: Pool  # as kyoyo_portal: sees nothing until transaction(role=…, organisation_id=…)
    worker: Pool  # as kyoyo_worker
    owner: Pool  # as superuser: to arrange what no role may, and to look behind the policies


@asynccontextmanager
async def fresh_database() -> AsyncIterator[Database]:
    running = await postgres.server()
    name = f"test_{uuid4().hex}"
    url = await postgres.clone(running, name)
    try:
        async with AsyncExitStack() as stack:
            pools = {
                user: await stack.enter_async_context(open_pool(url, user=user, size=_POOL_SIZE))
                for user in ("kyoyo_portal", "kyoyo_worker", "postgres")
            }
            yield Database(url=url, portal=pools["kyoyo_portal"], worker=pools["kyoyo_worker"], owner=pools["postgres"])
    finally:
        await postgres.drop(running, name)
