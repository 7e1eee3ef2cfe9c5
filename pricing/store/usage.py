"""Handed-over usage, rated lines, and the ends of attempts and holds in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from infra.db.connection import Conn
from pricing.charging import Key, Line, Rest
from pricing.ledger.templates import Template, transaction_id
from pricing.model import BillableAttempt, Cause, Component, Ending, UsageToRate, Waiver
from pricing.rating import RatedPiece
from pricing.units import decimal, micro

_SETTLING = (Template.SETTLE, Template.REFUND, Template.ADJUST)
_REVISIONS = 4  # looked for at a time: most attempts are settled once
_LINES = """SELECT attempt_id, usage_record_id, component, accounting_date, effective_at, quantity, list_micro_yen,
    market_micro_yen, price_micro_yen, charged_micro_yen, waiver, house_micro_yen, refunded_micro_yen
    FROM pricing.rated_line"""


async def add_usage(conn: Conn, attempt: BillableAttempt, usages: Sequence[UsageToRate], *, now: datetime) -> None:
    """Records that are there already stay as they are."""
    await conn.executemany(
        """INSERT INTO pricing.billable_usage (usage_record_id, supersedes, attempt_id, organisation_id, component,
               quantity, started_at, ended_at, recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (usage_record_id) DO NOTHING""",
        [
            (
                each.usage_record_id,
                each.supersedes,
                attempt.attempt_id,
                attempt.organisation_id,
                each.component,
                each.quantity,
                each.started_at,
                each.ended_at,
                now,
            )
            for each in usages
        ],
    )


async def usages_of_attempt(conn: Conn, attempt_id: UUID) -> list[UsageToRate]:
    rows = await conn.fetch(
        """SELECT usage_record_id, supersedes, component, quantity, started_at, ended_at
           FROM pricing.billable_usage WHERE attempt_id = $1""",
        attempt_id,
    )
    return [UsageToRate(**row) for row in rows]


async def usages_of_job(conn: Conn, job_id: UUID) -> dict[UUID, list[UsageToRate]]:
    """Every usage record of a job, corrected ones included, by attempt."""
    rows = await conn.fetch(
        """SELECT u.attempt_id, u.usage_record_id, u.supersedes, u.component, u.quantity, u.started_at, u.ended_at
           FROM pricing.billable_usage u JOIN pricing.billable_attempt a ON a.attempt_id = u.attempt_id
           WHERE a.job_id = $1""",
        job_id,
    )
    found: dict[UUID, list[UsageToRate]] = {}
    for row in rows:
        facts = dict(row)
        found.setdefault(facts.pop("attempt_id"), []).append(UsageToRate(**facts))
    return found


async def park(
    conn: Conn, attempt: BillableAttempt, usage_record_ids: Sequence[UUID], *, reason: str, now: datetime
) -> None:
    """Keep records aside. Those that are there already stay as they are."""
    await conn.executemany(
        """INSERT INTO pricing.parked_usage (usage_record_id, organisation_id, attempt_id, reason, parked_at)
           VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING""",
        [(each, attempt.organisation_id, attempt.attempt_id, reason, now) for each in usage_record_ids],
    )


async def parked_attempts(conn: Conn, job_id: UUID) -> frozenset[UUID]:
    """Attempts of a job with parked usage that nobody has resolved and no correction has replaced."""
    rows = await conn.fetch(
        """SELECT DISTINCT p.attempt_id
           FROM pricing.parked_usage p JOIN pricing.billable_attempt a ON a.attempt_id = p.attempt_id
           WHERE a.job_id = $1 AND p.resolved_at IS NULL AND NOT EXISTS (
               SELECT FROM pricing.billable_usage u
                WHERE u.attempt_id = p.attempt_id AND u.supersedes = p.usage_record_id)""",
        job_id,
    )
    return frozenset(row["attempt_id"] for row in rows)


async def is_parked(conn: Conn, attempt_id: UUID) -> bool:
    """The same of one attempt."""
    return bool(
        await conn.fetchval(
            """SELECT EXISTS (
                   SELECT FROM pricing.parked_usage p
                   WHERE p.attempt_id = $1 AND p.resolved_at IS NULL AND NOT EXISTS (
                       SELECT FROM pricing.billable_usage u
                        WHERE u.attempt_id = p.attempt_id AND u.supersedes = p.usage_record_id))""",
            attempt_id,
        )
    )


async def resolve_parked(conn: Conn, usage_record_id: UUID, *, now: datetime) -> UUID | None:
    """The attempt of a parked record, which waits no more; None when no record of this id is parked."""
    await conn.execute(
        "UPDATE pricing.parked_usage SET resolved_at = $2 WHERE usage_record_id = $1 AND resolved_at IS NULL",
        usage_record_id,
        now,
    )
    found: UUID | None = await conn.fetchval(
        "SELECT attempt_id FROM pricing.parked_usage WHERE usage_record_id = $1", usage_record_id
    )
    return found


async def close_attempt(
    conn: Conn,
    attempt_id: UUID,
    *,
    ending: Ending,
    cause: Cause,
    charged_bp: int,
    ended_at: datetime,
    last: bool,
    now: datetime,
) -> None:
    """How it ended and what of it is charged, once and for good."""
    await conn.execute(
        """UPDATE pricing.billable_attempt
           SET ending = $2::text::pricing.ending, closed_at = $3, last = $4, told_at = $5, cause = $6, charged_bp = $7
           WHERE attempt_id = $1 AND ending IS NULL""",
        attempt_id,
        ending.value,
        ended_at,
        last,
        now,
        cause.value,
        charged_bp,
    )


async def finish_accounting(conn: Conn, attempt_id: UUID, *, now: datetime) -> None:
    """The backend's record is complete."""
    await conn.execute(
        """UPDATE pricing.billable_attempt SET accounting_final_at = $2
           WHERE attempt_id = $1 AND accounting_final_at IS NULL""",
        attempt_id,
        now,
    )


async def mark_settled(conn: Conn, attempt_ids: Sequence[UUID], *, now: datetime) -> None:
    await conn.execute(
        "UPDATE pricing.billable_attempt SET settled_at = $2 WHERE attempt_id = ANY($1)", list(attempt_ids), now
    )


async def close_hold(conn: Conn, job_id: UUID, *, now: datetime) -> None:
    await conn.execute("UPDATE pricing.hold SET closed_at = $2 WHERE job_id = $1", job_id, now)


async def revision_of(conn: Conn, attempt: BillableAttempt) -> int:
    """How often an attempt has been settled or corrected so far. By their ids: a job may have thousands of others."""
    found = 0
    while True:
        numbers = range(found, found + _REVISIONS)
        booked: int = await conn.fetchval(
            "SELECT count(*) FROM pricing.ledger_transaction WHERE id = ANY($1)",
            [transaction_id(template, attempt.attempt_id, number) for number in numbers for template in _SETTLING],
        )
        found += booked
        if booked < _REVISIONS:
            return found


async def live_lines(conn: Conn, job_id: UUID) -> dict[Key, Line]:
    """What stands of a job's rated lines."""
    return _live(await conn.fetch(f"{_LINES} WHERE job_id = $1 ORDER BY usage_record_id, piece", job_id))


async def live_lines_of_attempt(conn: Conn, attempt_id: UUID) -> dict[Key, Line]:
    """The same of one attempt."""
    return _live(await conn.fetch(f"{_LINES} WHERE attempt_id = $1 ORDER BY usage_record_id, piece", attempt_id))


def _live(rows: Sequence[Record]) -> dict[Key, Line]:
    """Line and reversal alternate, so of an odd number the last one stands."""
    live: dict[Key, Line] = {}
    for row in rows:
        key = (row["usage_record_id"], row["accounting_date"])
        if live.pop(key, None) is None:
            live[key] = _line(row)
    return live


async def rest_of(conn: Conn, attempt: BillableAttempt) -> tuple[Rest, bool]:
    """What the other attempts of its job come to, and whether its hold is open. Lines and reversals add up."""
    row = await conn.fetchrow(
        """SELECT h.closed_at IS NULL AS is_open, l.charged, l.ours, o.unsettled,
                  CASE WHEN o.unsettled THEN false ELSE EXISTS (
                      SELECT FROM pricing.billable_attempt
                       WHERE job_id = $1 AND attempt_id <> $2 AND last) END AS has_last
           FROM pricing.hold h
           CROSS JOIN (SELECT coalesce(sum(charged_micro_yen), 0)::bigint AS charged,
                              coalesce(sum(house_micro_yen), 0) > 0 AS ours
                         FROM pricing.rated_line WHERE job_id = $1 AND attempt_id <> $2) l
           CROSS JOIN (SELECT EXISTS (
                           SELECT FROM pricing.billable_attempt
                            WHERE job_id = $1 AND attempt_id <> $2 AND settled_at IS NULL) AS unsettled) o
           WHERE h.job_id = $1""",
        attempt.job_id,
        attempt.attempt_id,
    )
    assert row is not None
    rest = Rest(
        charged_micro_yen=row["charged"],
        is_at_our_cost=row["ours"],
        is_settled=not row["unsettled"],
        has_last=row["has_last"],
    )
    return rest, row["is_open"]


async def append_lines(
    conn: Conn,
    attempts: Mapping[UUID, BillableAttempt],
    lines: Sequence[Line],
    *,
    price_versions: Mapping[str, UUID],
    now: datetime,
) -> None:
    """Lines in their order; each takes the next piece number of its usage record. price_versions: by offering."""
    numbers = await _next_pieces(conn, {line.piece.usage_record_id for line in lines})
    rows = []
    for line in lines:
        record = line.piece.usage_record_id
        attempt = attempts[line.attempt_id]
        rows.append(_row(line, attempt, numbers[record], price_versions[attempt.offering_id], now))
        numbers[record] += 1
    await conn.executemany(
        """INSERT INTO pricing.rated_line (id, usage_record_id, piece, organisation_id, project_id, person_id, job_id,
               attempt_id, offering_id, price_version_id, component, accounting_date, quantity, list_micro_yen,
               market_micro_yen, price_micro_yen, charged_micro_yen, waiver, effective_at, recorded_at, house_micro_yen,
               refunded_micro_yen)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
               $21, $22)""",
        rows,
    )


async def _next_pieces(conn: Conn, usage_record_ids: set[UUID]) -> dict[UUID, int]:
    rows = await conn.fetch(
        """SELECT usage_record_id, max(piece) + 1 AS next FROM pricing.rated_line
           WHERE usage_record_id = ANY($1) GROUP BY usage_record_id""",
        list(usage_record_ids),
    )
    return dict.fromkeys(usage_record_ids, 0) | {row["usage_record_id"]: row["next"] for row in rows}


def _row(
    line: Line, attempt: BillableAttempt, number: int, price_version_id: UUID, now: datetime
) -> tuple[object, ...]:
    piece = line.piece
    return (
        transaction_id("line", piece.usage_record_id, number),
        piece.usage_record_id,
        number,
        attempt.organisation_id,
        attempt.project_id,
        attempt.person_id,
        attempt.job_id,
        attempt.attempt_id,
        attempt.offering_id,
        price_version_id,
        piece.component.value,
        piece.day,
        decimal(piece.quantity_micro),
        piece.list_micro_yen,
        piece.market_micro_yen,
        piece.price_micro_yen,
        line.charged_micro_yen,
        line.waiver,
        piece.effective_at,
        now,
        line.house_micro_yen,
        line.refunded_micro_yen,
    )


def _line(row: Record) -> Line:
    return Line(
        attempt_id=row["attempt_id"],
        piece=RatedPiece(
            usage_record_id=row["usage_record_id"],
            component=Component(row["component"]),
            day=row["accounting_date"],
            effective_at=row["effective_at"],
            quantity_micro=micro(row["quantity"]),
            list_micro_yen=row["list_micro_yen"],
            market_micro_yen=row["market_micro_yen"],
            price_micro_yen=row["price_micro_yen"],
        ),
        charged_micro_yen=row["charged_micro_yen"],
        waiver=Waiver(row["waiver"]) if row["waiver"] else None,
        house_micro_yen=row["house_micro_yen"],
        refunded_micro_yen=row["refunded_micro_yen"],
    )
