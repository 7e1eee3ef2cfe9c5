"""Events of a time that did not reach us, fetched again: what an operator asks for after an outage of ours."""

from __future__ import annotations

from datetime import datetime

from infra.db.connection import Pool, transaction
from pricing.service import inbox
from pricing.stripe_gateway import StripeGateway


async def replay(
    gateway: StripeGateway, pool: Pool, *, since: datetime, until: datetime, now: datetime, dry_run: bool = False
) -> tuple[int, int]:
    """Put the events of [since, until) into the inbox: how many there were, and how many were new. GatewayAway."""
    found = await gateway.events(since=since, until=until)
    new = 0
    async with transaction(pool) as conn:
        for hint in found:
            if dry_run:
                new += not await inbox.is_known(conn, hint.event_id)
            else:
                new += await inbox.receive_event(conn, hint, now=now)
    return len(found), new
