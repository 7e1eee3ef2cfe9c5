"""Offerings, market references and price versions in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from accounts.model import CustomerClass
from infra.db.connection import Conn
from pricing.model import (
    Component,
    ConvertedPrice,
    ForeignPrice,
    MarketReference,
    Offering,
    OfferingKind,
    PriceComponent,
    Priced,
    PriceVersion,
    ServiceClass,
)

_OFFERING = """SELECT id, backend, kind::text, resource_type, title_ja, title_en, max_gpus, cpus_per_gpu,
    memory_mb_per_gpu, max_walltime_s, max_shots, qpu_base_us, qpu_per_kshot_us, max_session_s, max_session_idle_s,
    sim_units, hardware, retired_at FROM pricing.offering"""
_SOLD = """sold_id, sold_backend, sold_kind, sold_resource_type, sold_title_ja, sold_title_en, sold_max_gpus,
    sold_cpus_per_gpu, sold_memory_mb_per_gpu, sold_max_walltime_s, sold_max_shots, sold_qpu_base_us,
    sold_qpu_per_kshot_us, sold_max_session_s, sold_max_session_idle_s, sold_sim_units, sold_hardware,
    sold_retired_at"""

# One row per component, so that a version arrives whole in one query.
_VERSION = """SELECT v.id, v.offering_id, v.customer_class::text, v.service_class::text, v.valid_from, v.tax_rate_bp,
    c.component, c.per, c.price_micro_yen, c.list_micro_yen, c.market_micro_yen, c.market_reference_id, r.source,
    c.currency, c.currency_amount, c.exchange_rate, c.rate_source, c.rate_on
    FROM pricing.price_version v
    JOIN pricing.price_component c ON c.price_version_id = v.id
    JOIN pricing.market_reference r ON r.id = c.market_reference_id"""

_IN_FORCE = """SELECT id FROM pricing.price_version
    WHERE offering_id = $1 AND customer_class = $2::text::accounts.customer_class
      AND service_class = $3::text::pricing.service_class AND valid_from <= $4
    ORDER BY valid_from DESC LIMIT 1"""

_ALL_IN_FORCE = """SELECT DISTINCT ON (offering_id, service_class) id FROM pricing.price_version
    WHERE customer_class = $1::text::accounts.customer_class AND valid_from <= $2
    ORDER BY offering_id, service_class, valid_from DESC"""


async def offering(conn: Conn, offering_id: str) -> Offering | None:
    row = await conn.fetchrow(f"{_OFFERING} WHERE id = $1", offering_id)
    return _offering(row) if row else None


async def offerings(conn: Conn) -> list[Offering]:
    """Those that are sold, by id."""
    rows = await conn.fetch(f"{_OFFERING} WHERE retired_at IS NULL ORDER BY id")
    return [_offering(row) for row in rows]


async def add_offering(conn: Conn, new: Offering, *, now: datetime) -> bool:
    """False when the id is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.offering (id, backend, kind, resource_type, title_ja, title_en, max_gpus, cpus_per_gpu,
               memory_mb_per_gpu, max_walltime_s, max_shots, qpu_base_us, qpu_per_kshot_us, hardware, created_at,
               max_session_s, max_session_idle_s, sim_units)
           VALUES ($1, $2, $3::text::pricing.offering_kind, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
               $17, $18)
           ON CONFLICT DO NOTHING""",
        new.id,
        new.backend,
        new.kind.value,
        new.resource_type,
        new.title_ja,
        new.title_en,
        new.max_gpus,
        new.cpus_per_gpu,
        new.memory_mb_per_gpu,
        new.max_walltime_s,
        new.max_shots,
        new.qpu_base_us,
        new.qpu_per_kshot_us,
        dict(new.hardware),
        now,
        new.max_session_s,
        new.max_session_idle_s,
        new.sim_units,
    )
    return status == "INSERT 0 1"


async def priced(
    conn: Conn, *, offering_id: str, customer_class: CustomerClass, service_class: ServiceClass, now: datetime
) -> Priced | None:
    """An offering with the version whose valid_from is the latest not after `now`. None: there is no such offering."""
    rows = await conn.fetch(
        f"SELECT * FROM ({_OFFERING} WHERE id = $1) AS sold ({_SOLD}) "  # noqa: S608  our own words
        f"LEFT JOIN ({_VERSION} WHERE v.id = ({_IN_FORCE})) AS price ON true ORDER BY price.component",
        offering_id,
        customer_class.value,
        service_class.value,
        now,
    )
    if not rows:
        return None
    sold = {name.removeprefix("sold_"): value for name, value in rows[0].items() if name.startswith("sold_")}
    return Priced(_offering(sold), None if rows[0]["id"] is None else _version(rows))


async def prices_in_force(conn: Conn, *, customer_class: CustomerClass, now: datetime) -> list[PriceVersion]:
    """Every version now in force for a class of customers, by offering and service class."""
    rows = await conn.fetch(
        f"{_VERSION} WHERE v.id IN ({_ALL_IN_FORCE}) ORDER BY v.offering_id, v.service_class, c.component",
        customer_class.value,
        now,
    )
    return _versions(rows)


async def price_version(conn: Conn, version_id: UUID) -> PriceVersion | None:
    rows = await conn.fetch(f"{_VERSION} WHERE v.id = $1 ORDER BY c.component", version_id)
    return _version(rows) if rows else None


async def price_history(conn: Conn, offering_id: str) -> list[PriceVersion]:
    """Every version that was ever published for an offering, oldest first."""
    rows = await conn.fetch(
        f"""{_VERSION} WHERE v.offering_id = $1
            ORDER BY v.valid_from, v.customer_class, v.service_class, v.id, c.component""",
        offering_id,
    )
    return _versions(rows)


async def converted_prices(conn: Conn, organisation_id: UUID, *, since: date, until: date) -> list[ConvertedPrice]:
    """Those in another currency by which an organisation's lines of [since, until) were rated."""
    rows = await conn.fetch(
        """SELECT DISTINCT v.offering_id, c.component, c.per, c.price_micro_yen, c.currency, c.currency_amount,
                  c.exchange_rate, c.rate_source, c.rate_on
           FROM pricing.rated_line l
           JOIN pricing.price_version v ON v.id = l.price_version_id
           JOIN pricing.price_component c ON c.price_version_id = v.id AND c.component = l.component
           WHERE l.organisation_id = $1 AND l.accounting_date >= $2 AND l.accounting_date < $3
             AND c.currency IS NOT NULL
           ORDER BY v.offering_id, c.component, c.rate_on, c.price_micro_yen""",
        organisation_id,
        since,
        until,
    )
    return [
        ConvertedPrice(
            offering_id=row["offering_id"],
            component=Component(row["component"]),
            per=row["per"],
            price_micro_yen=row["price_micro_yen"],
            foreign=foreign,
        )
        for row in rows
        if (foreign := _foreign(row)) is not None
    ]


