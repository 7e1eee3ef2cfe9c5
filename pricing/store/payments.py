"""Payments, what went back, cases, the inbox and the nightly reconciliation in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.payments import Booking, CaseKind, Difference, Method, Payment, PaymentCase, Resolution
from pricing.remote import EventHint

_PAYMENT = """SELECT p.id, p.organisation_id, p.document_id, p.top_up_id, p.method::text AS method, p.amount_yen,
       p.repaid_micro_yen, p.prepaid_micro_yen, p.stripe_id, p.reference, p.paid_at, p.recorded_by, p.recorded_at,
       p.amount_yen - (SELECT coalesce(sum(CASE r.kind WHEN 'dispute_won' THEN -r.amount_yen ELSE r.amount_yen END), 0)
                         FROM pricing.payment_reversal r WHERE r.payment_id = p.id)::bigint AS left_yen
  FROM pricing.payment p"""
_CASE = """SELECT c.id, c.organisation_id, c.kind, c.stripe_id, c.amount_yen, c.facts, c.opened_at, r.resolution,
       r.reason, r.resolved_at
  FROM pricing.payment_case c LEFT JOIN pricing.payment_case_resolution r ON r.case_id = c.id"""


async def add_payment(conn: Conn, new: Payment, booking: Booking) -> bool:
    """False when it is there, by its id or by Stripe's."""
    status = await conn.execute(
        """INSERT INTO pricing.payment VALUES ($1, $2, $3, $4, $5::text::pricing.payment_method, $6, $7, $8, $9, $10,
               $11, $12, $13) ON CONFLICT DO NOTHING""",
        new.id,
        new.organisation_id,
        new.document_id,
        new.top_up_id,
        new.method.value,
        new.amount_yen,
        booking.repaid_micro_yen,
        booking.prepaid_micro_yen,
        new.stripe_id,
        new.reference,
        new.paid_at,
        new.recorded_by,
        new.recorded_at,
    )
    return status == "INSERT 0 1"


async def payment(conn: Conn, payment_id: UUID) -> Payment | None:
    row = await conn.fetchrow(f"{_PAYMENT} WHERE p.id = $1", payment_id)
    return _payment(row) if row else None


async def payment_by_stripe(conn: Conn, stripe_id: str | None) -> Payment | None:
    row = await conn.fetchrow(f"{_PAYMENT} WHERE p.stripe_id = $1", stripe_id)
    return _payment(row) if row else None


async def payments(conn: Conn, *, organisation_id: UUID | None, limit: int) -> list[Payment]:
    """The latest first. organisation_id None: of all."""
    rows = await conn.fetch(
        f"""{_PAYMENT} WHERE ($1::uuid IS NULL OR p.organisation_id = $1)
            ORDER BY p.recorded_at DESC, p.id LIMIT $2""",
        organisation_id,
        limit,
    )
    return [_payment(row) for row in rows]


async def received_at_stripe(conn: Conn, *, since: datetime, ids: Sequence[str]) -> dict[str, int]:
    """Amounts by payment intent: those recorded since then, and these."""
    rows = await conn.fetch(
        """SELECT stripe_id, amount_yen FROM pricing.payment
           WHERE stripe_id IS NOT NULL AND (recorded_at >= $1 OR stripe_id = ANY($2))""",
        since,
        list(ids),
    )
    return {row["stripe_id"]: row["amount_yen"] for row in rows}


async def asked_at_stripe(conn: Conn) -> dict[str, int]:
    """What open invoices at Stripe should ask for in all, by their id."""
    rows = await conn.fetch(
        """SELECT l.stripe_id, r.amount_yen FROM pricing.receivable r
             JOIN pricing.stripe_link l ON l.kind = 'invoice' AND l.our_id = r.document_id
            WHERE r.amount_yen > (SELECT coalesce(sum(p.amount_yen), 0) FROM pricing.payment p
                                   WHERE p.document_id = r.document_id)
                              + (SELECT coalesce(sum(c.amount_yen), 0) FROM pricing.receivable_credit c
                                  WHERE c.document_id = r.document_id)"""
    )
    return {row["stripe_id"]: row["amount_yen"] for row in rows}


async def refunded_at_stripe(conn: Conn, *, since: datetime, ids: Sequence[str]) -> dict[str, int]:
    """Amounts by refund: those recorded since then, and these."""
    rows = await conn.fetch(
        """SELECT l.stripe_id, coalesce(v.amount_yen, c.amount_yen) AS amount_yen FROM pricing.stripe_link l
             LEFT JOIN pricing.payment_reversal v ON v.id = l.our_id
             LEFT JOIN pricing.payment_case c ON c.id = l.our_id
            WHERE l.kind = 'refund' AND (l.linked_at >= $1 OR l.stripe_id = ANY($2))""",
        since,
        list(ids),
    )
    return {row["stripe_id"]: row["amount_yen"] for row in rows}


