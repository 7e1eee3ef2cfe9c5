"""The nightly tick: Stripe against our books. What events did not bring is followed up; what differs is listed."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from infra.db.connection import Lease, Pool, transaction
from infra.tokyo import TOKYO
from pricing.days import day_of
from pricing.loops.events import follow_up
from pricing.remote import GatewayAway
from pricing.service import inbox
from pricing.stripe_gateway import StripeGateway

_FROM_HOUR = 3
_LOOK_BACK = timedelta(days=100)
"""Payments are found by when their invoice was finalised."""
_DIFFERENCES = Gauge("kyoyo_stripe_differences", "Differences between Stripe and our books, last night")
_log = structlog.get_logger("pricing")


async def tick(gateway: StripeGateway, pool: Pool, lease: Lease | None, now: datetime) -> int:
    """Once a night, from three o'clock in Tokyo. How many differences there were; 0 as well when it is not time."""
    async with transaction(pool, lease=lease) as conn:
        last = await inbox.reconciled_on(conn)
    if last == day_of(now) or now.astimezone(TOKYO).hour < _FROM_HOUR:
        return 0
    try:
        return await run(gateway, pool, lease, now)
    except GatewayAway as away:
        _log.warning("stripe-away", why=str(away))
        return 0


async def run(gateway: StripeGateway, pool: Pool, lease: Lease | None, now: datetime) -> int:
    """Compare, follow up what is missing, and keep what differed. GatewayAway."""
    since = now - _LOOK_BACK
    theirs = await gateway.snapshot(since=since)
    async with transaction(pool, lease=lease) as conn:
        found = await inbox.compare(conn, theirs, since=since)
    for object_id in sorted({each.stripe_id for each in found} | set(theirs.disputed) | set(theirs.customers)):
        await follow_up(gateway, pool, lease, object_id, now)
    compared = len(theirs.received) + len(theirs.refunded) + len(theirs.asked)
    async with transaction(pool, lease=lease) as conn:
        await inbox.record_reconciliation(conn, day=day_of(now), since=since, compared=compared, found=found, now=now)
    _DIFFERENCES.set(len(found))
    for each in found:
        _log.error("stripe-differs", object=each.stripe_id, what=each.kind, ours=each.ours_yen, theirs=each.theirs_yen)
    return len(found)
