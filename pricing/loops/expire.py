"""The tick that books lapsed grants. Nothing depends on its punctuality: a hold never claims what has expired."""

from __future__ import annotations

from datetime import datetime

from infra.db.connection import Lease, Pool, transaction
from pricing import service

_BATCH = 100


async def tick(pool: Pool, lease: Lease | None, now: datetime) -> int:
    """Book what lapsed by now, one organisation per transaction; how many grants it was."""
    async with transaction(pool, lease=lease) as conn:
        due = await service.organisations_with_expired_lots(conn, now=now, limit=_BATCH)
    booked = 0
    for organisation_id in due:
        async with transaction(pool, lease=lease) as conn:
            booked += await service.expire_lots(conn, organisation_id=organisation_id, now=now)
    return booked
