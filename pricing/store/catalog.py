"""Offerings, market references and price versions in the database."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from accounts.model import CustomerClass
from infra.db.ahead import Look, Row, Rows, rows_of
from infra.db.connection import Conn
from pricing.model import (
    Component,
    ConvertedPrice,
    ForeignPrice,
    Offering,
    OfferingKind,
    PriceComponent,
    Priced,
    PriceVersion,
    ServiceClass,
)
from pricing.pricebook import Term

_ADVISORY_CLASS = 7711005

_OFFERING = """SELECT id, backend, kind::text, resource_type, title_ja, title_en, max_gpus, cpus_per_gpu,
    memory_mb_per_gpu, max_walltime_s, max_shots, qpu_base_us, qpu_per_kshot_us, max_session_s, max_session_idle_s,
    sim_units, hardware, software, provider, site, retired_at FROM pricing.offering"""
_SOLD = """sold_id, sold_backend, sold_kind, sold_resource_type, sold_title_ja, sold_title_en, sold_max_gpus,
    sold_cpus_per_gpu, sold_memory_mb_per_gpu, sold_max_walltime_s, sold_max_shots, sold_qpu_base_us,
    sold_qpu_per_kshot_us, sold_max_session_s, sold_max_session_idle_s, sold_sim_units, sold_hardware,
    sold_software, sold_provider, sold_site, sold_retired_at"""

# One row per component, so that a version arrives whole in one query.
_VERSION = """SELECT v.id, v.offering_id, v.customer_class::text, v.service_class::text, v.valid_from, v.tax_rate_bp,
    c.component, c.per, c.price_micro_yen, c.list_micro_yen, c.market_micro_yen, c.market_reference_id, r.source,
    c.currency, c.currency_amount, c.exchange_rate, c.rate_source, c.rate_on,
    v.valid_until, v.rule, v.slice_below_gpus, v.slice_premium_bp, v.minimum_s
    FROM pricing.price_version v
    JOIN pricing.price_component c ON c.price_version_id = v.id
    JOIN pricing.market_reference r ON r.id = c.market_reference_id"""

_IN_FORCE = """SELECT id FROM pricing.price_version
    WHERE offering_id = $1 AND customer_class = $2::text::accounts.customer_class
      AND service_class = $3::text::pricing.service_class AND valid_from <= $4
    ORDER BY valid_from DESC LIMIT 1"""

_PRICED = f"""SELECT * FROM ({_OFFERING} WHERE id = $1) AS sold ({_SOLD})
    LEFT JOIN ({_VERSION} WHERE v.id = ({_IN_FORCE})) AS price ON true ORDER BY price.component"""  # noqa: S608  our own

_ALL_IN_FORCE = """SELECT DISTINCT ON (offering_id, service_class) id FROM pricing.price_version
    WHERE customer_class = $1::text::accounts.customer_class AND valid_from <= $2
    ORDER BY offering_id, service_class, valid_from DESC"""


async def offering(conn: Conn, offering_id: str) -> Offering | None:
    row = await conn.fetchrow(f"{_OFFERING} WHERE id = $1", offering_id)
    return _offering(row) if row else None


async def offerings(conn: Conn, *, retired: bool = False) -> list[Offering]:
    """Those that are sold, by id; also those that are retired, or will be."""
    rows = await conn.fetch(f"{_OFFERING} WHERE retired_at IS NULL OR $1 ORDER BY id", retired)
    return [_offering(row) for row in rows]


async def retire_offering(conn: Conn, offering_id: str, *, at: datetime) -> bool:
    """False: it is retired already, or there is none."""
    status = await conn.execute(
        "UPDATE pricing.offering SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL", offering_id, at
    )
    return str(status) == "UPDATE 1"


async def add_offering(conn: Conn, new: Offering, *, now: datetime) -> bool:
    """False when the id is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.offering (id, backend, kind, resource_type, title_ja, title_en, max_gpus, cpus_per_gpu,
               memory_mb_per_gpu, max_walltime_s, max_shots, qpu_base_us, qpu_per_kshot_us, hardware, created_at,
               max_session_s, max_session_idle_s, sim_units, software, provider, site)
           VALUES ($1, $2, $3::text::pricing.offering_kind, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
               $17, $18, $19, $20, $21)
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
        list(new.software),
        new.provider,
        new.site,
    )
    return status == "INSERT 0 1"


