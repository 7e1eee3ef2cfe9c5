"""What organisations have declared, as far as is on file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn


@dataclass(frozen=True, slots=True)
class Declared:
    """periods: from and until when, of every declaration."""

    suspended_at: datetime | None
    periods: list[tuple[datetime, datetime]] = field(default_factory=list)


async def declared(conn: Conn, organisation_ids: Collection[UUID]) -> dict[UUID, Declared]:
    rows = await conn.fetch(
        "SELECT o.id, o.suspended_at, d.valid_from, d.valid_until FROM accounts.organisation o "
        "LEFT JOIN accounts.declaration d ON d.organisation_id = o.id WHERE o.id = ANY($1)",
        list(organisation_ids),
    )
    found: dict[UUID, Declared] = {}
    for row in rows:
        of_one = found.setdefault(row["id"], Declared(row["suspended_at"]))
        if row["valid_from"] is not None:
            of_one.periods.append((row["valid_from"], row["valid_until"]))
    return found
