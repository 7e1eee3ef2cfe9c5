"""The inbox: events of Stripe, each once; and the nightly comparison of Stripe with our books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from infra.db.connection import Conn
from pricing.payments import Difference, differences
from pricing.remote import EventHint, Snapshot
from pricing.store import payments as store

LOOP = "stripe-events"


async def receive_event(conn: Conn, hint: EventHint, *, now: datetime) -> bool:
    """Keep an event whose signature was checked. False: it came before."""
    return await store.receive_event(conn, hint, now=now)


async def is_known(conn: Conn, event_id: str) -> bool:
    """Whether an event came before."""
    return await store.is_known(conn, event_id)


async def objects_to_look_at(conn: Conn, *, limit: int) -> list[str]:
    """Objects of which something was told that nobody has looked at yet."""
    return await store.objects_to_look_at(conn, limit=limit)


async def events_of(conn: Conn, object_id: str) -> list[str]:
    """What was told of an object and is not handled. To be asked before the object is looked at."""
    return await store.events_of(conn, object_id)


async def set_handled(conn: Conn, event_ids: Sequence[str], *, now: datetime) -> None:
    """These are dealt with."""
    await store.set_handled(conn, event_ids, now=now)


async def compare(conn: Conn, theirs: Snapshot, *, since: datetime) -> list[Difference]:
    """Stripe beside our books: money received, money given back, and what is asked for."""
    received = await store.received_at_stripe(conn, since=since, ids=list(theirs.received))
    refunded = await store.refunded_at_stripe(conn, since=since, ids=list(theirs.refunded))
    asked: Mapping[str, int] = await store.asked_at_stripe(conn)
    return [
        *differences("received", ours=received, theirs=theirs.received),
        *differences("refunded", ours=refunded, theirs=theirs.refunded),
        *differences("asked", ours=asked, theirs=theirs.asked),
    ]


async def reconciled_on(conn: Conn) -> date | None:
    """The day of the last comparison."""
    last = await store.last_reconciliation(conn)
    return last["day"] if last else None


async def record_reconciliation(
    conn: Conn, *, day: date, since: datetime, compared: int, found: Sequence[Difference], now: datetime
) -> bool:
    """Keep a night's result. False: that day has one."""
    return await store.add_reconciliation(conn, day=day, since=since, compared=compared, found=found, now=now)