async def add_price_version(conn: Conn, version: PriceVersion, *, published_by: UUID | None, now: datetime) -> bool:
    """False when the id or the instant is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.price_version
               (id, offering_id, customer_class, service_class, valid_from, tax_rate_bp, published_by, recorded_at)
           VALUES ($1, $2, $3::text::accounts.customer_class, $4::text::pricing.service_class, $5, $6, $7, $8)
           ON CONFLICT DO NOTHING""",
        version.id,
        version.offering_id,
        version.customer_class.value,
        version.service_class.value,
        version.valid_from,
        version.tax_rate_bp,
        published_by,
        now,
    )
    if status != "INSERT 0 1":
        return False
    await conn.executemany(
        """INSERT INTO pricing.price_component (price_version_id, component, per, price_micro_yen, list_micro_yen,
               market_micro_yen, market_reference_id, currency, currency_amount, exchange_rate, rate_source, rate_on)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        [
            (
                version.id,
                each.component.value,
                each.per,
                each.price_micro_yen,
                each.list_micro_yen,
                each.market_micro_yen,
                each.market_reference_id,
                *_foreign_row(each.foreign),
            )
            for each in version.components
        ],
    )
    return True


async def market_references(conn: Conn, ids: Sequence[UUID]) -> dict[UUID, MarketReference]:
    rows = await conn.fetch(
        """SELECT id, resource_type, component, source, observed_on, amount_micro_yen, per
           FROM pricing.market_reference WHERE id = ANY($1)""",
        list(ids),
    )
    return {row["id"]: MarketReference(**{**row, "component": Component(row["component"])}) for row in rows}


async def add_market_reference(
    conn: Conn, new: MarketReference, *, evidence_sha256: bytes | None, now: datetime
) -> bool:
    """False when the id is taken."""
    status = await conn.execute(
        "INSERT INTO pricing.market_reference VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        new.id,
        new.resource_type,
        new.component.value,
        new.source,
        new.observed_on,
        new.amount_micro_yen,
        new.per,
        evidence_sha256,
        now,
    )
    return status == "INSERT 0 1"


def _foreign_row(foreign: ForeignPrice | None) -> tuple[object, ...]:
    if foreign is None:
        return (None,) * 5
    return (foreign.currency, foreign.amount, foreign.exchange_rate, foreign.source, foreign.on)


def _foreign(row: Record) -> ForeignPrice | None:
    if row["currency"] is None:
        return None
    return ForeignPrice(
        currency=row["currency"],
        amount=row["currency_amount"],
        exchange_rate=row["exchange_rate"],
        source=row["rate_source"],
        on=row["rate_on"],
    )


def _offering(row: Record | Mapping[str, Any]) -> Offering:
    return Offering(**{**row, "kind": OfferingKind(row["kind"])})


def _versions(rows: Sequence[Record]) -> list[PriceVersion]:
    by_id: dict[UUID, list[Record]] = {}
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    return [_version(of_one) for of_one in by_id.values()]


def _version(rows: Sequence[Record]) -> PriceVersion:
    first = rows[0]
    return PriceVersion(
        id=first["id"],
        offering_id=first["offering_id"],
        customer_class=CustomerClass(first["customer_class"]),
        service_class=ServiceClass(first["service_class"]),
        valid_from=first["valid_from"],
        tax_rate_bp=first["tax_rate_bp"],
        components=tuple(
            PriceComponent(
                component=Component(row["component"]),
                per=row["per"],
                price_micro_yen=row["price_micro_yen"],
                list_micro_yen=row["list_micro_yen"],
                market_micro_yen=row["market_micro_yen"],
                market_reference_id=row["market_reference_id"],
                foreign=_foreign(row),
            )
            for row in rows
        ),
        market_sources={row["market_reference_id"]: row["source"] for row in rows},
    )
