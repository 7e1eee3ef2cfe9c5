"""Receivables, top-ups, links to Stripe, and the outbox in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from asyncpg import Record

from infra.db.ahead import Look, rows_of
from infra.db.connection import Conn
from pricing.collectable import Collectable
from pricing.payments import Errand, Outcome, Receivable, Task, TopUp, Unpaid

_RECEIVABLE = """SELECT r.document_id, r.organisation_id, r.number, r.amount_yen, r.due_date, r.content,
       r.amount_yen - (SELECT coalesce(sum(p.amount_yen), 0)::bigint FROM pricing.payment p
                        WHERE p.document_id = r.document_id)
                    - (SELECT coalesce(sum(c.amount_yen), 0)::bigint FROM pricing.receivable_credit c
                        WHERE c.document_id = r.document_id) AS open_yen,
       l.stripe_id, l.url
  FROM pricing.receivable r
  LEFT JOIN pricing.stripe_link l ON l.kind = 'invoice' AND l.our_id = r.document_id"""
_TOP_UP = """SELECT t.id, t.organisation_id, t.amount_yen, t.requested_at, l.url,
       (SELECT coalesce(sum(p.amount_yen), 0)::bigint FROM pricing.payment p WHERE p.top_up_id = t.id) AS paid_yen
  FROM pricing.top_up t
  LEFT JOIN pricing.stripe_link l ON l.kind = 'checkout' AND l.our_id = t.id"""

_UNPAID = f"""SELECT number, due_date, open_yen FROM ({_RECEIVABLE} WHERE r.organisation_id = $1) AS asked
     WHERE open_yen > 0
    UNION ALL
    SELECT '', NULL, sum(c.amount_yen)::bigint FROM pricing.payment_case c
     WHERE c.organisation_id = $1 AND c.kind = 'dispute'
       AND NOT EXISTS (SELECT FROM pricing.payment_case_resolution WHERE case_id = c.id)
    HAVING count(*) > 0"""  # noqa: S608  our own words


@dataclass(frozen=True, slots=True)
class Link:
    """An object of ours and its twin at Stripe."""

    kind: str
    our_id: UUID
    stripe_id: str
    organisation_id: UUID
    url: str | None = None


async def add_receivable(conn: Conn, new: Collectable, *, now: datetime) -> bool:
    """False when it is there."""
    status = await conn.execute(
        "INSERT INTO pricing.receivable VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (document_id) DO NOTHING",
        new.document_id,
        new.organisation_id,
        new.number,
        new.amount_yen,
        new.due_date,
        new.to_json(),
        now,
    )
    return status == "INSERT 0 1"


async def add_receivables(conn: Conn, new: Sequence[Collectable], *, now: datetime) -> None:
    """Many at once; those that are there stay."""
    await conn.execute(
        """INSERT INTO pricing.receivable
           SELECT document, organisation, number, amount, due, content, $1 FROM unnest(
               $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::date[], $7::jsonb[])
               AS t (document, organisation, number, amount, due, content)
           ON CONFLICT (document_id) DO NOTHING""",
        now,
        [each.document_id for each in new],
        [each.organisation_id for each in new],
        [each.number for each in new],
        [each.amount_yen for each in new],
        [each.due_date for each in new],
        [each.to_json() for each in new],
    )


async def receivable(conn: Conn, document_id: UUID) -> Receivable | None:
    row = await conn.fetchrow(f"{_RECEIVABLE} WHERE r.document_id = $1", document_id)
    return Receivable(**row) if row else None


async def receivable_by_number(conn: Conn, number: str) -> Receivable | None:
    row = await conn.fetchrow(f"{_RECEIVABLE} WHERE r.number = $1", number)
    return Receivable(**row) if row else None


async def receivables(conn: Conn, *, organisation_id: UUID | None, only_open: bool) -> list[Receivable]:
    """By due date. organisation_id None: of all."""
    rows = await conn.fetch(
        f"SELECT * FROM ({_RECEIVABLE} WHERE $1::uuid IS NULL OR r.organisation_id = $1) AS found "  # noqa: S608
        "WHERE NOT $2 OR open_yen > 0 ORDER BY due_date, number",
        organisation_id,
        only_open,
    )
    return [Receivable(**row) for row in rows]


async def open_of(conn: Conn, organisations: Sequence[UUID]) -> dict[UUID, list[Receivable]]:
    """What is still open of each organisation's documents, by due date."""
    rows = await conn.fetch(
        f"SELECT * FROM ({_RECEIVABLE} WHERE r.organisation_id = ANY($1)) AS found "  # noqa: S608
        "WHERE open_yen > 0 ORDER BY due_date, number",
        list(organisations),
    )
    found: dict[UUID, list[Receivable]] = {}
    for row in rows:
        found.setdefault(row["organisation_id"], []).append(Receivable(**row))
    return found


def unpaid_look(organisation_id: UUID) -> Look:
    """What unpaid() asks."""
    return Look(_UNPAID, (organisation_id,))


async def unpaid(conn: Conn, organisation_id: UUID) -> tuple[list[Unpaid], int]:
    """What is still open of an organisation's documents, due or not, and how much of its payments is disputed."""
    rows = await rows_of(conn, unpaid_look(organisation_id))
    opens = [Unpaid(number=row["number"], due_date=row["due_date"], open_yen=row["open_yen"]) for row in rows]
    return [each for each in opens if each.number], sum(each.open_yen for each in opens if not each.number)


