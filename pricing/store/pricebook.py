"""Promotions, policies, and what promotions are for, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from accounts.model import CustomerClass
from infra.db.connection import Conn
from pricing.days import Month
from pricing.discounts import Discounted, Promoted, Promotion, TakenBack

_PROMOTION = """SELECT p.id, p.title_ja, p.title_en, p.offering_id, p.customer_class::text AS customer_class,
    p.percent_bp, p.month_micro_yen, p.starts_at, p.ends_at FROM pricing.promotion p"""


async def policy(conn: Conn, name: str, *, now: datetime) -> Mapping[str, Any] | None:
    """The value that holds now. None: never set."""
    value: Mapping[str, Any] | None = await conn.fetchval(
        "SELECT value FROM pricing.policy WHERE name = $1 AND effective_at <= $2 ORDER BY effective_at DESC LIMIT 1",
        name,
        now,
    )
    return value


async def policies(conn: Conn) -> list[tuple[str, datetime, Mapping[str, Any]]]:
    """Every value ever set, with its instant, by name."""
    rows = await conn.fetch("SELECT name, effective_at, value FROM pricing.policy ORDER BY name, effective_at")
    return [(row["name"], row["effective_at"], row["value"]) for row in rows]


async def set_policy(
    conn: Conn, name: str, value: Mapping[str, Any], *, effective_at: datetime, proposal_id: UUID, now: datetime
) -> bool:
    """False: this instant has a value already."""
    status = await conn.execute(
        "INSERT INTO pricing.policy (name, effective_at, value, recorded_at, proposal_id) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT DO NOTHING",
        name,
        effective_at,
        dict(value),
        now,
        proposal_id,
    )
    return str(status) == "INSERT 0 1"


async def promotion(conn: Conn, promotion_id: UUID) -> Promotion | None:
    row = await conn.fetchrow(f"{_PROMOTION} WHERE p.id = $1", promotion_id)
    return _promotion(row) if row else None


async def promotions(conn: Conn, *, since: datetime) -> list[Promotion]:
    """Those that have not ended by then, by their start."""
    rows = await conn.fetch(f"{_PROMOTION} WHERE p.ends_at > $1 ORDER BY p.starts_at, p.id", since)
    return [_promotion(row) for row in rows]


async def add_promotion(conn: Conn, new: Promotion, *, proposal_id: UUID, now: datetime) -> bool:
    """False when the id is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.promotion (id, title_ja, title_en, offering_id, customer_class, percent_bp,
               month_micro_yen, starts_at, ends_at, recorded_at, proposal_id)
           VALUES ($1, $2, $3, $4, $5::text::accounts.customer_class, $6, $7, $8, $9, $10, $11)
           ON CONFLICT DO NOTHING""",
        new.id,
        new.title_ja,
        new.title_en,
        new.offering_id,
        None if new.customer_class is None else new.customer_class.value,
        new.percent_bp,
        new.month_micro_yen,
        new.starts_at,
        new.ends_at,
        now,
        proposal_id,
    )
    return str(status) == "INSERT 0 1"


async def promoted(
    conn: Conn, organisations: Sequence[UUID], month: Month, *, but: Sequence[UUID] = ()
) -> dict[UUID, list[Promoted]]:
    """What the lines of a month's document come to for each promotion in whose period their jobs were submitted, by
    organisation and tax rate. but: jobs whose lines of earlier months are left out.
    """
    rows = await conn.fetch(
        f"""SELECT p.*, l.organisation_id, q.tax_rate_bp, sum(l.charged_micro_yen)::bigint AS charged_micro_yen
            FROM ({_PROMOTION}) p
            JOIN pricing.quote q ON q.quoted_at >= p.starts_at AND q.quoted_at < p.ends_at
            JOIN pricing.rated_line l ON l.job_id = q.job_id
                 AND (p.offering_id IS NULL OR p.offering_id = l.offering_id)
            JOIN pricing.price_version v ON v.id = l.price_version_id
                 AND (p.customer_class IS NULL OR p.customer_class = v.customer_class::text)
            WHERE l.organisation_id = ANY($1) AND l.billed_month = $2
              AND NOT (l.accounting_date < $2 AND l.job_id = ANY($3))
            GROUP BY p.id, p.title_ja, p.title_en, p.offering_id, p.customer_class, p.percent_bp, p.month_micro_yen,
                     p.starts_at, p.ends_at, l.organisation_id, q.tax_rate_bp
            HAVING sum(l.charged_micro_yen) <> 0 ORDER BY p.id, q.tax_rate_bp""",  # noqa: S608  our own words
        list(organisations),
        month.first,
        list(but),
    )
    found: dict[UUID, list[Promoted]] = {}
    for row in rows:
        found.setdefault(row["organisation_id"], []).append(
            Promoted(
                promotion=_promotion(row), tax_rate_bp=row["tax_rate_bp"], charged_micro_yen=row["charged_micro_yen"]
            )
        )
    return found


_TAKEN_BACK = """
    WITH back AS (
        SELECT l.organisation_id, l.job_id, -sum(l.charged_micro_yen)::bigint AS taken FROM pricing.rated_line l
         WHERE l.organisation_id = ANY($1) AND l.billed_month = $2 AND l.accounting_date < $2
         GROUP BY 1, 2 HAVING sum(l.charged_micro_yen) < 0),
    closed AS (
        SELECT DISTINCT b.organisation_id, l.billed_month
          FROM back b JOIN pricing.rated_line l ON l.job_id = b.job_id AND l.billed_month < $2),
    part AS (
        SELECT l.organisation_id, l.billed_month, l.job_id, q.tax_rate_bp,
               greatest(sum(l.charged_micro_yen),
                        sum(l.charged_micro_yen) FILTER (WHERE l.accounting_date >= l.billed_month), 0)::bigint
                   AS charged,
               bool_or(EXISTS (SELECT FROM pricing.promotion p
                        WHERE q.quoted_at >= p.starts_at AND q.quoted_at < p.ends_at
                          AND (p.offering_id IS NULL OR p.offering_id = l.offering_id)
                          AND (p.customer_class IS NULL OR p.customer_class = v.customer_class))) AS is_promoted
          FROM closed c
          JOIN pricing.rated_line l ON l.organisation_id = c.organisation_id AND l.billed_month = c.billed_month
          JOIN pricing.quote q ON q.job_id = l.job_id
          JOIN pricing.price_version v ON v.id = l.price_version_id
         GROUP BY 1, 2, 3, 4),
    whole AS (
        SELECT organisation_id, billed_month, tax_rate_bp, sum(charged)::bigint AS month,
               coalesce(sum(charged) FILTER (WHERE is_promoted), 0)::bigint AS promoted FROM part GROUP BY 1, 2, 3),
    off AS (
        SELECT c.organisation_id, c.billed_month, (g ->> 'tax_rate_bp')::integer AS tax_rate_bp,
               -coalesce(sum((n ->> 'charged_micro_yen')::bigint) FILTER (WHERE n ->> 'kind' = 'promotion'), 0)::bigint
                   AS promotions,
               -coalesce(sum((n ->> 'charged_micro_yen')::bigint) FILTER (WHERE n ->> 'kind' = 'volume_discount'),
                         0)::bigint AS volume
          FROM closed c
          JOIN pricing.closed_account a ON a.organisation_id = c.organisation_id AND a.month = c.billed_month
          JOIN pricing.document d ON d.id = a.document_id
          CROSS JOIN jsonb_array_elements(d.content -> 'groups') AS g
          CROSS JOIN jsonb_array_elements(g -> 'lines') AS n GROUP BY 1, 2, 3)
    SELECT b.organisation_id, b.job_id, b.taken, p.tax_rate_bp, p.charged, p.is_promoted, w.month, w.promoted,
           coalesce(o.promotions, 0) AS promotions, coalesce(o.volume, 0) AS volume,
           (SELECT sum(charged_micro_yen)::bigint FROM pricing.rated_line
             WHERE job_id = b.job_id AND billed_month < $2) AS before,
           (SELECT coalesce(sum(e.amount_micro_yen), 0)::bigint FROM pricing.ledger_transaction t
              JOIN pricing.ledger_entry e ON e.transaction_id = t.id AND e.bucket = 'held'
              JOIN pricing.lot h ON h.id = e.lot_id AND h.kind = 'grant'
             WHERE t.job_id = b.job_id AND t.template = 'hold') AS claimed
      FROM back b
      JOIN part p ON p.organisation_id = b.organisation_id AND p.job_id = b.job_id
      JOIN whole w ON w.organisation_id = p.organisation_id AND w.billed_month = p.billed_month
           AND w.tax_rate_bp = p.tax_rate_bp
      LEFT JOIN off o ON o.organisation_id = p.organisation_id AND o.billed_month = p.billed_month
           AND o.tax_rate_bp = p.tax_rate_bp
     ORDER BY b.organisation_id, b.job_id, p.billed_month"""


async def taken_back(conn: Conn, organisations: Sequence[UUID], month: Month) -> dict[UUID, list[TakenBack]]:
    """Jobs whose charges of closed months are taken back in a month, by organisation, with what their documents took
    off.
    """
    of_jobs: dict[UUID, list[Record]] = {}
    for row in await conn.fetch(_TAKEN_BACK, list(organisations), month.first):
        of_jobs.setdefault(row["job_id"], []).append(row)
    found: dict[UUID, list[TakenBack]] = {}
    for job_id, rows in of_jobs.items():
        found.setdefault(rows[0]["organisation_id"], []).append(_taken_back(job_id, rows))
    return found


def _taken_back(job_id: UUID, rows: Sequence[Record]) -> TakenBack:
    return TakenBack(
        job_id=job_id,
        tax_rate_bp=rows[0]["tax_rate_bp"],
        taken_micro_yen=rows[0]["taken"],
        before_micro_yen=rows[0]["before"],
        claimed_micro_yen=rows[0]["claimed"],
        months=[
            Discounted(
                charged_micro_yen=row["charged"],
                is_promoted=row["is_promoted"],
                month_micro_yen=row["month"],
                promoted_micro_yen=row["promoted"],
                promotions_micro_yen=row["promotions"],
                volume_micro_yen=row["volume"],
            )
            for row in rows
        ],
    )


def _promotion(row: Record) -> Promotion:
    named = row["customer_class"]
    return Promotion(
        id=row["id"],
        title_ja=row["title_ja"],
        title_en=row["title_en"],
        offering_id=row["offering_id"],
        customer_class=None if named is None else CustomerClass(named),
        percent_bp=row["percent_bp"],
        month_micro_yen=row["month_micro_yen"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
    )
