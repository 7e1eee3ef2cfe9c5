"""The tick that puts out reminders of unpaid invoices. It ends no work: new work is refused at submission."""

from __future__ import annotations

from datetime import datetime

from infra.db.connection import Lease, Pool, transaction
from pricing.service import collecting


async def tick(pool: Pool, lease: Lease | None, now: datetime) -> int:
    """How many reminders are new."""
    async with transaction(pool, lease=lease) as conn:
        return await collecting.remind(conn, now=now)
