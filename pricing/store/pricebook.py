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
from pricing.discounts import Promoted, Promotion

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


async def promoted(conn: Conn, organisations: Sequence[UUID], month: Month) -> dict[UUID, list[Promoted]]:
    """What the lines of a month's document come to for each promotion in whose period their jobs were submitted, by
    organisation and tax rate.
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
            GROUP BY p.id, p.title_ja, p.title_en, p.offering_id, p.customer_class, p.percent_bp, p.month_micro_yen,
                     p.starts_at, p.ends_at, l.organisation_id, q.tax_rate_bp
            HAVING sum(l.charged_micro_yen) <> 0 ORDER BY p.id, q.tax_rate_bp""",  # noqa: S608  our own words
        list(organisations),
        month.first,
    )
    found: dict[UUID, list[Promoted]] = {}
    for row in rows:
        found.setdefault(row["organisation_id"], []).append(
            Promoted(
                promotion=_promotion(row), tax_rate_bp=row["tax_rate_bp"], charged_micro_yen=row["charged_micro_yen"]
            )
        )
    return found


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
