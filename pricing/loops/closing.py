"""The tick that closes a month whose close an operator has decided, and notes which months are over."""

from __future__ import annotations

from datetime import datetime

import structlog

from infra.db.connection import Lease, Pool, notify, transaction
from pricing import service

BATCH = 500
NAME = "closing"
_log = structlog.get_logger("pricing")


async def tick(pool: Pool, lease: Lease | None, now: datetime, *, batch: int = BATCH) -> int:
    """Close the next organisations in one transaction; how many it was. After the last one the month is closed."""
    async with transaction(pool, lease=lease) as conn:
        marked = await service.mark_ended(conn, now=now)
        plan = await service.closing_month(conn)
    if plan is None:
        return marked
    async with transaction(pool, lease=lease) as conn:
        closed = await service.close_some(conn, plan, limit=batch, now=now)
        if closed:
            await notify(conn, NAME)  # there may be more to do
    if closed:
        return marked + closed
    async with transaction(pool, lease=lease) as conn:
        finished = await service.finish_close(conn, plan.month, now=now)
    if finished:
        _log.info("month-closed", month=str(plan.month))
    return marked + finished