def priced_look(*, offering_id: str, customer_class: CustomerClass, service_class: ServiceClass, now: datetime) -> Look:
    """What priced() asks."""
    return Look(_PRICED, (offering_id, customer_class.value, service_class.value, now))


async def priced(
    conn: Conn, *, offering_id: str, customer_class: CustomerClass, service_class: ServiceClass, now: datetime
) -> Priced | None:
    """An offering with the version whose valid_from is the latest not after `now`. None: there is no such offering."""
    look = priced_look(offering_id=offering_id, customer_class=customer_class, service_class=service_class, now=now)
    rows = await rows_of(conn, look)
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


async def price_history(conn: Conn, offering_id: str | None) -> list[PriceVersion]:
    """Every version that was ever published for an offering (None: for any), oldest first."""
    rows = await conn.fetch(
        f"""{_VERSION} WHERE v.offering_id = $1 OR $1 IS NULL
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
        if (foreign := foreign_of(row)) is not None
    ]


async def lock_prices(conn: Conn, offering_id: str) -> None:
    """Whoever publishes a price of this offering next waits for the end of this transaction."""
    await conn.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _ADVISORY_CLASS, offering_id)


async def terms(
    conn: Conn, *, offering_id: str, customer_class: CustomerClass, service_class: ServiceClass
) -> list[Term]:
    """When each published version holds."""
    rows = await conn.fetch(
        """SELECT valid_from, valid_until FROM pricing.price_version
           WHERE offering_id = $1 AND customer_class = $2::text::accounts.customer_class
             AND service_class = $3::text::pricing.service_class""",
        offering_id,
        customer_class.value,
        service_class.value,
    )
    return [Term(row["valid_from"], row["valid_until"]) for row in rows]


async def add_price_version(
    conn: Conn, version: PriceVersion, *, proposal_id: UUID, published_by: UUID, now: datetime
) -> bool:
    """False when the id or the instant is taken."""
    status = await conn.execute(
        """INSERT INTO pricing.price_version
               (id, offering_id, customer_class, service_class, valid_from, tax_rate_bp, published_by, recorded_at,
               valid_until, rule, slice_below_gpus, slice_premium_bp, minimum_s, proposal_id)
           VALUES ($1, $2, $3::text::accounts.customer_class, $4::text::pricing.service_class, $5, $6, $7, $8,
               $9, $10, $11, $12, $13, $14)
           ON CONFLICT DO NOTHING""",
        version.id,
        version.offering_id,
        version.customer_class.value,
        version.service_class.value,
        version.valid_from,
        version.tax_rate_bp,
        published_by,
        now,
        version.valid_until,
        dict(version.rule),
        version.slice_below_gpus,
        version.slice_premium_bp,
        version.minimum_s,
        proposal_id,
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
                *foreign_row(each.foreign),
            )
            for each in version.components
        ],
    )
    return True


def foreign_row(foreign: ForeignPrice | None) -> tuple[object, ...]:
    if foreign is None:
        return (None,) * 5
    return (foreign.currency, foreign.amount, foreign.exchange_rate, foreign.source, foreign.on)


def foreign_of(row: Row) -> ForeignPrice | None:
    if row["currency"] is None:
        return None
    return ForeignPrice(
        currency=row["currency"],
        amount=row["currency_amount"],
        exchange_rate=row["exchange_rate"],
        source=row["rate_source"],
        on=row["rate_on"],
    )


def _offering(row: Row) -> Offering:
    return Offering(**{**row, "kind": OfferingKind(row["kind"]), "software": tuple(row["software"])})


def _versions(rows: Rows) -> list[PriceVersion]:
    by_id: dict[UUID, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row["id"], []).append(row)
    return [_version(of_one) for of_one in by_id.values()]


def _version(rows: Rows) -> PriceVersion:
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
                foreign=foreign_of(row),
            )
            for row in rows
        ),
        market_sources={row["market_reference_id"]: row["source"] for row in rows},
        valid_until=first["valid_until"],
        rule=first["rule"],
        slice_below_gpus=first["slice_below_gpus"],
        slice_premium_bp=first["slice_premium_bp"],
        minimum_s=first["minimum_s"],
    )