async def document(conn: Conn, document_id: UUID) -> Record | None:
    """organisation_id, number, due_date, amount_due_yen and content of what was issued."""
    return await conn.fetchrow(
        "SELECT organisation_id, number, due_date, amount_due_yen, content FROM pricing.document WHERE id = $1",
        document_id,
    )


async def add_credit(conn: Conn, *, note_id: UUID, of: Receivable, number: str, amount_yen: int, now: datetime) -> bool:
    """False when it is there."""
    status = await conn.execute(
        "INSERT INTO pricing.receivable_credit VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (note_id, document_id) DO NOTHING",
        note_id,
        of.document_id,
        of.organisation_id,
        number,
        amount_yen,
        now,
    )
    return status == "INSERT 0 1"


async def add_top_up(
    conn: Conn, *, top_up_id: UUID, organisation_id: UUID, amount_yen: int, person_id: UUID, now: datetime
) -> bool:
    """False when it is there."""
    status = await conn.execute(
        "INSERT INTO pricing.top_up VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING",
        top_up_id,
        organisation_id,
        amount_yen,
        person_id,
        now,
    )
    return status == "INSERT 0 1"


async def top_up(conn: Conn, top_up_id: UUID) -> TopUp | None:
    row = await conn.fetchrow(f"{_TOP_UP} WHERE t.id = $1", top_up_id)
    return TopUp(**row) if row else None


async def add_link(conn: Conn, new: Link, *, now: datetime) -> None:
    """Nothing happens when it is there."""
    await conn.execute(
        "INSERT INTO pricing.stripe_link VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, our_id) DO NOTHING",
        new.kind,
        new.our_id,
        new.stripe_id,
        new.organisation_id,
        new.url,
        now,
    )


async def link(conn: Conn, kind: str, our_id: UUID) -> Link | None:
    row = await conn.fetchrow(
        "SELECT kind, our_id, stripe_id, organisation_id, url FROM pricing.stripe_link WHERE kind = $1 AND our_id = $2",
        kind,
        our_id,
    )
    return Link(**row) if row else None


async def linked(conn: Conn, stripe_id: str | None) -> Link | None:
    """Which object of ours it is."""
    row = await conn.fetchrow(
        "SELECT kind, our_id, stripe_id, organisation_id, url FROM pricing.stripe_link WHERE stripe_id = $1", stripe_id
    )
    return Link(**row) if row else None


async def put_out(
    conn: Conn,
    task: Task,
    *,
    organisation_id: UUID,
    subject_id: UUID,
    revision: int = 0,
    content: Mapping[str, Any] | None = None,
    now: datetime,
) -> bool:
    """Into the outbox. False when it is there."""
    status = await conn.execute(
        "INSERT INTO pricing.outbox VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        uuid5(subject_id, f"{task}:{revision}"),
        organisation_id,
        task.value,
        subject_id,
        revision,
        dict(content or {}),
        now,
    )
    return status == "INSERT 0 1"


async def put_out_all(conn: Conn, task: Task, subjects: Sequence[tuple[UUID, UUID]], *, now: datetime) -> None:
    """The same of many, each (organisation, subject), for the first time."""
    await conn.execute(
        """INSERT INTO pricing.outbox SELECT id, organisation, $1, subject, 0, '{}', $2
           FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS t (id, organisation, subject) ON CONFLICT DO NOTHING""",
        task.value,
        now,
        [uuid5(subject, f"{task}:0") for _, subject in subjects],
        [organisation for organisation, _ in subjects],
        [subject for _, subject in subjects],
    )


async def due(conn: Conn, *, now: datetime, limit: int) -> list[Errand]:
    """What is to be tried now, the oldest first; of one subject only the oldest."""
    rows = await conn.fetch(
        """SELECT * FROM (
               SELECT DISTINCT ON (o.subject_id) o.id, o.kind, o.organisation_id, o.subject_id, o.revision, o.content,
                      o.created_at, coalesce(a.ordinal, 0) AS attempts, a.next_at
                 FROM pricing.outbox o
                 LEFT JOIN LATERAL (SELECT ordinal, next_at FROM pricing.outbox_attempt
                                     WHERE outbox_id = o.id ORDER BY ordinal DESC LIMIT 1) a ON true
                WHERE NOT EXISTS (SELECT FROM pricing.outbox_attempt
                                   WHERE outbox_id = o.id AND outcome <> 'later')
                ORDER BY o.subject_id, o.created_at, o.id) AS waiting
           WHERE coalesce(next_at <= $1, true) ORDER BY created_at, id LIMIT $2""",
        now,
        limit,
    )
    return [_errand(row) for row in rows]


async def add_attempt(
    conn: Conn, errand: Errand, *, outcome: Outcome, detail: str, next_at: datetime | None, now: datetime
) -> None:
    await conn.execute(
        "INSERT INTO pricing.outbox_attempt VALUES ($1, $2, $3::text::pricing.attempt_outcome, $4, $5, $6)",
        errand.id,
        errand.attempts + 1,
        outcome.value,
        detail[:1000],
        next_at,
        now,
    )


async def outbox_waiting(conn: Conn) -> int:
    """How many tasks are neither done nor given up."""
    count: int = await conn.fetchval(
        """SELECT count(*) FROM pricing.outbox o WHERE NOT EXISTS (
               SELECT FROM pricing.outbox_attempt WHERE outbox_id = o.id AND outcome <> 'later')"""
    )
    return count


def _errand(row: Record) -> Errand:
    return Errand(
        id=row["id"],
        task=Task(row["kind"]),
        organisation_id=row["organisation_id"],
        subject_id=row["subject_id"],
        revision=row["revision"],
        content=row["content"],
        attempts=row["attempts"],
    )
