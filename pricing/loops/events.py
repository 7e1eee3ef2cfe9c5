"""The tick that follows events up: each object that was told of is fetched as it is, and taken into the books."""

from __future__ import annotations

from datetime import datetime

import structlog

from infra.db.connection import Lease, Pool, transaction
from infra.refusal import Refusal
from pricing.remote import GatewayAway, GatewayRefused, Remote, RemoteDispute, RemoteRefund
from pricing.service import arrivals, inbox
from pricing.stripe_gateway import StripeGateway

_BATCH = 100
_log = structlog.get_logger("pricing")


async def tick(gateway: StripeGateway, pool: Pool, lease: Lease | None, now: datetime) -> int:
    """One transaction for each object; how many were followed up. When Stripe is away, the rest waits."""
    async with transaction(pool, lease=lease) as conn:
        objects = await inbox.objects_to_look_at(conn, limit=_BATCH)
    for count, object_id in enumerate(objects):
        try:
            await follow_up(gateway, pool, lease, object_id, now)
        except GatewayAway as away:
            _log.warning("stripe-away", object=object_id, why=str(away))
            return count
    return len(objects)


async def follow_up(gateway: StripeGateway, pool: Pool, lease: Lease | None, object_id: str, now: datetime) -> int:
    """Look at an object and take it into the books; how much was new. GatewayAway.

    Only events that came before the look are handled by it. What is about a payment comes after that payment.
    """
    async with transaction(pool, lease=lease) as conn:
        told = await inbox.events_of(conn, object_id)
    seen = await _look(gateway, object_id)
    try:
        async with transaction(pool, lease=lease) as conn:
            new = 0
            for each in seen:
                new += await arrivals.take(conn, each, now=now)
            await inbox.set_handled(conn, told, now=now)
    except Refusal as refused:  # one object that cannot be booked holds up no other
        _log.error("stripe-not-booked", object=object_id, why=str(refused))
        async with transaction(pool, lease=lease) as conn:
            new = await arrivals.put_aside(conn, object_id, why=str(refused), now=now)
            await inbox.set_handled(conn, told, now=now)
    return new


async def _look(gateway: StripeGateway, object_id: str) -> list[Remote]:
    """The object, behind the payment that it is about, whose own event may not have come yet."""
    try:
        seen = await gateway.look(object_id)
        about = seen.intent_id if isinstance(seen, RemoteDispute | RemoteRefund) else None
        before = await gateway.look(about) if about else None
    except GatewayRefused as refused:
        _log.error("stripe-refused", object=object_id, why=str(refused))
        return []
    return [each for each in (before, seen) if each is not None]
