"""Market references in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from accounts.model import Evidence
from infra.db.connection import Conn
from pricing.model import Component
from pricing.reference import MarketReference
from pricing.store.catalog import foreign_of, foreign_row

_REFERENCE = """SELECT id, resource_type, component, source, observed_on, amount_micro_yen, per, terms, currency,
    currency_amount, exchange_rate, rate_source, rate_on, evidence_name, evidence_sha256, evidence_bytes
    FROM pricing.market_reference"""


async def market_references(conn: Conn, ids: Sequence[UUID]) -> dict[UUID, MarketReference]:
    """Those of these that there are."""
    rows = await conn.fetch(f"{_REFERENCE} WHERE id = ANY($1)", list(ids))
    return {row["id"]: _reference(row) for row in rows}


async def latest_references(conn: Conn, *, limit: int) -> list[MarketReference]:
    """The latest looks at the market first."""
    rows = await conn.fetch(f"{_REFERENCE} ORDER BY observed_on DESC, recorded_at DESC, id LIMIT $1", limit)
    return [_reference(row) for row in rows]


async def add_market_reference(conn: Conn, new: MarketReference, *, actor: UUID | None, now: datetime) -> bool:
    """False when the id is taken."""
    evidence = new.evidence
    status = await conn.execute(
        """INSERT INTO pricing.market_reference (id, resource_type, component, source, observed_on, amount_micro_yen,
               per, evidence_sha256, recorded_at, currency, currency_amount, exchange_rate, rate_source, rate_on,
               terms, evidence_name, evidence_bytes, recorded_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
           ON CONFLICT DO NOTHING""",
        new.id,
        new.resource_type,
        new.component.value,
        new.source,
        new.observed_on,
        new.amount_micro_yen,
        new.per,
        evidence.sha256 if evidence else None,
        now,
        *foreign_row(new.foreign),
        new.terms,
        evidence.name if evidence else None,
        evidence.size_bytes if evidence else None,
        actor,
    )
    return str(status) == "INSERT 0 1"


def _reference(row: Record) -> MarketReference:
    evidence = None
    if row["evidence_name"] is not None:
        evidence = Evidence(name=row["evidence_name"], sha256=row["evidence_sha256"], size_bytes=row["evidence_bytes"])
    return MarketReference(
        id=row["id"],
        resource_type=row["resource_type"],
        component=Component(row["component"]),
        source=row["source"],
        observed_on=row["observed_on"],
        amount_micro_yen=row["amount_micro_yen"],
        per=row["per"],
        terms=row["terms"],
        foreign=foreign_of(row),
        evidence=evidence,
    )
