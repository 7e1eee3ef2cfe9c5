"""The exchange table: normalised units per hour of one unit of each resource type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.db.ahead import Look, row_of
from infra.db.connection import Conn


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """NU per hour of one unit, from an instant on. recorded_at None: nobody kept it."""

    resource_type: str
    nu_per_hour: float
    effective_at: datetime
    reason: str
    set_by: UUID | None = None
    recorded_at: datetime | None = None
    version: int = 0


async def nu_per_hour(conn: Conn, resource_type: str, *, at: datetime) -> float | None:
    found = await row_of(conn, nu_per_hour_look(resource_type, at=at))
    return None if found is None else float(found["nu_per_hour"])


def nu_per_hour_look(resource_type: str, *, at: datetime) -> Look:
    """What nu_per_hour() asks."""
    return Look(
        "SELECT nu_per_hour FROM scheduler.exchange_rate "
        "WHERE resource_type = $1 AND effective_at <= $2 ORDER BY effective_at DESC LIMIT 1",
        (resource_type, at),
    )


async def current(conn: Conn, *, at: datetime) -> dict[str, float]:
    """Of every resource type that has a rate then."""
    rows = await conn.fetch(
        "SELECT DISTINCT ON (resource_type) resource_type, nu_per_hour FROM scheduler.exchange_rate "
        "WHERE effective_at <= $1 ORDER BY resource_type, effective_at DESC",
        at,
    )
    return {row["resource_type"]: float(row["nu_per_hour"]) for row in rows}


async def history(conn: Conn) -> Sequence[Rate]:
    """Everything that was ever published, by resource type and the instant from which it holds."""
    rows = await conn.fetch(
        "SELECT resource_type, nu_per_hour, effective_at, reason, set_by, recorded_at, version "
        "FROM scheduler.exchange_rate ORDER BY resource_type, effective_at"
    )
    return [Rate(**row) for row in rows]


async def add(conn: Conn, new: Rate) -> int | None:
    """Its version. None: this instant has one already."""
    version = await conn.fetchval(
        "INSERT INTO scheduler.exchange_rate (resource_type, nu_per_hour, effective_at, reason, set_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING version",
        new.resource_type,
        new.nu_per_hour,
        new.effective_at,
        new.reason,
        new.set_by,
        new.recorded_at,
    )
    return None if version is None else int(version)