async def add_reversal(
    conn: Conn,
    *,
    reversal_id: UUID,
    of: Payment,
    kind: str,
    amount_yen: int,
    booked_micro_yen: int,
    stripe_id: str | None,
    reason: str,
    actor: UUID | None,
    now: datetime,
) -> bool:
    """False when it is there."""
    status = await conn.execute(
        "INSERT INTO pricing.payment_reversal VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        reversal_id,
        of.organisation_id,
        of.id,
        kind,
        amount_yen,
        booked_micro_yen,
        stripe_id,
        reason,
        actor,
        now,
    )
    return status == "INSERT 0 1"


async def reversal(conn: Conn, reversal_id: UUID) -> Record | None:
    """Its payment_id, amount_yen and booked_micro_yen."""
    return await conn.fetchrow(
        "SELECT payment_id, amount_yen, booked_micro_yen FROM pricing.payment_reversal WHERE id = $1", reversal_id
    )


async def add_case(conn: Conn, new: PaymentCase) -> bool:
    """False when it is there, by what it is about and of which kind."""
    status = await conn.execute(
        "INSERT INTO pricing.payment_case VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        new.id,
        new.organisation_id,
        new.kind.value,
        new.stripe_id,
        new.amount_yen,
        dict(new.facts),
        new.opened_at,
    )
    return status == "INSERT 0 1"


async def case(conn: Conn, case_id: UUID) -> PaymentCase | None:
    row = await conn.fetchrow(f"{_CASE} WHERE c.id = $1", case_id)
    return _case(row) if row else None


async def cases(conn: Conn, *, only_open: bool) -> list[PaymentCase]:
    """The oldest first."""
    rows = await conn.fetch(f"{_CASE} WHERE NOT $1 OR r.case_id IS NULL ORDER BY c.opened_at, c.id", only_open)
    return [_case(row) for row in rows]


async def open_cases_of(
    conn: Conn, organisation_id: UUID, kinds: Sequence[CaseKind], *, stripe_id: str | None = None
) -> list[PaymentCase]:
    rows = await conn.fetch(
        f"""{_CASE} WHERE c.organisation_id = $1 AND c.kind = ANY($2) AND r.case_id IS NULL
            AND ($3::text IS NULL OR c.stripe_id = $3) ORDER BY c.opened_at, c.id""",
        organisation_id,
        [kind.value for kind in kinds],
        stripe_id,
    )
    return [_case(row) for row in rows]


async def resolve(
    conn: Conn, of: PaymentCase, resolution: Resolution, *, reason: str, actor: UUID | None, now: datetime
) -> bool:
    """False when it was resolved."""
    status = await conn.execute(
        "INSERT INTO pricing.payment_case_resolution VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        of.id,
        of.organisation_id,
        resolution.value,
        reason,
        actor,
        now,
    )
    return status == "INSERT 0 1"


async def receive_event(conn: Conn, hint: EventHint, *, now: datetime) -> bool:
    """Into the inbox; False when it is there. The one thing that the portal may do without a person."""
    is_new: bool = await conn.fetchval(
        "SELECT pricing.receive_event($1, $2, $3, $4, $5)",
        hint.event_id,
        hint.type,
        hint.object_id,
        hint.happened_at,
        now,
    )
    return is_new


async def is_known(conn: Conn, event_id: str) -> bool:
    """Whether an event is in the inbox."""
    known: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM pricing.inbox WHERE event_id = $1)", event_id)
    return known


async def objects_to_look_at(conn: Conn, *, limit: int) -> list[str]:
    """Of which something was told that nobody has looked at yet, the longest waiting first."""
    rows = await conn.fetch(
        """SELECT object_id FROM pricing.inbox WHERE handled_at IS NULL
           GROUP BY object_id ORDER BY min(received_at), object_id LIMIT $1""",
        limit,
    )
    return [row["object_id"] for row in rows]


async def events_of(conn: Conn, object_id: str) -> list[str]:
    """The unhandled events of an object."""
    rows = await conn.fetch("SELECT event_id FROM pricing.inbox WHERE handled_at IS NULL AND object_id = $1", object_id)
    return [row["event_id"] for row in rows]


async def set_handled(conn: Conn, event_ids: Sequence[str], *, now: datetime) -> None:
    await conn.execute(
        "UPDATE pricing.inbox SET handled_at = $2 WHERE event_id = ANY($1) AND handled_at IS NULL",
        list(event_ids),
        now,
    )


async def add_reconciliation(
    conn: Conn, *, day: date, since: datetime, compared: int, found: Sequence[Difference], now: datetime
) -> bool:
    """False when that day has one."""
    status = await conn.execute(
        "INSERT INTO pricing.reconciliation VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        day,
        since,
        compared,
        [asdict(each) for each in found],
        now,
    )
    return status == "INSERT 0 1"


async def last_reconciliation(conn: Conn) -> Mapping[str, Any] | None:
    """day, since, compared, differences, ran_at."""
    row = await conn.fetchrow(
        "SELECT day, since, compared, differences, ran_at FROM pricing.reconciliation ORDER BY day DESC LIMIT 1"
    )
    return None if row is None else dict(row)


def _payment(row: Record) -> Payment:
    return Payment(**{**row, "method": Method(row["method"])})


def _case(row: Record) -> PaymentCase:
    told = row["resolution"]
    return PaymentCase(
        **{**row, "kind": CaseKind(row["kind"]), "resolution": None if told is None else Resolution(told)}
    )
